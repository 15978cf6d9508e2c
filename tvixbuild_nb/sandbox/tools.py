"""Programs of this host added to a sandbox in which nothing of the host is: with their own loader and libraries."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, Node
from tvixbuild_nb.debug.elf import read_elf
from tvixbuild_nb.errors import HostRefused, InvalidValue
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.sandbox.hostprogram import program_files

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.run import Run

NAME = "tvixbuild-nb-tools"


_SHELLS = frozenset({"sh", "ash", "dash", "bash"})


@dataclass(frozen=True, slots=True)
class Tools:
    """An input ``name``: ``bin/`` starts the tools and a shell; ``exec/`` and ``lib/`` are what they consist of."""

    name: str
    node: Node
    place: str

    @property
    def shell(self) -> str:
        """A shell that needs nothing else, inside."""
        return f"{self.place}/bin/sh"

    def on_path(self, words: Sequence[str]) -> tuple[str, ...]:
        """``words`` with the tools behind all that PATH has already."""
        script = f'PATH="${{PATH-}}${{PATH:+:}}{self.place}/bin"; export PATH; exec "$@"'
        return (self.shell, "-c", script, "sh", *words)


def tools_of(run: Run, names: Sequence[str]) -> Tools:
    """The programs ``names`` of this host as an input for the sandbox of ``run``.

    :class:`HostRefused` for what is no program here, lacks a library or is a script for more than a shell;
    :class:`InvalidValue` for one text instead of a list. The shell is the sandbox shell of this host, which is static.
    """
    if isinstance(names, str):
        raise InvalidValue("tools are a list of programs", path="tools", hint=f"tools=[{names!r}]")
    inputs_dir = run.request.inputs_dir
    shell = SpecOptions.for_host().sandbox_shell
    if shell is None:
        raise HostRefused("tools need a static shell", path="tools", hint="apt-get install busybox-static")
    box = _Box(run.castore, f"/{inputs_dir}/{NAME}" if inputs_dir else f"/{NAME}")
    box.programs["sh"] = run.castore.ingest(os.path.realpath(shell))
    for index, name in enumerate(names):
        try:
            box.add(name)
        except HostRefused as error:
            raise HostRefused(error.message, path="tools", index=index, hint=error.hint) from error
    return Tools(NAME, box.node(), box.place)


class _Box:
    """The tools being put together; ``place`` is where they will stand inside."""

    def __init__(self, castore: Castore, place: str) -> None:
        self.place = place
        self.programs: dict[str, Node] = {}
        self._castore = castore
        self._parts: dict[str, Node] = {}
        self._libraries: dict[str, Node] = {}

    def add(self, name: str) -> None:
        """Take a program of the host along: its file, its loader and its libraries."""
        called = os.path.basename(name)
        # Asked first, for it knows what is missing.
        program_files(name)
        found = shutil.which(name)
        assert found is not None, "its files were found"
        program = os.path.realpath(found)
        words = self._script(called, program) if _start_of(program) == b"#!" else self._binary(called, program)
        script = f'#!{self.place}/bin/sh\nexec {" ".join(map(shlex.quote, words))} "$@"\n'
        self.programs[called] = self._castore.ingest_bytes(script.encode(), executable=True)

    def _script(self, called: str, program: str) -> list[str]:
        with open(program, "rb") as file:
            interpreter, *options = os.fsdecode(file.readline(4096)[2:]).split() or [""]
        shell = os.path.basename(interpreter)
        if shell not in _SHELLS:
            raise HostRefused(
                f"{called!r} is a script for {interpreter}, which needs more than can be told",
                hint="give the build an input that has it",
            )
        if shell not in self.programs:
            self.add(interpreter)
        self._parts[called] = self._castore.ingest(program)
        return [f"{self.place}/bin/{shell}", *options, f"{self.place}/exec/{called}"]

    def _binary(self, called: str, program: str) -> list[str]:
        """How it is started: by its own loader, which the sandbox has elsewhere or not at all."""
        with open(program, "rb") as file:
            elf = read_elf(file)
        self._parts[called] = self._castore.ingest(program)
        inside = f"{self.place}/exec/{called}"
        if elf is None or elf.interpreter is None:
            return [inside]
        for path in program_files(program):
            real = os.path.realpath(path)
            if real != program and os.path.isfile(real):
                self._libraries[os.path.basename(path)] = self._castore.ingest(real)
        loader = f"{self.place}/lib/{os.path.basename(elf.interpreter)}"
        return [loader, "--library-path", f"{self.place}/lib", inside]

    def node(self) -> DirectoryNode:
        """All of it."""
        parts = {"bin": self.programs, "exec": self._parts, "lib": self._libraries}
        return self._directory({name: self._directory(nodes) for name, nodes in parts.items()})

    def _directory(self, entries: Mapping[str, Node]) -> DirectoryNode:
        directory = Directory({os.fsencode(name): node for name, node in entries.items()})
        return DirectoryNode(self._castore.directories.put(directory), directory.size)


def _start_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(2)
