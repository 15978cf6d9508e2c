"""Where inputs have something: files by their name, and which input a path belongs to."""

from __future__ import annotations

import posixpath

from tvixbuild_nb.debug.inside import MountView

_MOST_PLACES = 3


def elsewhere(view: MountView, name: str) -> tuple[str, ...]:
    """Where the inputs have an entry of this name, at most three; those in a bin directory first."""
    found = [path for path, _ in view.files if posixpath.basename(path) == name]
    return tuple(sorted(found, key=lambda path: posixpath.basename(posixpath.dirname(path)) != "bin")[:_MOST_PLACES])


def owner_of(view: MountView, path: str) -> str | None:
    """The input that has the absolute ``path``; None for what is of no input."""
    return next(
        (name for name in view.request.inputs if f"{path}/".startswith(f"/{view.request.input_path(name)}/")), None
    )
