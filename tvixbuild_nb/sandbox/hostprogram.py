"""Programs of the host as inputs: which files one needs to start, and how they become castore nodes."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, Node, SymlinkNode
from tvixbuild_nb.errors import HostRefused, InvalidRequest

_PT_DYNAMIC, _PT_INTERP = 2, 3
_MAX_LINKS = 40


def program_files(program: str, data: Sequence[str] = ()) -> tuple[str, ...]:
    """Absolute host paths that ``program`` needs to start: itself, links on the way, loader, libraries, ``data``.

    Links are listed beside what they lead to. Raises :class:`HostRefused` when the program, a library or
    a path of ``data`` is not there.
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
        with open(real, "rb") as file:
            start = file.read(4096)
        if start.startswith(b"#!"):
            interpreter = start[2:].split(b"\n", 1)[0].split()
            if interpreter:
                self.executable(os.fsdecode(interpreter[0]))
                if os.path.basename(interpreter[0]) == b"env" and len(interpreter) > 1:
                    self.named(os.fsdecode(interpreter[1]))
        elif start.startswith(b"\x7fELF"):
            interpreter_path, dynamic = _elf_needs(real)
            if interpreter_path is not None:
                self.executable(interpreter_path)
            if dynamic:
                for library in _libraries(real, interpreter_path):
                    self.executable(library)

    def named(self, name: str) -> None:
        """Take a program by its name on PATH, when there is one."""
        path = shutil.which(name)
        if path is not None:
            self.executable(path)

    def data(self, path: str) -> None:
        """Take a file, or a directory with all below it; programs and libraries among them are followed."""
        real = self.follow(path)
        if not os.path.isdir(real):
            self._maybe_executable(real)
            return
        for directory, names, files in os.walk(real):
            for name in [*names, *files]:
                entry = os.path.join(directory, name)
                if os.path.islink(entry):
                    if os.path.exists(entry):
                        self.follow(entry)
                    else:
                        self.paths.add(entry)
                elif os.path.isfile(entry):
                    self._maybe_executable(entry)

    def _maybe_executable(self, path: str) -> None:
        self.paths.add(path)
        with open(path, "rb") as file:
            magic = file.read(4)
        if magic == b"\x7fELF" and (os.stat(path).st_mode & 0o111 or ".so" in os.path.basename(path)):
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


def _elf_needs(path: str) -> tuple[str | None, bool]:
    """(the ELF interpreter or None, whether there is anything to be linked at run time); see elf(5)."""
    with open(path, "rb") as file:
        header = file.read(64)
        wide, order = header[4] == 2, "<" if header[5] == 1 else ">"
        if wide:
            (offset,) = struct.unpack_from(f"{order}Q", header, 32)
            size, count = struct.unpack_from(f"{order}HH", header, 54)
        else:
            (offset,) = struct.unpack_from(f"{order}I", header, 28)
            size, count = struct.unpack_from(f"{order}HH", header, 42)
        file.seek(offset)
        table = file.read(size * count)
        interpreter, dynamic = None, False
        for index in range(count):
            entry = table[index * size : (index + 1) * size]
            (kind,) = struct.unpack_from(f"{order}I", entry, 0)
            dynamic = dynamic or kind == _PT_DYNAMIC
            if kind == _PT_INTERP:
                if wide:
                    start, _, _, length = struct.unpack_from(f"{order}QQQQ", entry, 8)
                else:
                    start, _, _, length = struct.unpack_from(f"{order}IIII", entry, 4)
                file.seek(start)
                interpreter = os.fsdecode(file.read(length).rstrip(b"\0"))
    return interpreter, dynamic


def _libraries(path: str, interpreter: str | None) -> Iterator[str]:
    """The shared libraries the loader would map for ``path``: asked from the loader itself."""
    loader = interpreter if interpreter is not None else _elf_needs(shutil.which("sh") or "/bin/sh")[0]
    if loader is None:
        return
    listing = subprocess.run(
        [loader, "--list", path], capture_output=True, stdin=subprocess.DEVNULL, timeout=30, check=False
    )
    for line in listing.stdout.decode("utf-8", "surrogateescape").splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        target = rest.rpartition(" (")[0] if arrow else name.rpartition(" (")[0]
        if arrow and "not found" in rest and interpreter is not None:
            raise HostRefused(f"{path} needs {name}, which this host does not have", path="program")
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
        for depth, parent in enumerate(parents):
            if parent not in folder.folders:
                known = folder.known.entries.get(parent)
                folder.folders[parent] = _Folder(_directory(castore, known, b"/".join(parents[: depth + 1])))
            folder = folder.folders[parent]
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
