"""Why one program inside cannot be executed: x bit, #! line, and what :mod:`.binaries` finds of ELF files."""

from __future__ import annotations

import difflib
import os
import posixpath

from tvixbuild_nb.castore import DirectoryNode
from tvixbuild_nb.debug.checks.binaries import binary
from tvixbuild_nb.debug.checks.places import elsewhere, owner_of
from tvixbuild_nb.debug.cures import Cures
from tvixbuild_nb.debug.elf import MAGIC, read_elf
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.inside import Entry, MountView

_DEPTH = 4
_MOST_NAMES = 500


def examine(
    view: MountView, cures: Cures, path: str, evidence: Evidence, *, strict: bool, depth: int = 0
) -> Finding | None:
    """What keeps the program at ``path`` from being executed, None when nothing is found.

    ``strict``: it is known to be meant as a program, so a missing x bit or #! line counts; else only what stands in it.
    """
    entry = view.resolve(path)
    via = tuple(Evidence("file", link) for link in entry.via)
    if entry.kind == "missing":
        return _absent(view, cures, path, entry, (evidence, *via))
    found = Evidence("file", f"{entry.path}: {entry.kind}, {entry.origin}")
    known = (evidence, *via, found)
    if entry.kind == "directory":
        if not strict:
            return None
        cure = cures.command(_program_in(view, entry.path))
        return Finding(f"{path} is a directory, no program", known, cure, "certain")
    if entry.kind != "file":
        return None
    if strict and entry.executable is False:
        return Finding(f"{path} is not executable", known, _executable_cure(view, cures, entry), "certain")
    file = view.open(entry)
    if file is None:
        return None
    with file:
        start = file.read(512)
        file.seek(0)
        elf = read_elf(file) if start.startswith(MAGIC) else None
    if start.startswith(b"#!"):
        return _script(view, cures, path, start, known, depth)
    if elf is not None:
        return binary(view, cures, path, elf, known)
    if strict and depth == 0:
        cure = cures.by_shell(path, "or put #!/bin/sh into its first line")
        return Finding(f"{path} is neither an ELF file nor a script with a #! line", known, cure, "certain")
    return None


def _program_in(view: MountView, directory: str) -> str:
    for place in (f"{directory}/bin", directory):
        for name in view.names(place)[:_MOST_NAMES]:
            entry = view.resolve(f"{place}/{name}")
            if entry.kind == "file" and entry.executable:
                return f"{place}/{name}"
    return "/bin/sh"


def _absent(view: MountView, cures: Cures, path: str, entry: Entry, known: tuple[Evidence, ...]) -> Finding:
    constraints = view.request.constraints
    if path == "/bin/sh" and (constraints is None or not constraints.provide_bin_sh):
        return Finding("/bin/sh is not inside: no shell was asked for", known, cures.shell(), "certain")
    gone = Evidence("file", f"{entry.path} is not there ({entry.origin})")
    places = elsewhere(view, posixpath.basename(path))
    if places:
        there = (Evidence("file", f"{place} is there") for place in places)
        cure = cures.command(places[0], path)
        return Finding(f"{path} is not inside, but there is {places[0]}", (*known, gone, *there), cure, "certain")
    parent = posixpath.dirname(entry.path)
    near = difflib.get_close_matches(posixpath.basename(entry.path), view.names(parent), n=3, cutoff=0.7)
    there = (Evidence("file", f"{parent.rstrip('/')}/{name} is there") for name in near)
    cure = cures.path(path)
    if entry.path != path or view.is_scratch(entry.path):
        cure = f"# in the command, before: whatever makes {entry.path}, or copies it there"
        if view.request.inputs_dir and path.startswith(f"/{view.request.inputs_dir}/"):
            cure = cures.path(path)
    return Finding(f"{path} is not inside", (*known, gone, *there), cure, "certain")


def _executable_cure(view: MountView, cures: Cures, entry: Entry) -> str:
    if isinstance(entry.source, bytes) or entry.path.lstrip("/") in view.request.additional_files:
        return cures.by_shell(entry.path, "additional files have no x bit")
    if view.is_scratch(entry.path):
        return f"# in the command, before: chmod +x {entry.path}"
    name = owner_of(view, entry.path)
    whole = name is not None and not isinstance(view.request.inputs[name], DirectoryNode)
    return cures.executable(entry.path, name, "PATH" if whole else f"PATH/{posixpath.basename(entry.path)}")


def _path(view: MountView) -> list[str]:
    path = view.request.environment_vars.get("PATH", b"").decode("utf-8", "replace")
    return [part for part in path.split(":") if part]


def _script(
    view: MountView, cures: Cures, path: str, start: bytes, known: tuple[Evidence, ...], depth: int
) -> Finding | None:
    line = start.split(b"\n", 1)[0]
    words = os.fsdecode(line[2:]).split()
    said = Evidence("file", f"its first line is {os.fsdecode(line)!r}")
    if line.endswith(b"\r"):
        cure = f"# in the file: sed -i 's/\\r$//' {posixpath.basename(path)}, then add it again"
        return Finding(f"the #! line of {path} ends in CR LF, so its interpreter's name ends in CR", (*known, said),
                       cure, "certain")  # fmt: skip
    if not words:
        return Finding(f"the #! line of {path} names no interpreter", (*known, said), "#!/bin/sh", "certain")
    if depth == _DEPTH:
        return None
    finding = examine(view, cures, words[0], said, strict=True, depth=depth + 1)
    if finding is None:
        return None
    cause = f"{path} is there, but its interpreter cannot be executed: {finding.cause}"
    cure = finding.cure
    if "is not inside" in finding.cause and words[0] != "/bin/sh":
        called = (words[1:] or words)[0] if words[0].endswith("/env") else words[0]
        other = elsewhere(view, posixpath.basename(called))
        searched = [posixpath.join(part, posixpath.basename(words[0])) for part in _path(view)]
        other = other or tuple(place for place in searched if view.resolve(place).kind == "file")
        shell = "/bin/sh" if not other else other[0]
        cure = cures.shebang(words[0], called, shell, owner_of(view, view.resolve(path).path))
    return Finding(cause, (*known, *finding.evidence), cure, finding.confidence)
