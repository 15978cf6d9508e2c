"""The kernel answered directly on /dev/fuse, without libfuse: by inode number, in a loop of one's own.

A view with a trace hears of every lookup and open once; one without lets the kernel take whatever saves
requests: entries with their attributes in listings, opens that nobody is told of.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

from tvixbuild_nb.fs import linux, protocol
from tvixbuild_nb.fs.device import Device
from tvixbuild_nb.fs.inodes import MTIME, DirEntry
from tvixbuild_nb.fs.patience import Patience
from tvixbuild_nb.fs.protocol import Opcode, OpenFlag
from tvixbuild_nb.fs.served import ServedView

MAX_LISTINGS = 16
# Bytes of an answer that are sooner copied than handed over in two pieces.
SMALL = 4096
# The bytes that follow the header, an errno, or None where the kernel expects no answer.
Answer: TypeAlias = "bytes | int | None"


class Stopped(BaseException):
    """A signal asked the process to end in good order."""


def serve(device: Device, served: ServedView, mountpoint: str, *, xattrs: bool, ready: Callable[[], None]) -> None:
    """Mount ``device`` at ``mountpoint`` and answer the kernel until unmounted, or until SIGINT, SIGTERM or SIGHUP.

    Those unmount; they are taken over from this process for good, so it belongs into one of its own. ``ready``
    is called once the mount is there. :class:`Refused` when this process may not mount. Closes ``device``.
    """
    try:
        with _stoppable():
            device.attach(mountpoint)
            try:
                ready()
                Session(device.fd, served, xattrs=xattrs, opens=device.opens).run()
            except BaseException:
                linux.unmount(mountpoint, lazy=True)
                raise
    except Stopped:
        pass
    finally:
        device.close()


@contextmanager
def _stoppable() -> Iterator[None]:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)


class Session:
    """Requests read from ``fd``, answers written to it, until the kernel says that nothing is mounted any more."""

    def __init__(self, fd: int, served: ServedView, *, xattrs: bool, opens: bool) -> None:
        self._fd = fd
        self._served = served
        self._view = served.view
        self._xattrs = xattrs
        self._opens = opens
        self._patience = Patience()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._listings: dict[int, list[DirEntry]] = {}
        self._opened = protocol.opened(OpenFlag.KEEP_CACHE | OpenFlag.NOFLUSH)
        self._no_entry = protocol.no_entry()
        self._handlers: dict[int, Callable[[int, bytes], Answer]] = {
            Opcode.LOOKUP: self._lookup,
            Opcode.FORGET: _ignore,
            Opcode.GETATTR: self._getattr,
            Opcode.READLINK: self._readlink,
            Opcode.OPEN: self._open,
            Opcode.READ: self._read,
            Opcode.STATFS: lambda ino, message: protocol.statfs(),
            Opcode.RELEASE: _accept,
            Opcode.GETXATTR: self._getxattr,
            Opcode.LISTXATTR: self._listxattr,
            Opcode.READDIR: self._readdir,
            Opcode.RELEASEDIR: _accept,
            Opcode.INTERRUPT: _ignore,
            Opcode.DESTROY: _accept,
            Opcode.BATCH_FORGET: _ignore,
            Opcode.READDIRPLUS: self._readdirplus,
        }

    def run(self) -> None:
        """Answer until unmounted."""
        handlers, unpack, receive, send = self._handlers, protocol.REQUEST.unpack_from, self._receive, self._send
        while (message := receive()) is not None:
            length, opcode, unique, ino = unpack(message)
            if length != len(message):
                raise RuntimeError(f"the kernel announced {length} bytes and sent {len(message)}")
            try:
                answer = handlers.get(opcode, _unknown)(ino, message)
            except Exception as error:
                self._fault(opcode, ino, message, error)
                answer = errno.EIO
            if answer is not None:
                send(unique, answer)

    def _receive(self) -> bytes | None:
        """The next request; None when nothing is mounted any more."""
        until = 0
        while True:
            try:
                message = os.read(self._fd, protocol.READ_BUFFER)
            except BlockingIOError:
                now = time.perf_counter_ns()
                if until == 0:
                    awake = self._patience.wait()
                    until = now + awake
                    if awake == 0:
                        self._poll.poll()
                        until = 0
                elif now >= until:
                    self._patience.disappointed()
                    self._poll.poll()
                    until = 0
            except FileNotFoundError:
                pass  # whoever asked gave up meanwhile
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return None
                raise
            else:
                if until:
                    self._patience.rewarded()
                return message

    def _send(self, unique: int, answer: bytes | int) -> None:
        try:
            if isinstance(answer, int):
                os.write(self._fd, protocol.header(unique, 0, answer))
            elif len(answer) <= SMALL:
                os.write(self._fd, protocol.header(unique, len(answer)) + answer)
            else:
                os.writev(self._fd, (protocol.header(unique, len(answer)), answer))
        except FileNotFoundError:
            pass  # whoever asked gave up meanwhile
        except OSError as error:
            if error.errno != errno.ENODEV:  # the next read ends with it
                raise

    def _fault(self, opcode: int, ino: int, message: bytes, error: Exception) -> None:
        try:
            names = self._view.path(ino)
            if opcode == Opcode.LOOKUP:
                names = (*names, protocol.name_request(message))
            path = b"/" + b"/".join(names)
        except (IndexError, ValueError):  # the question itself was at fault
            path = b"(inode %d)" % ino
        self._served.fault(Opcode(opcode).name.lower(), path, error)

    def _lookup(self, ino: int, message: bytes) -> Answer:
        child = self._served.lookup(ino, protocol.name_request(message))
        if child is None:
            return self._no_entry
        return protocol.entry(*self._view.attributes(child), MTIME)

    def _getattr(self, ino: int, message: bytes) -> Answer:
        return protocol.attributes(*self._view.attributes(ino), MTIME)

    def _readlink(self, ino: int, message: bytes) -> Answer:
        return self._view.readlink(ino)

    def _open(self, ino: int, message: bytes) -> Answer:
        if not self._opens:
            return errno.ENOSYS  # the kernel takes this as: never ask again, opening always succeeds
        self._served.open(ino)
        return self._opened

    def _read(self, ino: int, message: bytes) -> Answer:
        offset, size = protocol.read_request(message)
        return self._served.read(ino, size, offset)

    def _readdir(self, ino: int, message: bytes) -> Answer:
        offset, room = protocol.read_request(message)
        return protocol.directory_entries(self._listing(ino), offset, room)

    def _readdirplus(self, ino: int, message: bytes) -> Answer:
        offset, room = protocol.read_request(message)
        return protocol.directory_entries_plus(self._listing(ino), self._view.attributes, MTIME, offset, room)

    def _listing(self, ino: int) -> list[DirEntry]:
        listing = self._listings.get(ino)
        if listing is None:
            listing = list(self._served.readdir(ino))
            if len(self._listings) >= MAX_LISTINGS:
                self._listings.pop(next(iter(self._listings)))
            self._listings[ino] = listing
        return listing

    def _getxattr(self, ino: int, message: bytes) -> Answer:
        if not self._xattrs:
            return errno.ENOSYS
        room, name = protocol.xattr_request(message)
        value = self._view.xattrs(ino).get(name)
        return errno.ENODATA if value is None else _fit(value, room)

    def _listxattr(self, ino: int, message: bytes) -> Answer:
        if not self._xattrs:
            return errno.ENOSYS
        room, _ = protocol.xattr_request(message)
        return _fit(b"".join(name + b"\0" for name in self._view.xattrs(ino)), room)


def _fit(data: bytes, room: int) -> Answer:
    """Answer an attribute call: the length alone when no room is offered, ERANGE when too little."""
    if room == 0:
        return protocol.xattr_size(len(data))
    return errno.ERANGE if len(data) > room else data


def _accept(ino: int, message: bytes) -> Answer:
    return b""


def _ignore(ino: int, message: bytes) -> Answer:
    return None


def _unknown(ino: int, message: bytes) -> Answer:
    return errno.ENOSYS
