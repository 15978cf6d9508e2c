"""The C compiler of this host: which of its files are needed to compile and link one program."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tvixbuild_nb.errors import HostRefused

_HINT = "install a C compiler with its headers: apt-get install gcc libc6-dev"
# What a linker script names: paths, and libraries to be searched for.
_SCRIPT_WORDS = re.compile(r"[/\w.+-]+")
_SCRIPT_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Compiler:
    """A compiler that can build ``source``: ``data`` are the files beside its own that this takes.

    ``static``: programs need nothing at run time. ``path`` holds the directories of its tools, for PATH.
    """

    program: str
    static: bool
    data: tuple[str, ...]
    path: str

    @property
    def flags(self) -> tuple[str, ...]:
        return _flags(self.static)


def _flags(static: bool) -> tuple[str, ...]:
    # Also when gcc is asked: with -O2 it reads other headers than without.
    return ("-O2", "-Wall", *(["-static"] if static else []))


def find_compiler(source: Path, *, static: bool | None = None) -> Compiler:
    """The host's gcc and what it needs for ``source``; ``static`` None: where the C library can be had so.

    gcc is asked itself (``-###`` prints the commands it would run, ``-M`` the headers it would read), so nothing
    is compiled here. :class:`HostRefused` when there is none, or headers or libraries are missing.
    """
    program = _tool("gcc")
    if program is None:
        raise HostRefused("there is no gcc on PATH", path="gcc", hint=_HINT)
    if static is None:
        static = _file(program, "libc.a") is not None
    flags = _flags(static)
    plan = _said([program, *flags, "-###", str(source), "-o", "program"])
    tools = [tool for name in ("as", "ld") if (tool := _tool(_said([program, f"-print-prog-name={name}"]).strip()))]
    data = {*tools, *_files_in(plan), *_libraries(program, plan, static), *_headers([program, *flags], source)}
    directories = dict.fromkeys(os.path.dirname(tool) for tool in (program, *tools))
    return Compiler(program, static, tuple(sorted(data)), ":".join(directories))


def _tool(name: str) -> str | None:
    """The absolute path of a program, its directory without links: /bin may be a link, and a sandbox's own."""
    found = shutil.which(name)
    return None if found is None else os.path.join(os.path.realpath(os.path.dirname(found)), os.path.basename(found))


def _said(command: list[str]) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        encoding="utf-8", errors="surrogateescape", timeout=30, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise HostRefused(f"{shlex.join(command)}: {done.stdout.strip()}", path="gcc", hint=_HINT)
    return done.stdout


def _file(program: str, name: str) -> str | None:
    """Where the compiler finds a file of its own or a library; None when it does not."""
    path = _said([program, f"-print-file-name={name}"]).strip()
    return os.path.normpath(path) if path.startswith("/") and os.path.isfile(path) else None


def _commands(plan: str) -> Iterator[list[str]]:
    # Commands are indented, what gcc says about itself is not.
    return (shlex.split(line) for line in plan.splitlines() if line.startswith(" "))


def _files_in(plan: str) -> Iterator[str]:
    """The programs, plugins and objects that the commands name; what they would make is not there yet."""
    for word in (word for command in _commands(plan) for word in command):
        path = word.partition("=")[2] if word.startswith("-plugin-opt=/") else word
        if path.startswith("/") and os.path.isfile(path) and not path.endswith(".c"):
            yield os.path.normpath(path)


def _libraries(program: str, plan: str, static: bool) -> set[str]:
    wanted = {word[2:] for command in _commands(plan) for word in command if word.startswith("-l")}
    endings = (".a",) if static else (".so", ".a")
    found: set[str] = set()
    _take(program, (f"lib{name}{ending}" for name in wanted for ending in endings), found)
    return found


def _take(program: str, names: Iterable[str], found: set[str]) -> None:
    """Add where these libraries are, and what the linker scripts among them name."""
    for name in names:
        path = os.path.normpath(name) if name.startswith("/") else _file(program, name)
        if path is None or path in found or not os.path.isfile(path):
            continue
        found.add(path)
        if os.path.getsize(path) < _SCRIPT_LIMIT:
            text = Path(path).read_bytes()
            if text.startswith(b"/* GNU ld script"):
                words = _SCRIPT_WORDS.findall(text.decode("ascii", "replace"))
                _take(program, (word for word in words if ".so" in word or word.endswith(".a")), found)


def _headers(command: list[str], source: Path) -> set[str]:
    words = _said([*command, "-M", str(source)]).replace("\\\n", " ").split()
    return {os.path.normpath(word) for word in words if word.startswith("/") and word.endswith(".h")}
