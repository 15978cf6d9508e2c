"""A preview in a running notebook: it follows its sandbox and marks what changed."""

from __future__ import annotations

import json
from typing import Any

from tvixbuild_nb.errors import InvalidSpec, TvixBuildError
from tvixbuild_nb.oci import Preview, Spec
from tvixbuild_nb.oci.compare import differences
from tvixbuild_nb.oci.explanation import parts
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front
from tvixbuild_nb.widgets.preview import data
from tvixbuild_nb.widgets.preview.others import choices, chosen


class PreviewView(LiveView):
    """The tree, what is to be said about the chosen part, and a comparison; each asked for when it is shown."""

    _esm = front("js", "previewtree", "previewdetail", "preview")
    _css = front("css", "preview")

    def __init__(self, value: Preview | Spec) -> None:
        self._shown = data.Shown.of(value)
        self._before: Preview | None = None
        self._changed: frozenset[str] = frozenset()
        self._told: list[str] = []
        self._problem: str | None = None
        self._version = 0
        self._displayed: set[str] = set()
        self._cancel: Any = None
        super().__init__()

    # -- following the sandbox --------------------------------------------------------------------

    @callable_from_front
    def appear(self, view: str) -> dict[str, Any]:
        """A view is displayed: from now on the sandbox is watched."""
        self._displayed.add(view)
        preview = self._shown.preview
        if self._cancel is None and preview is not None and (sandbox := preview.origin()) is not None:
            self._cancel = sandbox.watch(self._sandbox_changed)
            self._follow()
        return self._state()

    @callable_from_front
    def vanish(self, view: str) -> None:
        """A view is gone; the last one ends the watch."""
        self._displayed.discard(view)
        if not self._displayed:
            self._unwatch()

    def close(self) -> None:
        """End the widget."""
        self._unwatch()
        super().close()

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
        found = differences(now.spec.to_dict(), before.spec.to_dict())
        if found:
            self._changed = frozenset(row.path for row in found if row.kind != "theirs only")
            self._told = [f"{row.where} ({'removed' if row.kind == 'theirs only' else row.kind})" for row in found]
            self._told = [text.replace("ours only", "added") for text in self._told]
            self._before = before
        self._shown = data.Shown.of(now)

    def _state(self) -> dict[str, Any]:
        return {
            "version": self._version,
            "problem": self._problem,
            "changed": [visible(self._shown.redacted(text)) for text in self._told[:20]],
            "validity": data.validity_data(self._shown.validity),
            "explained": self._shown.preview is not None,
            "deviations": data.deviation_rows(self._shown),
        }

    # -- what the front end shows -----------------------------------------------------------------

    @callable_from_front
    def rows(self, opened: list[str] | None = None) -> dict[str, Any]:
        """The rows of the tree while ``opened`` is unfolded; None: what is unfolded at first."""
        wanted = data.first_open(self._shown) if opened is None else opened
        return {"opened": wanted, "rows": data.rows(self._shown, wanted, self._changed), "version": self._version}

    @callable_from_front
    def detail(self, path: str) -> dict[str, Any] | None:
        """One part in full; None when it is gone."""
        try:
            return data.detail(self._shown, path)
        except KeyError:
            return None

    @callable_from_front
    def search(self, text: str) -> dict[str, Any]:
        """Where ``text`` occurs, and what must be unfolded to see it."""
        found = data.search(self._shown, text)
        return {"found": found, "most": data.MOST_FOUND}

    @callable_from_front
    def unfold_all(self) -> list[str]:
        """The parts that can be unfolded."""
        return [path for path, value in parts(self._shown.config) if isinstance(value, dict | list) and value]

    @callable_from_front
    def copy(self, path: str) -> str:
        """A part as JSON, to be pasted; what is secret is not in it."""
        return json.dumps(data.part(self._shown, path), indent=2)

    @callable_from_front
    def seen(self) -> dict[str, Any]:
        """Take the marks of what changed away."""
        self._changed, self._told = frozenset(), []
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
