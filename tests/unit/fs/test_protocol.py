"""The kernel's messages as bytes, held against the layouts of <linux/fuse.h>."""

from __future__ import annotations

import stat
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.fs_trees import names
from tvixbuild_nb.fs import protocol
from tvixbuild_nb.fs.protocol import InitFlag, Opcode, OpenFlag

NOW = 1
ENTRY_SIZE = 128
DIRENT_SIZE = 24


def request(opcode: int, ino: int, body: bytes) -> bytes:
    """As the kernel sends it: fuse_in_header, then ``body``."""
    return struct.pack("=IIQQIIIHH", 40 + len(body), opcode, 7, ino, 0, 0, 1234, 0, 0) + body


def test_the_header_of_a_request() -> None:
    message = request(Opcode.LOOKUP, 42, b"name\0")
    assert protocol.REQUEST.unpack_from(message) == (45, Opcode.LOOKUP, 7, 42)
    assert len(request(0, 0, b"")) == protocol.HEADER_SIZE


def test_the_header_of_an_answer() -> None:
    assert struct.unpack("=IiQ", protocol.header(7, 100)) == (116, 0, 7)
    assert struct.unpack("=IiQ", protocol.header(7, 0, 38)) == (16, -38, 7)


@given(names())
def test_names(name: bytes) -> None:
    assert protocol.name_request(request(Opcode.LOOKUP, 1, name + b"\0")) == name


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_ranges(offset: int, size: int) -> None:
    body = struct.pack("=QQIIQII", 9, offset, size, 0, 0, 0, 0)
    assert protocol.read_request(request(Opcode.READ, 1, body)) == (offset, size)


def test_attribute_requests() -> None:
    assert protocol.xattr_request(request(Opcode.GETXATTR, 1, struct.pack("=II", 64, 0) + b"user.x\0")) == (
        64,
        b"user.x",
    )
    assert protocol.xattr_request(request(Opcode.LISTXATTR, 1, struct.pack("=II", 64, 0))) == (64, b"")
    assert struct.unpack("=II", protocol.xattr_size(5)) == (5, 0)


def test_only_what_the_kernel_offers_is_asked_of_it() -> None:
    body = struct.pack("=4I12I", 7, 45, 131072, InitFlag.ASYNC_READ | 1 << 5, *[0] * 12)
    offered = protocol.init_request(request(Opcode.INIT, 0, body))
    assert offered == (7, 45, 131072, InitFlag.ASYNC_READ | 1 << 5)
    answer = protocol.init(offered, InitFlag.ASYNC_READ | InitFlag.DO_READDIRPLUS, max_pages=256)
    major, minor, readahead, flags, _, _, max_write, granularity, pages, *rest = struct.unpack("=4I2H2I2H8I", answer)
    assert (len(answer), major, readahead, flags, pages) == (64, 7, 131072, InitFlag.ASYNC_READ, 256)
    assert 23 <= minor <= 45
    # The kernel refuses a read of the device that offers less than this.
    assert max(8192, 40 + 40 + max_write) <= protocol.READ_BUFFER
    assert granularity == 1
    assert not any(rest)


@pytest.mark.parametrize(
    ("answer", "size"),
    [
        (protocol.entry(5, 0o100444, 3, NOW), ENTRY_SIZE),
        (protocol.no_entry(), ENTRY_SIZE),
        (protocol.attributes(5, 0o100444, 3, NOW), 104),
        (protocol.opened(OpenFlag.KEEP_CACHE), 16),
        (protocol.statfs(), 80),
    ],
)
def test_sizes_of_answers(answer: bytes, size: int) -> None:
    assert len(answer) == size


@given(st.integers(1, 2**63), st.integers(0, 2**63), st.sampled_from([0o100444, 0o100555, 0o120777, 0o040555]))
def test_an_entry_is_a_number_and_its_attributes(ino: int, size: int, mode: int) -> None:
    node, generation, entry_valid, attr_valid, _, _, *attr = struct.unpack(
        "=4Q2I6Q10I", protocol.entry(ino, mode, size, NOW)
    )
    assert (node, generation) == (ino, 0)
    assert entry_valid == attr_valid == protocol.FOREVER
    assert attr == [ino, size, (size + 511) // 512, NOW, NOW, NOW, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0]
    valid, _, _, *same = struct.unpack("=Q2I6Q10I", protocol.attributes(ino, mode, size, NOW))
    assert (valid, same) == (protocol.FOREVER, attr)


def test_a_missing_entry_is_remembered_as_missing() -> None:
    node, _, entry_valid, *_ = struct.unpack("=4Q2I6Q10I", protocol.no_entry())
    assert (node, entry_valid) == (0, protocol.FOREVER)


Row = tuple[bytes, int, int]
rows = st.lists(st.tuples(names(), st.integers(1, 2**63), st.sampled_from([0o100444, 0o120777, 0o040555])), max_size=20)


def read_directory(rows: Sequence[Row], room: int, *, plus: bool) -> list[Row]:
    """Read ``rows`` as the kernel would, answer by answer, and take the answers apart."""
    sizes = {ino: ino % 1000 for _, ino, _ in rows}
    modes = {ino: mode for _, ino, mode in rows}
    found: list[Row] = []
    offset = 0
    while True:
        if plus:
            data = protocol.directory_entries_plus(rows, lambda ino: (ino, modes[ino], sizes[ino]), NOW, offset, room)
        else:
            data = protocol.directory_entries(rows, offset, room)
        assert len(data) <= room
        if not data:
            return found
        position = 0
        while position < len(data):
            if plus:
                entry = data[position : position + ENTRY_SIZE]
                position += ENTRY_SIZE
            ino, offset, length, kind = struct.unpack_from("=QQII", data, position)
            name = data[position + DIRENT_SIZE : position + DIRENT_SIZE + length]
            position += (DIRENT_SIZE + length + 7) // 8 * 8
            if plus:
                expected = (
                    bytes(ENTRY_SIZE) if name in (b".", b"..") else protocol.entry(ino, modes[ino], sizes[ino], NOW)
                )
                assert entry == expected
            found.append((name, ino, kind << 12))
        assert position == len(data)


@given(rows, st.sampled_from([440, 512, 4096]), st.booleans())
def test_directories_read_piece_by_piece_are_complete(rows: list[Row], room: int, plus: bool) -> None:
    rows = [(b".", 1, 0o040555), (b"..", 1, 0o040555), *((name, 2 + i, mode) for i, (name, _, mode) in enumerate(rows))]
    expected = [(name, ino, stat.S_IFMT(mode)) for name, ino, mode in rows]
    assert read_directory(rows, room, plus=plus) == expected
