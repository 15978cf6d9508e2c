"""Trees as events: out of a castore, or from the host's file system."""

from __future__ import annotations

import io
import mmap
import os
import stat
from collections.abc import Iterator
from itertools import cycle
from typing import BinaryIO, Protocol, cast

from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, FileNode, Node
from tvixbuild_nb.castore.paths import AnyPath, reading, unfit
from tvixbuild_nb.errors import DigestMismatch, IngestError, NotFound
from tvixbuild_nb.nix.nar.events import CHUNK, LEAVE, SMALL, Enter, Event, File, Link

_FILE = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_DIRECTORY", 0)


def castore_events(castore: Castore, node: Node) -> Iterator[Event]:
    """What ``node`` reaches, contents checked on the way; :class:`NotFound` for what the store lacks."""
    buffers = _Buffers()
    if not isinstance(node, DirectoryNode):
        yield from _told(_castore_event(castore, b"", node, buffers))
        return
    yield Enter(b"")
    stack = [iter(_load(castore, node))]
    while stack:
        for name, child in stack[-1]:
            if isinstance(child, DirectoryNode):
                yield Enter(name)
                stack.append(iter(_load(castore, child)))
                break
            yield from _told(_castore_event(castore, name, child, buffers))
        else:
            stack.pop()
            yield LEAVE


def _load(castore: Castore, node: DirectoryNode) -> Directory:
    directory = castore.directories.get(node.digest)
    if directory is None:
        raise NotFound("the store does not hold this directory", path=str(node.digest))
    return directory


def _castore_event(castore: Castore, name: bytes, node: Node, buffers: _Buffers) -> Event:
    if not isinstance(node, FileNode):
        assert not isinstance(node, DirectoryNode)
        return Link(name, node.target)
    if node.size < SMALL:
        reader = castore.blobs.reader(node.digest)
        if reader is None:
            raise _no_blob(node)
        data = reader.pread(0, node.size + 1)
        reader.close()
        if len(data) != node.size:
            raise _wrong_size(node, len(data))
        return File(name, node.executable, node.size, data)
    stream = castore.blobs.open_read(node.digest)
    if stream is None:
        raise _no_blob(node)
    return File(name, node.executable, node.size, _StoredPieces(stream, node, buffers))


class _Pieces(Protocol):
    """The contents of one open file; closed when the next event is asked for, read or not."""

    def __iter__(self) -> Iterator[memoryview]: ...
    def close(self) -> None: ...


def _told(event: Event) -> Iterator[Event]:
    try:
        yield event
    finally:
        if isinstance(event, File) and not isinstance(event.data, bytes):
            cast(_Pieces, event.data).close()


class _StoredPieces:
    def __init__(self, stream: BinaryIO, node: FileNode, buffers: _Buffers) -> None:
        self._stream = stream
        self._node = node
        self._buffers = buffers
        self.close = stream.close

    def __iter__(self) -> Iterator[memoryview]:
        total = 0
        for buffer in cycle(self._buffers.pair()):
            count = cast(io.BufferedIOBase, self._stream).readinto(buffer)
            total += count
            if total > self._node.size or (not count and total != self._node.size):
                raise _wrong_size(self._node, total)
            if not count:
                return
            yield memoryview(buffer)[:count]


def _no_blob(node: FileNode) -> NotFound:
    return NotFound("the store does not hold this blob", path=str(node.digest))


def _wrong_size(node: FileNode, size: int) -> DigestMismatch:
    return DigestMismatch(f"the node says {node.size} bytes, the blob has {size}", path=str(node.digest))


class _Buffers:
    """Two in turn, made when first needed: a piece that was given away is valid until the next but one."""

    def __init__(self) -> None:
        self._pair: tuple[mmap.mmap, mmap.mmap] | None = None

    def pair(self) -> tuple[mmap.mmap, mmap.mmap]:
        if self._pair is None:
            self._pair = (mmap.mmap(-1, CHUNK), mmap.mmap(-1, CHUNK))
        return self._pair


def host_events(path: AnyPath) -> Iterator[Event]:
    """The file, directory or symlink at ``path``, never followed; :class:`IngestError` names what no NAR can hold."""
    raw = os.fsencode(path)
    raw = raw.rstrip(b"/") or raw[:1]
    buffers = _Buffers()
    with reading(raw):
        mode = os.lstat(raw).st_mode
    if not stat.S_ISDIR(mode):
        yield from _told(_host_event(b"", mode, raw, None, raw, buffers))
        return
    with reading(raw):
        stack = [_Listed(os.open(raw, _DIRECTORY), raw)]
    try:
        yield Enter(b"")
        while stack:
            top = stack[-1]
            for name, mode in top.names:
                if stat.S_ISDIR(mode):
                    below = top.path + b"/" + name
                    with reading(below):
                        stack.append(_Listed(os.open(name, _DIRECTORY, dir_fd=top.fd), below))
                    yield Enter(name)
                    break
                yield from _told(_host_event(name, mode, name, top.fd, top.path, buffers))
            else:
                os.close(stack.pop().fd)
                yield LEAVE
    finally:
        for listed in stack:
            os.close(listed.fd)


class _Listed:
    """An open directory of the host, and what is still to be told of it: names with the bits of their kind."""

    __slots__ = ("fd", "names", "path")

    def __init__(self, fd: int, path: bytes) -> None:
        self.fd = fd
        self.path = path
        try:
            with reading(path), os.scandir(fd) as listing:
                self.names = iter(sorted((os.fsencode(entry.name), _kind(entry)) for entry in listing))
        except BaseException:
            os.close(fd)
            raise


def _kind(entry: os.DirEntry[str]) -> int:
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFLNK if entry.is_symlink() else entry.stat(follow_symlinks=False).st_mode


def _host_event(name: bytes, mode: int, place: bytes, parent: int | None, path: bytes, buffers: _Buffers) -> Event:
    """The event of ``place`` in the open directory ``parent``; ``path`` is that directory's, or its own, for errors."""
    try:
        if stat.S_ISLNK(mode):
            return Link(name, os.readlink(place, dir_fd=parent))
        fd = os.open(place, _FILE, dir_fd=parent) if stat.S_ISREG(mode) else -1
        if fd < 0:
            raise unfit(_joined(path, name), mode)
        handed_over = False
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise unfit(_joined(path, name), status.st_mode)
            size, executable = status.st_size, bool(status.st_mode & stat.S_IXUSR)
            if size < SMALL:
                data = os.read(fd, size + 1)
                if len(data) != size:
                    raise _changed(_joined(path, name))
                return File(name, executable, size, data)
            handed_over = True
            return File(name, executable, size, _HostPieces(fd, size, _joined(path, name), buffers))
        finally:
            if not handed_over:
                os.close(fd)
    except OSError:
        with reading(_joined(path, name)):
            raise


class _HostPieces:
    def __init__(self, fd: int, size: int, path: bytes, buffers: _Buffers) -> None:
        self._fd = fd
        self._size = size
        self._path = path
        self._buffers = buffers

    def __iter__(self) -> Iterator[memoryview]:
        left = self._size
        for buffer in cycle(self._buffers.pair()):
            with reading(self._path):
                count = os.readv(self._fd, [memoryview(buffer)[: min(left, CHUNK)]]) if left else 0
            left -= count
            if not count:
                break
            yield memoryview(buffer)[:count]
        with reading(self._path):
            if left or os.read(self._fd, 1):
                raise _changed(self._path)

    def close(self) -> None:
        os.close(self._fd)


def _joined(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if name else path


def _changed(path: bytes) -> IngestError:
    return IngestError("the file changed while it was read", path=path, hint="try again when nobody writes to it")
