"""The core of the live form: a draft beside a sandbox, both sides' changes, and what a page is told of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from tvixbuild_nb.sandbox import Sandbox
from tvixbuild_nb.widgets.form.data import form_data
from tvixbuild_nb.widgets.form.draft import PAIRS, SCALARS, SHELL, Draft
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front
from tvixbuild_nb.widgets.kit.pace import Updates

# Seconds without a sign of a displayed view, after which the sandbox is watched no more. Browsers let hidden pages run
# their timers once a minute.
FORGOTTEN = 150.0
_LOOK = 15.0


class DraftView(LiveView):
    """Each field that is valid is written into the sandbox at once, what Python changes is shown.

    Nothing of the request is in the widget's state, and so in no saved notebook: a view asks for it when it is drawn.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._draft = Draft(sandbox)
        self._lock = threading.RLock()
        self._sent: dict[str, Any] = {}
        self._pieces: dict[int, bytearray] = {}
        self._seen = 0.0
        self._unwatch: Callable[[], None] | None = None
        super().__init__()

    # -- called from the page ---------------------------------------------------------------------

    @callable_from_front
    def begin(self) -> dict[str, Any]:
        """Everything there is to show; from now on changes are pushed under ``parts``."""
        with self._lock:
            self.here()
            self._draft.take(self._sandbox)
            self._push()
            return self._sent

    @callable_from_front
    def here(self) -> None:
        """A view is displayed still."""
        with self._lock:
            self._seen = time.monotonic()
            if self._unwatch is None:
                self._unwatch = self._sandbox.watch(self._python_changed)
                Updates(self._attended, _LOOK)
                self._python_changed()

    @callable_from_front
    def edit(self, field: str, text: str | bool, number: int | None = None, part: str = "cell") -> None:
        """A field, or a row of one, reads so now; ``part`` tells the two sides of a pair, an input has its name."""
        with self._lock:
            self._draft.take(self._sandbox)
            if field in SCALARS:
                self._draft.scalars[field] = text
            elif (row := self._draft.row(field, number or 0)) is not None:
                if field == "inputs":
                    row.value = row.value._replace(name=text)
                elif field not in PAIRS:
                    row.value = text
                elif part == "key":
                    row.value = (text, row.value[1])
                else:
                    row.value = (row.value[0], text)
            self._settle()

    @callable_from_front
    def add(self, field: str, after: int | None = None) -> int:
        """A new empty row, after another or at the end; its number."""
        with self._lock:
            self._draft.take(self._sandbox)
            number = self._draft.add(field, ("", "") if field in PAIRS else "", after)
            self._settle()
            return number

    @callable_from_front
    def remove(self, field: str, number: int) -> None:
        """Take a row away."""
        with self._lock:
            self._draft.take(self._sandbox)
            self._draft.remove(field, number)
            self._settle()

    @callable_from_front
    def shell(self) -> None:
        """Make an empty command one of the shell."""
        with self._lock:
            self._draft.take(self._sandbox)
            if not self._draft.rows["command"]:
                self._draft.set_rows("command", (*SHELL, ""))
            self._settle()

    @callable_from_front
    def revert(self) -> None:
        """Forget what is not valid; the sandbox's own fields are shown again."""
        with self._lock:
            self._draft.revert()
            self._push()

    # -- from elsewhere ---------------------------------------------------------------------------

    def close(self) -> None:
        """No more views, and nobody looks at the sandbox."""
        self._stop()
        super().close()

    def _python_changed(self, names: frozenset[str] = frozenset()) -> None:
        with self._lock:
            if self._draft.take(self._sandbox):
                self._push()

    def _settle(self) -> None:
        """After a change here: write what is valid, show what became of it."""
        data = form_data(self._sandbox, self._draft)
        if self._draft.write(self._sandbox, {fault["field"] for fault in data["faults"]}):
            data = form_data(self._sandbox, self._draft)
        self._push(data)

    def _push(self, data: dict[str, Any] | None = None) -> None:
        data = form_data(self._sandbox, self._draft) if data is None else data
        changed = {name: value for name, value in data.items() if self._sent.get(name) != value}
        self._sent = data
        if changed:
            self.tell("parts", changed)

    def _attended(self) -> bool:
        with self._lock:
            if self._unwatch is not None and time.monotonic() - self._seen > FORGOTTEN:
                self._stop()
            return self._unwatch is not None

    def _stop(self) -> None:
        with self._lock:
            if self._unwatch is not None:
                self._unwatch()
            self._unwatch = None
