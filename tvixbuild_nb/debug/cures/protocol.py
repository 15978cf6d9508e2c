"""Cures: what a checker asks for when it knows a cause."""

from __future__ import annotations

from typing import Protocol


class Cures(Protocol):
    """What to do, for one request that failed. Paths are absolute ones inside."""

    def known(self, cure: str, elsewhere: str) -> str:
        """The one of a known text's two cures that its reader can follow: with a sandbox, or without."""

    def variable(self, name: str, value: str) -> str:
        """What sets a variable of the environment."""

    def stands_for(self, name: str, path: str) -> str:
        """What has a variable stand for a path to write to, such as an output; or says to write that path itself."""

    def search_path(self, variable: str, directory: str) -> str:
        """What puts a directory before the others of a variable such as PATH."""

    def program(self, name: str) -> str:
        """What gives the build a program that it calls by this name or path."""

    def path(self, path: str) -> str:
        """What brings a path inside, which is a program or belongs to one."""

    def package(self, file: str, variable: str) -> str:
        """What gives the build something that has ``file``, found by way of ``variable``."""

    def with_libraries(self, program: str, name: str) -> str:
        """What gives a program of the host, or of nobody's input, the loader or the shared library ``name``."""

    def beside(self, program: str, owner: str, name: str, missing: tuple[str, ...]) -> str:
        """What gives ``program`` of the input ``owner`` the loader (a path) or library (a name) that it wants.

        ``missing``: directories of its own search path that are not there.
        """

    def toolchain(self) -> str:
        """What gives the build a compiler with all its parts."""

    def shebang(self, interpreter: str, called: str, instead: str, owner: str | None) -> str:
        """What mends a script whose #! line names an interpreter that is not there.

        ``called``: the program that it is to run, which env would look for; ``instead``: one that is there; ``owner``:
        the input that has the script.
        """

    def executable(self, path: str, name: str | None, place: str) -> str:
        """What makes a file executable: of the input ``name`` and ``place`` on the host, None for one of no input."""

    def command(self, program: str, instead: str | None = None) -> str:
        """What starts ``program``; where ``instead`` is given, in its place and with its arguments."""

    def by_shell(self, script: str, note: str) -> str:
        """What has a shell read a script; ``note`` says why, or what else would do."""

    def shell(self) -> str:
        """What brings /bin/sh inside."""

    def written(self, near: str, wanted: str) -> str:
        """What makes an output of ``near``, which was written in place of ``wanted``."""

    def unwritten(self, wanted: str) -> str:
        """What makes an output that is not there."""

    def line_ends(self, files: tuple[str, ...]) -> str:
        """What takes CR off the line ends of the command's texts; ``files``: those that stand in files, inside."""

    def writable(self, directory: str | None) -> str:
        """What lets it write into ``directory``, None where that cannot be had; relative to the root."""

    def given(self, path: str, *, here: bool) -> str:
        """What has a path, which is no program, be there; ``here``: whether this host has it."""

    def disk(self) -> str:
        """What gives it a larger disk."""

    def certificates(self) -> str:
        """What gives the build certificate authorities."""

    def network(self, otherwise: str) -> str:
        """What gives it the network; ``otherwise`` says how it would do without."""

    def limit(self, name: str, value: int, note: str) -> str:
        """What sets one limit of the sandbox to ``value``; ``note`` says what else would help."""

    def more_files(self, now: int) -> str:
        """What allows more open files than ``now``."""

    def checkout(self) -> str:
        """What runs it without FUSE."""

    def again(self, option: str | None = None, seconds: int = 0) -> str:
        """What runs it again, with ``option`` (timeout, silent_timeout) raised to ``seconds``."""

    def waiting(self, run: str) -> str:
        """What shows who waited for what in the run of this id."""
