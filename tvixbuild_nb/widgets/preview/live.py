"""A preview in a running notebook: it follows its sandbox and marks what changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tvixbuild_nb.errors import InvalidSpec, TvixBuildError
from tvixbuild_nb.oci import Preview, Spec
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front
from tvixbuild_nb.widgets.preview import data
from tvixbuild_nb.widgets.preview.changes import Changes
from tvixbuild_nb.widgets.preview.others import choices, chosen
from tvixbuild_nb.widgets.preview.rows import Unfolded, rows


class PreviewView(LiveView):
    """The tree, what is to be said about the chosen part, and a comparison; each asked for when it is shown."""

    _esm = front("js", "foldkeys", "previewtree", "previewdetail", "preview")
    _css = front("css", "preview")

    def __init__(self, value: Preview | Spec) -> None:
        self._shown = data.Shown.of(value)
        self._before: Preview | None = None
        self._changes = Changes()
        self._problem: str | None = None
        self._version = 0
        self._displayed: set[str] = set()
        self._cancel: Callable[[], None] | None = None
        super().__init__()

    # -- following the sandbox --------------------------------------------------------------------

    @callable_from_front
    def appear(self, view: str) -> dict[str, Any]:
        """A view is displayed: from now on the sandbox is watched.

        The other views are asked to say anew that they are there: those of a page that is gone never said goodbye.
        """
        self._displayed = {view}
        self.tell("roll call", view)
        self._watch()
        return self._state()

    @callable_from_front
    def present(self, view: str) -> dict[str, Any]:
        """The answer to the roll call."""
        self._displayed.add(view)
        self._watch()
        return self._state()

    @callable_from_front
    def vanish(self, view: str) -> None:
        """A view is gone; the last one ends the watch."""
        self._displayed.discard(view)
        self._unwatch()
        if self._displayed:
            self._displayed = set()
            self.tell("roll call", None)

    def close(self) -> None:
        """End the widget."""
        self._unwatch()
        super().close()

    def _watch(self) -> None:
        preview = self._shown.preview
        if self._cancel is None and preview is not None and (sandbox := preview.origin()) is not None:
            self._cancel = sandbox.watch(self._sandbox_changed)
            self._follow()

    def _unwatch(self) -> None:
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _sandbox_changed(self, names: frozenset[str]) -> None:
        with self._calling:
            self._follow()
            self.tell("changed", self._state())

    def _follow(self) -> None:
        """Render anew; what cannot be rendered leaves the last tree, and says so."""
        before = self._shown.preview
        sandbox = None if before is None else before.origin()
        if before is None or sandbox is None:
            return
        self._version += 1
        try:
            now = sandbox.preview()
        except TvixBuildError as error:
            self._problem = visible(before.redactor.text(str(error)))
            return
        except (TypeError, ValueError, AttributeError) as error:
            self._problem = visible(before.redactor.text(f"not a request: {error}"))
            return
        self._problem = None
        if now == before and now.redactor.names == before.redactor.names:
            return
        changes = Changes.between(before, now)
        if changes.told:
            self._changes, self._before = changes, before
        self._shown = data.Shown.of(now)

    def _state(self) -> dict[str, Any]:
        return {
            "version": self._version,
            "problem": self._problem,
            "changed": self._changes.in_words(),
            "validity": data.validity_data(self._shown.validity),
            "explained": self._shown.preview is not None,
            "deviations": data.deviation_rows(self._shown),
        }

    # -- what the front end shows -----------------------------------------------------------------

    @callable_from_front
    def rows(self, unfolded: dict[str, Any] | None = None, reveal: str | None = None) -> dict[str, Any]:
        """The rows of the tree; ``unfolded`` as the last answer had it, None for what is unfolded at first.

        ``reveal``: a part that must be among them.
        """
        wanted = Unfolded.at_first(self._shown) if unfolded is None else Unfolded.of(unfolded)
        if reveal is not None:
            wanted = wanted.revealing(self._shown, reveal)
        found, more = rows(self._shown, wanted, self._changes)
        return {"unfolded": wanted.to_dict(), "rows": found, "more": more, "version": self._version}

    @callable_from_front
    def detail(self, path: str, removed: int | None = None) -> dict[str, Any] | None:
        """One part in full, or a member that was removed from it; None when it is gone."""
        try:
            if removed is not None:
                return self._changes.removed[path][removed].detail()
            return data.detail(self._shown, path)
        except (KeyError, IndexError):
            return None

    @callable_from_front
    def search(self, text: str) -> dict[str, Any]:
        """Where ``text`` occurs, and whether it does elsewhere, too."""
        found = data.search(self._shown, text)
        return {"found": found[: data.MOST_FOUND], "more": len(found) > data.MOST_FOUND}

    @callable_from_front
    def copy(self, path: str) -> str:
        """A part as JSON, to be pasted; what is secret is not in it."""
        try:
            return json.dumps(data.part(self._shown, path), indent=2)
        except KeyError:
            raise InvalidSpec("this part is gone", path=visible(path)) from None

    @callable_from_front
    def seen(self) -> dict[str, Any]:
        """Take the marks of what changed away."""
        self._changes = Changes()
        return self._state()

    @callable_from_front
    def choices(self) -> list[list[str]]:
        """What there is to compare with."""
        if self._shown.preview is None:
            return []
        return [[visible(key), visible(name)] for key, name in choices(self._shown.preview)]

    @callable_from_front
    def compare(self, other: str) -> dict[str, Any]:
        """The differences from what was chosen."""
        preview = self._shown.preview
        if preview is None:
            raise InvalidSpec("a configuration alone is compared in Python", hint="sb.preview().diff(...)")
        found = data.diff_data(preview.diff(chosen(preview, other, self._before)))
        return {**found, "other": visible(dict(choices(preview)).get(other, other))}
