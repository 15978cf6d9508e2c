"""A path that a build asked for and that is not inside: which part of it is missing, and what is there instead."""

from __future__ import annotations

import difflib
import os
import posixpath
from collections.abc import Iterator

from tvixbuild_nb.debug.checks.cures import literal, missing_path, scratch
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.inside import MountView

_MOST_NAMES = 8


def lacking(view: MountView, path: str, line: Evidence, *, sure: bool) -> Iterator[Finding]:
    """Why the absolute ``path`` is not there, nothing when it is, or when nothing is known of where it lies.

    ``sure``: the log ends with ``line``, so that it is likely what the build failed of.
    """
    parts = [part for part in posixpath.normpath(path).split("/") if part]
    above = "/"
    for depth, name in enumerate(parts, 1):
        entry = view.resolve("/" + "/".join(parts[:depth]))
        if entry.kind == "missing":
            yield _finding(view, path, entry.path, above, name, line, sure=sure)
            return
        if entry.kind == "unknown":
            return
        above = entry.path


def _finding(view: MountView, path: str, gone: str, above: str, name: str, line: Evidence, *, sure: bool) -> Finding:
    names = view.names(above)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    shown = [f"{above.rstrip('/')}/{one} is there" for one in near]
    if not near:
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        shown = [f"{above} holds {', '.join(names[:_MOST_NAMES])}{more}" if names else f"{above} is empty"]
    evidence = (line, Evidence("file", f"{gone} is not there"), *(Evidence("file", text) for text in shown))
    cause = f"{path} is not inside" if gone == path else f"{path} is not inside: already {gone} is not"
    return Finding(cause, evidence, _cure(view, path, gone, near, above), "likely" if sure else "possible")


def _cure(view: MountView, path: str, gone: str, near: list[str], above: str) -> str:
    request = view.request
    if near:
        return f"# in the command: {above.rstrip('/')}/{near[0]} instead of {gone}"
    made = any(f"{path}/".startswith(f"/{output}/") for output in request.outputs)
    if request.inputs_dir and path.startswith(f"/{request.inputs_dir}/") and not made:
        return missing_path(request, path)
    if view.is_scratch(gone):
        return f"# in the command, before: mkdir -p {posixpath.dirname(path)}, or whatever makes {path}"
    if os.path.lexists(path):
        return f"sb.available_ro_paths = (*sb.available_ro_paths, {literal(path)})  # this host has it; or as an input"
    return f"# in the command: write below /{scratch(request)}; or, to have it there:\n" + (
        f'sb.additional_files = {{**sb.additional_files, {literal(path.lstrip("/"))}: "..."}}'
    )
