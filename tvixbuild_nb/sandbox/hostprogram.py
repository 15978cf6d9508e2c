"""Programs of the host as inputs: which files one needs to start, and how they become castore nodes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, Node, SymlinkNode
from tvixbuild_nb.errors import HostRefused, InvalidRequest

_MAX_LINKS = 40
# As glibc and musl put it.
_MISSING = re.compile(r"shared librar(?:ies:|y) ([^:\s]+)")


def program_files(program: str, data: Sequence[str] = ()) -> tuple[str, ...]:
    """Absolute host paths that ``program`` needs to start: itself, links on the way, loader, libraries, ``data``.

    Links are listed beside what they lead to, directories only when they are empty. Of a directory in
    ``data`` everything is taken; links in it that lead to directories elsewhere stay links. Raises
    :class:`HostRefused` when the program, a library of it or a path of ``data`` is not there. Libraries are those
    that are found without this process's ``LD_LIBRARY_PATH``.
    """
    found = shutil.which(program)
    if found is None:
        raise HostRefused(f"{program!r} is not a program of this host", path="program", hint="a name on PATH or a path")
    wanted = _Collector()
    wanted.executable(os.path.abspath(found))
    for path in data:
        if not os.path.lexists(path):
            raise HostRefused(f"{path!r} is not there", path="data")
        wanted.data(os.path.abspath(path))
    return tuple(sorted(wanted.paths))


class _Collector:
    def __init__(self) -> None:
        self.paths: set[str] = set()
        self._examined: set[str] = set()

    def executable(self, path: str) -> None:
        """Take a program or library and whatever it needs to be loaded."""
        real = self.follow(path)
        if real in self._examined:
            return
        self._examined.add(real)
        start = _start_of(real)
        if start.startswith(b"#!"):
            self._script(real, [os.fsdecode(word) for word in start[2:].split(b"\n", 1)[0].split()])
        elif start.startswith(b"\x7fELF"):
            interpreter_path, dynamic = _elf_needs(real)
            if interpreter_path is not None:
                self.executable(interpreter_path)
            if dynamic:
                for library in _libraries(real, interpreter_path):
                    self.executable(library)

    def _script(self, script: str, interpreter: list[str]) -> None:
        """Take the interpreter; when that is env, also the program it looks for (after its options and variables)."""
        if not interpreter:
            return
        self.executable(interpreter[0])
        if os.path.basename(interpreter[0]) != "env":
            return
        name = next((word for word in interpreter[1:] if not word.startswith("-") and "=" not in word), None)
        path = None if name is None else shutil.which(name)
        if path is None:
            raise HostRefused(f"{script} needs {name or 'an interpreter'}, which is not on PATH", path="program")
        self.executable(os.path.abspath(path))

    def data(self, path: str) -> None:
        """Take a file, or a directory with all below it; programs and libraries among them are followed."""
        if not os.path.exists(path):
            directory, name = os.path.split(path)
            self.paths.add(os.path.join(self.follow(directory), name))  # a broken link
            return
        real = self.follow(path)
        if not os.path.isdir(real):
            self._maybe_executable(real)
            return
        for directory, names, files in os.walk(real):
            if not names and not files:
                self.paths.add(directory)
            for name in [*names, *files]:
                entry = os.path.join(directory, name)
                if os.path.isfile(entry):
                    # What cannot start here for want of a library need not start inside.
                    with contextlib.suppress(HostRefused):
                        self._maybe_executable(self.follow(entry))
                elif os.path.islink(entry):
                    self.paths.add(entry)

    def _maybe_executable(self, path: str) -> None:
        self.paths.add(path)
        if _start_of(path)[:4] == b"\x7fELF" and (os.stat(path).st_mode & 0o111 or ".so" in os.path.basename(path)):
            self.executable(path)

    def follow(self, path: str) -> str:
        """Take every link on the way to ``path``, and what it leads to; the path without links."""
        for _ in range(_MAX_LINKS):
            link = _first_link(path)
            if link is None:
                break
            self.paths.add(link)
            rest = os.path.relpath(path, link)
            target = os.path.join(os.path.dirname(link), os.readlink(link))
            path = os.path.normpath(target if rest == "." else os.path.join(target, rest))
        if not os.path.isdir(path):
            if not os.path.exists(path):
                raise HostRefused(f"{path!r} is not there", path="program")
            self.paths.add(path)
        return path


def _first_link(path: str) -> str | None:
    parts = path.strip("/").split("/")
    for end in range(1, len(parts) + 1):
        prefix = "/" + "/".join(parts[:end])
        if os.path.islink(prefix):
            return prefix
    return None


def _start_of(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4096)
    except OSError as error:
        raise HostRefused(f"{path} cannot be read: {error.strerror}", path="program") from error


def _elf_needs(path: str) -> tuple[str | None, bool]:
    """(the ELF interpreter or None, whether there is anything to be linked at run time); damaged: (None, False)."""
    from tvixbuild_nb.debug.elf import read_elf  # loaded when first asked

    with open(path, "rb") as file:
        elf = read_elf(file)
    return (None, False) if elf is None else (elf.interpreter, elf.dynamic)


def _libraries(path: str, interpreter: str | None) -> Iterator[str]:
    """The shared libraries the loader would map for ``path``: asked from the loader itself."""
    loader = interpreter if interpreter is not None else _elf_needs(shutil.which("sh") or "/bin/sh")[0]
    if loader is None:
        return
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LD_")}
    try:
        listing = subprocess.run(
            [loader, "--list", path],
            capture_output=True, stdin=subprocess.DEVNULL, env=environment, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostRefused(
            f"{path} needs the loader {loader}, which does not run here: {error}", path="program"
        ) from error
    if listing.returncode != 0 and interpreter is not None:
        # With a library missing, the loader lists nothing and says which one.
        told = listing.stderr.decode("utf-8", "replace").strip()
        missing = _MISSING.search(told)
        reason = f"needs {missing[1]}, which this host does not have" if missing else f"cannot be loaded: {told}"
        raise HostRefused(f"{path} {reason}", path="program")
    for line in listing.stdout.decode("utf-8", "surrogateescape").splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        target = (rest if arrow else name).rpartition(" (")[0]
        if target.startswith("/"):
            yield target


@dataclass(slots=True)
class _Folder:
    """A directory being put together: what is there already, and what comes."""

    known: Directory
    folders: dict[bytes, _Folder] = field(default_factory=dict)
    nodes: dict[bytes, Node] = field(default_factory=dict)


def add_to_inputs(castore: Castore, inputs: Mapping[str, Node], paths: Iterable[str]) -> dict[str, Node]:
    """``inputs`` with the host's ``paths`` added at their places below the root, merged into what is there.

    :class:`InvalidRequest` when something else stands at one of the places.
    """
    root = _Folder(Directory({name.encode(): node for name, node in inputs.items()}))
    for path in paths:
        folder = root
        *parents, name = os.fsencode(path).strip(b"/").split(b"/")
        empty_directory = os.path.isdir(path) and not os.path.islink(path)
        if empty_directory:
            parents.append(name)
        for depth, parent in enumerate(parents):
            if parent not in folder.folders:
                known = folder.known.entries.get(parent)
                folder.folders[parent] = _Folder(_directory(castore, known, b"/".join(parents[: depth + 1])))
            folder = folder.folders[parent]
        if not empty_directory:
            folder.nodes[name] = _node(castore, path)
    entries = _merged(castore, root, b"")
    return {os.fsdecode(name): node for name, node in entries.items()}


def _directory(castore: Castore, node: Node | None, path: bytes) -> Directory:
    if node is None:
        return Directory()
    directory = castore.directories.get(node.digest) if isinstance(node, DirectoryNode) else None
    if directory is None:
        raise InvalidRequest(f"/{os.fsdecode(path)} is already an input, and no directory of the store", path="inputs")
    return directory


def _node(castore: Castore, path: str) -> Node:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return SymlinkNode(os.fsencode(os.readlink(path)))
    return castore.ingest(path)


def _merged(castore: Castore, folder: _Folder, path: bytes) -> dict[bytes, Node]:
    entries = dict(folder.known.entries)
    for name, node in folder.nodes.items():
        known = entries.get(name)
        if known is not None and known != node:
            place = os.fsdecode(path + b"/" + name)
            raise InvalidRequest(f"{place} is already an input, and another one", path="inputs")
        entries[name] = node
    for name, below in folder.folders.items():
        directory = Directory(_merged(castore, below, path + b"/" + name))
        entries[name] = DirectoryNode(castore.directories.put(directory), directory.size)
    return entries
