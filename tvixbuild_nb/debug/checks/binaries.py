"""Why an ELF file inside cannot be executed: its architecture, its interpreter, its shared libraries."""

from __future__ import annotations

import os
import posixpath

from tvixbuild_nb.debug.checks.places import elsewhere, owner_of
from tvixbuild_nb.debug.cures import Cures
from tvixbuild_nb.debug.elf import Elf
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.inside import MountView

# e_machine of what a processor runs, see elf(5); 32 bits beside 64.
_MACHINES = {"x86_64": (62, 3), "aarch64": (183, 40), "riscv64": (243,), "ppc64le": (21,), "s390x": (22,), "i686": (3,)}
_NAMES = {3: "i386", 8: "MIPS", 21: "PowerPC 64", 22: "S/390", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}
_DEFAULT = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")


def binary(view: MountView, cures: Cures, path: str, elf: Elf, known: tuple[Evidence, ...]) -> Finding | None:
    """What keeps the ELF file at ``path`` from being executed, None when nothing is found; ``known`` led to it."""
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
    return None if not missing else _without_libraries(view, cures, path, elf, missing, known)


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
    owner = owner_of(view, real)
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
