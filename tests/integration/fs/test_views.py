"""One behavioural suite for the two ways to see castore nodes as files: FUSE and the checkout."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings

from support.fs_trees import File, Link, Tree, plant, read_back, trees
from tvixbuild_nb.castore import Castore, DirectoryNode, Node, open_castore
from tvixbuild_nb.fs import checkout, mount

pytestmark = pytest.mark.integration

Show = Callable[[Castore, Node], "contextlib.AbstractContextManager[bytes]"]


@contextlib.contextmanager
def by_fuse(castore: Castore, node: Node, transport: str | None = None) -> Iterator[bytes]:
    with (
        tempfile.TemporaryDirectory() as place,
        mount(castore, {b"node": node}, place, foreground=False, transport=transport),
    ):
        yield os.fsencode(place) + b"/node"


def directly(castore: Castore, node: Node) -> contextlib.AbstractContextManager[bytes]:
    if os.geteuid() != 0:
        pytest.skip("needs root: only root mounts without fusermount")
    return by_fuse(castore, node, "direct")


def by_fusepy(castore: Castore, node: Node) -> contextlib.AbstractContextManager[bytes]:
    return by_fuse(castore, node, "fusepy")


@contextlib.contextmanager
def by_checkout(castore: Castore, node: Node) -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as cache:
        yield os.fsencode(checkout(castore, node, cache))


@pytest.fixture(params=[directly, by_fusepy, by_checkout], ids=["direct", "fusepy", "checkout"])
def show(request: pytest.FixtureRequest) -> Show:
    return request.param


@pytest.fixture
def castore(tmp_path: Path) -> Iterator[Castore]:
    with open_castore(f"file:{tmp_path}/store") as castore:
        yield castore


SAMPLE: dict[bytes, Tree] = {
    b"bin": {b"tool": File(b"#!/bin/sh\necho hello\n", True), b"alias": Link(b"tool")},
    b"empty": {},
    b"data": File(bytes(range(256)) * 1000),
    b"nothing": File(b""),
    b"broken": Link(b"/does/not/exist"),
    b"\xff\xfe not utf-8 \x01": File(b"odd"),
    b"n" * 255: {b"m" * 255: File(b"long")},
}


def test_the_tree_is_all_there(show: Show, castore: Castore) -> None:
    with show(castore, plant(castore, SAMPLE)) as path:
        assert read_back(path) == SAMPLE


def test_modes_and_times(show: Show, castore: Castore) -> None:
    with show(castore, plant(castore, SAMPLE)) as path:
        seen = {name: os.lstat(path + b"/" + name) for name in (b"", b"bin", b"bin/tool", b"bin/alias", b"data")}
    assert [oct(s.st_mode) for s in seen.values()] == ["0o40555", "0o40555", "0o100555", "0o120777", "0o100444"]
    assert {(s.st_mtime_ns, s.st_size) for n, s in seen.items() if n.startswith(b"bin/a")} == {(10**9, 4)}
    assert {s.st_mtime_ns for s in seen.values()} == {10**9}
    assert seen[b"data"].st_size == 256000


def test_reads_at_offsets(show: Show, castore: Castore) -> None:
    with show(castore, plant(castore, SAMPLE)) as path:
        fd = os.open(path + b"/data", os.O_RDONLY)
        try:
            assert os.pread(fd, 10, 250) == bytes([250, 251, 252, 253, 254, 255, 0, 1, 2, 3])
            assert os.pread(fd, 10, 255_995) == bytes(range(251, 256))
            assert os.pread(fd, 10, 256_000) == b""
        finally:
            os.close(fd)


def test_a_large_file_reads_the_same_anywhere(show: Show, castore: Castore, tmp_path: Path) -> None:
    size = (64 << 20) + 12345
    with open(tmp_path / "large", "wb") as file:
        for position in (0, 1 << 20, 33 << 20, size - 4):
            file.seek(position)
            file.write(b"here")
    with show(castore, castore.ingest(tmp_path / "large")) as path, open(path, "rb") as file:
        assert os.fstat(file.fileno()).st_size == size
        for position in (33 << 20, 0, size - 4, 1 << 20):
            file.seek(position)
            assert file.read(5) == (b"here" if position == size - 4 else b"here\0")
        file.seek(0)
        assert sum(map(len, iter(lambda: file.read(1 << 20), b""))) == size


@pytest.mark.parametrize("way", [directly, by_fusepy], ids=["direct", "fusepy"])
def test_nothing_can_be_written_to_a_mounted_view(way: Show, castore: Castore) -> None:
    with way(castore, plant(castore, SAMPLE)) as path:
        for act in (
            lambda: os.open(path + b"/data", os.O_WRONLY),
            lambda: os.open(path + b"/new", os.O_WRONLY | os.O_CREAT),
            lambda: os.unlink(path + b"/data"),
            lambda: os.mkdir(path + b"/empty/new"),
            lambda: os.chmod(path + b"/data", 0o777),
        ):
            with pytest.raises(OSError) as caught:
                act()
            assert caught.value.errno == errno.EROFS


def test_what_is_executable_runs(show: Show, castore: Castore) -> None:
    with show(castore, plant(castore, SAMPLE)) as path:
        assert os.access(path + b"/bin/tool", os.X_OK)
        assert not os.access(path + b"/data", os.X_OK)
        status = os.waitstatus_to_exitcode(os.system(b"'" + path + b"/bin/alias' >/dev/null"))
        assert status == 0


def test_what_is_not_there_is_not_there(show: Show, castore: Castore) -> None:
    with show(castore, plant(castore, SAMPLE)) as path:
        for name in (b"nope", b"bin/nope", b"empty/nope"):
            with pytest.raises(FileNotFoundError):
                os.lstat(path + b"/" + name)
        with pytest.raises(NotADirectoryError):
            os.lstat(path + b"/data/x")


def test_a_directory_of_thousands(show: Show, castore: Castore) -> None:
    many: dict[bytes, Tree] = {b"file with a rather long name %06d" % i: File(b"") for i in range(5000)}
    with show(castore, plant(castore, many)) as path:
        assert set(os.listdir(path)) == set(many)
        with os.scandir(path) as scan:
            assert all(entry.is_file(follow_symlinks=False) for entry in scan)


@settings(max_examples=12)
@given(tree=trees())
@pytest.mark.parametrize("way", [directly, by_fusepy, by_checkout], ids=["direct", "fusepy", "checkout"])
def test_ingest_show_walk_ingest_gives_the_same_digest(way: Show, tree: dict[bytes, Tree]) -> None:
    with tempfile.TemporaryDirectory() as place, open_castore(f"file:{place}/store") as castore:
        node = plant(castore, tree)
        assert isinstance(node, DirectoryNode)
        with way(castore, node) as path:
            assert read_back(path) == tree
            with open_castore("memory:") as other:
                assert other.ingest(path) == node
