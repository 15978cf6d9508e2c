"""A path that a build asked for and that is not inside: which part of it is missing, and what is there instead."""

from __future__ import annotations

import difflib
import os
import posixpath
import re
from collections.abc import Iterator

from tvixbuild_nb.build.known import words
from tvixbuild_nb.debug.checks.places import elsewhere
from tvixbuild_nb.debug.cures import Cures
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.inside import MountView

_MOST_NAMES = 8


def lacking(view: MountView, cures: Cures, path: str, line: Evidence, *, sure: bool) -> Iterator[Finding]:
    """Why ``path`` is not there, nothing when it is, or when nothing is known of where it lies.

    A relative one is looked for where the build begins; it may have gone elsewhere, so then it is told.
    ``sure``: the log ends with ``line``, so that it is likely what the build failed of.
    """
    if not path.startswith("/"):
        path = f"/{view.request.working_dir}/{path}".replace("//", "/")
    parts = [part for part in posixpath.normpath(path).split("/") if part]
    above = "/"
    for depth, name in enumerate(parts, 1):
        entry = view.resolve("/" + "/".join(parts[:depth]))
        if entry.kind == "missing":
            yield _finding(view, cures, path, entry.path, above, name, line, sure=sure)
            return
        if entry.kind == "unknown":
            return
        above = entry.path


def _finding(
    view: MountView, cures: Cures, path: str, gone: str, above: str, name: str, line: Evidence, *, sure: bool
) -> Finding:
    names = view.names(above)
    near = [f"{above.rstrip('/')}/{one}" for one in difflib.get_close_matches(name, names, n=3, cutoff=0.6)]
    near = near or list(elsewhere(view, posixpath.basename(path)))
    shown = [f"{one} is there" for one in near]
    if not near:
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        shown = [f"{above} holds {', '.join(names[:_MOST_NAMES])}{more}" if names else f"{above} is empty"]
    evidence = (line, Evidence("file", f"{gone} is not there"), *(Evidence("file", text) for text in shown))
    cause = f"{path} is not inside" if gone == path else f"{path} is not inside: already {gone} is not"
    return Finding(cause, evidence, _cure(view, cures, path, gone, near, line), "likely" if sure else "possible")


def _cure(view: MountView, cures: Cures, path: str, gone: str, near: list[str], line: Evidence) -> str:
    request = view.request
    if near:
        return f"# in the command: {near[0]} instead of {gone}"
    made = any(f"{path}/".startswith(f"/{output}/") for output in request.outputs)
    if request.inputs_dir and path.startswith(f"/{request.inputs_dir}/") and not made:
        return cures.path(path)
    if view.is_scratch(gone):
        if gone == path:
            return f"# in the command, before: whatever makes {path}; or give it as an input, and name it there"
        return f"# in the command, before: mkdir -p {posixpath.dirname(path)}, or whatever makes {path}"
    if re.search(words.NO_PARENT, line.text):
        return cures.writable(None)
    return cures.given(path, here=os.path.lexists(path))
