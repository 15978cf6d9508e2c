"""The request form in a running notebook."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from tvixbuild_nb.castore import Digest, FileNode
from tvixbuild_nb.castore.progress import Silent, human
from tvixbuild_nb.errors import InvalidRequest, TvixBuildError
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Sandbox
from tvixbuild_nb.widgets.form.data import form_data, input_name, redactor_of
from tvixbuild_nb.widgets.form.draft import PAIRS, SCALARS, SHELL, Draft
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front
from tvixbuild_nb.widgets.kit.pace import Updates

# Seconds without a sign of a displayed view, after which the sandbox is watched no more. Browsers let hidden pages run
# their timers once a minute.
FORGOTTEN = 150.0
_LOOK = 15.0
_PROGRESS = 0.2


class FormView(LiveView):
    """The fields of a sandbox; what is valid is written into it at once, what Python changes is shown.

    Nothing of the request is in the widget's state, and so in no saved notebook: a view asks for it when it is drawn.
    """

    _esm = front("js", "formparts", "formrows", "forminputs", "form")
    _css = front("css", "form")

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._draft = Draft(sandbox)
        self._lock = threading.RLock()
        self._sent: dict[str, Any] = {}
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
        """A field, or a row of one, reads so now; ``part`` tells the two sides of a pair."""
        with self._lock:
            self._draft.take(self._sandbox)
            if field in SCALARS:
                self._draft.scalars[field] = text
            elif (row := self._draft.row(field, number or 0)) is not None:
                if field not in PAIRS:
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
    def add_path(self, path: str, name: str = "") -> None:
        """Store what is at a host path, in the background, and give it to the build as an input."""
        path = os.path.expanduser(path)
        name = name or os.path.basename(os.path.abspath(path))
        if not path:
            raise InvalidRequest("a path of this host is needed", path="path")
        if not os.path.lexists(path):
            raise InvalidRequest(f"there is nothing at {path!r}", path="path", hint="a path of this host")
        BuildRequest(command_args=("x",), inputs={name: FileNode(Digest.of(b""), 0)})
        threading.Thread(target=self._ingest, args=(path, name), name="adding an input", daemon=True).start()

    @callable_from_front
    def remove_input(self, name: str) -> None:
        """The build does not get this input any more."""
        with self._lock:
            self._draft.take(self._sandbox)
            redactor = redactor_of(self._draft)
            for key in [key for key in self._draft.inputs if input_name(key, redactor) == name]:
                del self._draft.inputs[key]
            self._settle()

    @callable_from_front
    def revert(self) -> None:
        """Forget what is not valid; the sandbox's own fields are shown again."""
        with self._lock:
            self._draft.revert()
            self._push()

    @callable_from_front
    def start(self) -> str:
        """Start the build in the background; the id of its run, which is the sandbox's ``last_run``."""
        with self._lock:
            if count := len(form_data(self._sandbox, self._draft)["faults"]):
                raise InvalidRequest(f"{count} field{'' if count == 1 else 's'} of this form must be put right first")
        return self._sandbox.start().id

    # -- from elsewhere ---------------------------------------------------------------------------

    def close(self) -> None:
        """No more views, and nobody looks at the sandbox."""
        self._stop()
        super().close()

    def _python_changed(self, names: frozenset[str] = frozenset()) -> None:
        with self._lock:
            if self._draft.take(self._sandbox):
                self._push()

    def _ingest(self, path: str, name: str) -> None:
        done = Silent()
        shown = Updates(
            lambda: self._tell_input(f"storing {path}: {done.files:,} files, {human(done.bytes)}"), _PROGRESS
        )
        try:
            node = self._sandbox.store.ingest(path, progress=done)
        except (TvixBuildError, OSError) as error:
            shown.stop()
            shown.join()
            self._tell_input(" ".join(str(error).split()), wrong=True)
            return
        shown.stop()
        shown.join()
        with self._lock:
            self._draft.take(self._sandbox)
            self._draft.inputs[name] = (node, os.path.abspath(path))
            self._settle()
        self._tell_input(f"added {name}")

    def _tell_input(self, text: str, *, wrong: bool = False) -> bool:
        self.tell("input", {"text": visible(text), "wrong": wrong})
        return True

    def _settle(self) -> None:
        """After a change here: write what is valid, show what became of it."""
        data = form_data(self._sandbox, self._draft)
        if not data["faults"] and self._draft.write(self._sandbox):
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
