"""Why one program inside cannot be executed: x bit, #! line, architecture, ELF interpreter, shared libraries."""

from __future__ import annotations

import difflib
import os
import posixpath

from tvixbuild_nb.castore import DirectoryNode
from tvixbuild_nb.debug.cures import Cures
from tvixbuild_nb.debug.elf import MAGIC, Elf, read_elf
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.inside import Entry, MountView

_DEPTH = 4
_MOST_PLACES = 3
_MOST_NAMES = 500
# e_machine of what a processor runs, see elf(5); 32 bits beside 64.
_MACHINES = {"x86_64": (62, 3), "aarch64": (183, 40), "riscv64": (243,), "ppc64le": (21,), "s390x": (22,), "i686": (3,)}
_NAMES = {3: "i386", 8: "MIPS", 21: "PowerPC 64", 22: "S/390", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}
_DEFAULT = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")


def elsewhere(view: MountView, name: str) -> tuple[str, ...]:
    """Where the inputs have an entry of this name, at most three; those in a bin directory first."""
    found = [path for path, _ in view.files if posixpath.basename(path) == name]
    return tuple(sorted(found, key=lambda path: posixpath.basename(posixpath.dirname(path)) != "bin")[:_MOST_PLACES])


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
        return _binary(view, cures, path, elf, known, depth)
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
    name = _owner(view, entry.path)
    whole = name is not None and not isinstance(view.request.inputs[name], DirectoryNode)
    return cures.executable(entry.path, name, "PATH" if whole else f"PATH/{posixpath.basename(entry.path)}")


def _owner(view: MountView, path: str) -> str | None:
    """The input that has the absolute ``path``; None for what is of no input."""
    return next(
        (name for name in view.request.inputs if f"{path}/".startswith(f"/{view.request.input_path(name)}/")), None
    )


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
        cure = cures.shebang(words[0], called, shell, _owner(view, view.resolve(path).path))
    return Finding(cause, (*known, *finding.evidence), cure, finding.confidence)


def _binary(
    view: MountView, cures: Cures, path: str, elf: Elf, known: tuple[Evidence, ...], depth: int
) -> Finding | None:
    here = os.uname().machine
    runs = _MACHINES.get(here)
    if runs is not None and elf.machine not in runs:
        name = _NAMES.get(elf.machine, f"machine {elf.machine}")
        cure = f"# build or take {posixpath.basename(path)} for {here}, or run it on a builder of its own system"
        said = Evidence("file", f"its ELF header says {name}")
        return Finding(f"{path} is for {name}, this host is {here}", (*known, said), cure, "certain")
    if elf.interpreter is not None:
        loader = view.resolve(elf.interpreter)
        if loader.kind == "missing":
            said = Evidence("file", f"its ELF interpreter {elf.interpreter} is not there")
            return Finding(f"{path} is there, but its ELF interpreter {elf.interpreter} is not inside", (*known, said),
                           _with_libraries(view, cures, path, elf, elf.interpreter), "certain")  # fmt: skip
    missing = _missing_libraries(view, path, elf)
    return None if not missing or depth == _DEPTH else _without_libraries(view, cures, path, elf, missing, known)


def _without_libraries(
    view: MountView, cures: Cures, path: str, elf: Elf, missing: list[str], known: tuple[Evidence, ...]
) -> Finding:
    facts = [f"libraries are looked for in {', '.join(_searched(view, path, elf))}"]
    facts += filter(None, map(view.searched, missing))
    cause = f"{path} is there, but its shared library {', '.join(missing)} is not found"
    cure, sure = _with_libraries(view, cures, path, elf, missing[0]), False
    places = elsewhere(view, missing[0])
    if places:
        facts += [f"{place} is there" for place in places]
        cure, sure = cures.search_path("LD_LIBRARY_PATH", posixpath.dirname(places[0])), True
    else:
        # Of another version: libssl.so.3 for libssl.so.1.1.
        start = missing[0].partition(".so")[0] + ".so"
        facts += [f"{place} is there" for place, _ in view.files if posixpath.basename(place).startswith(start)][:3]
    return Finding(cause, (*known, *(Evidence("file", fact) for fact in facts)), cure, "certain" if sure else "likely")


def _with_libraries(view: MountView, cures: Cures, path: str, elf: Elf, name: str) -> str:
    real = view.resolve(path).path
    owner = _owner(view, real)
    # What was added as the host's program stands where the host has it, and the host has the rest.
    mirrored = not view.request.inputs_dir and os.path.isfile(real)
    if owner is None or mirrored:
        return cures.with_libraries(path, name)
    missing = [place for place in _own_search(view, path, elf) if view.resolve(place).kind == "missing"]
    return cures.beside(real, owner, name, tuple(missing))


def _own_search(view: MountView, path: str, elf: Elf) -> list[str]:
    origin = posixpath.dirname(view.resolve(path).path)
    return [part.replace("$ORIGIN", origin).replace("${ORIGIN}", origin) for part in elf.search]


def _searched(view: MountView, path: str, elf: Elf) -> list[str]:
    own = _own_search(view, path, elf)
    given = view.request.environment_vars.get("LD_LIBRARY_PATH", b"").decode("utf-8", "replace").split(":")
    # Debian's loaders also look into a directory for each architecture.
    triple = [f"{place}/{os.uname().machine}-linux-gnu" for place in ("/lib", "/usr/lib")]
    beside = [] if elf.interpreter is None else [posixpath.dirname(view.resolve(elf.interpreter).path)]
    return list(dict.fromkeys(part for part in (*own, *given, *beside, *triple, *_DEFAULT) if part))


def _missing_libraries(view: MountView, path: str, elf: Elf) -> list[str]:
    places = _searched(view, path, elf)
    return [
        name
        for name in elf.needed
        if all(view.resolve(name if "/" in name else f"{place}/{name}").kind == "missing" for place in places)
    ]
