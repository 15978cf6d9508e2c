"""The loop that answers the kernel, with a socket in the kernel's place."""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from support.fs_trees import File, plant
from tvixbuild_nb.castore import Digest, FileNode, open_castore
from tvixbuild_nb.fs import View
from tvixbuild_nb.fs.direct import Session
from tvixbuild_nb.fs.inodes import ROOT
from tvixbuild_nb.fs.protocol import Opcode
from tvixbuild_nb.fs.served import ServedView


class Kernel:
    """The other end of a session; ``failure`` is what ended it."""

    def __init__(self, *, opens: bool) -> None:
        castore = open_castore("memory:")
        view = View({b"f": plant(castore, {b"x": File(b"hello")}), b"lost": FileNode(Digest.of(b"?"), 3)}, castore)
        self.served = ServedView(view)
        self.failure: BaseException | None = None
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setblocking(False)
        session = Session(theirs.fileno(), self.served, xattrs=False, opens=opens)

        def run() -> None:
            try:
                session.run()
            except BaseException as error:
                self.failure = error
            theirs.close()

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def send(self, opcode: int, ino: int, body: bytes = b"", *, length: int | None = None) -> None:
        length = 40 + len(body) if length is None else length
        self._ours.send(struct.pack("=IIQQIIIHH", length, opcode, 7, ino, 0, 0, 1, 0, 0) + body)

    def ask(self, opcode: int, ino: int, body: bytes = b"") -> tuple[int, bytes]:
        """(errno, what follows the header)."""
        self.send(opcode, ino, body)
        answer = self._ours.recv(1 << 16)
        length, error, unique = struct.unpack_from("=IiQ", answer)
        assert (length, unique) == (len(answer), 7)
        return -error, answer[16:]

    def end(self) -> None:
        self._ours.close()
        self._thread.join()


@pytest.fixture(params=[True, False], ids=["trace", "shared"])
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    kernel = Kernel(opens=request.param)
    yield kernel
    kernel.end()


def read(size: int) -> bytes:
    return struct.pack("=QQIIQII", 0, 0, size, 0, 0, 0, 0)


def test_a_file_is_looked_up_and_read(kernel: Kernel) -> None:
    _, directory = kernel.ask(Opcode.LOOKUP, ROOT, b"f\0")
    (ino,) = struct.unpack_from("=Q", directory)
    _, file = kernel.ask(Opcode.LOOKUP, ino, b"x\0")
    (ino,) = struct.unpack_from("=Q", file)
    assert kernel.ask(Opcode.READ, ino, read(4096)) == (0, b"hello")
    assert kernel.ask(Opcode.LOOKUP, ROOT, b"nope\0")[1][:8] == bytes(8)


def test_what_expects_no_answer_gets_none(kernel: Kernel) -> None:
    for opcode in (Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT):
        kernel.send(opcode, ROOT, bytes(16))
    assert kernel.ask(Opcode.RELEASE, ROOT) == (0, b"")


@pytest.mark.parametrize(
    "opcode", [Opcode.FLUSH, Opcode.ACCESS, Opcode.LSEEK, Opcode.OPENDIR, Opcode.GETXATTR, Opcode.LISTXATTR, 45, 4711]
)
def test_what_need_not_be_asked_again_is_said_to_be_missing(kernel: Kernel, opcode: int) -> None:
    assert kernel.ask(opcode, ROOT, bytes(24)) == (errno.ENOSYS, b"")


def test_a_fault_is_an_error_and_taken_down_and_the_next_request_is_answered(kernel: Kernel) -> None:
    _, found = kernel.ask(Opcode.LOOKUP, ROOT, b"lost\0")
    (ino,) = struct.unpack_from("=Q", found)
    assert kernel.ask(Opcode.READ, ino, read(4096)) == (errno.EIO, b"")
    assert kernel.ask(Opcode.READ, ino, b"short") == (errno.EIO, b"")
    assert kernel.ask(Opcode.GETATTR, 999) == (errno.EIO, b"")
    assert kernel.ask(4711, 999) == (errno.ENOSYS, b"")
    assert kernel.ask(Opcode.STATFS, ROOT)[0] == 0
    assert any(fault.startswith("read /lost: ") for fault in kernel.served.faults)


def test_a_message_that_is_none_ends_the_loop_loudly(kernel: Kernel) -> None:
    kernel.send(Opcode.GETATTR, ROOT, length=1000)
    kernel._thread.join(10)
    assert "announced 1000 bytes and sent 40" in str(kernel.failure)
