"""Sync copies what is missing and no more, in any direction; addresses of several stores as one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from support.snix import Contents, castore_daemon
from tvixbuild_nb.castore import (
    Castore,
    Digest,
    Directory,
    DirectoryNode,
    FileNode,
    Node,
    SymlinkNode,
    SyncReport,
    open_castore,
    priority,
    sync,
)
from tvixbuild_nb.castore.caching import CachingDirectories
from tvixbuild_nb.castore.progress import Silent
from tvixbuild_nb.errors import DigestMismatch, InvalidAddress, InvalidNode, NotFound, StoreError
from tvixbuild_nb.serve import Listen, Server

ABSENT = Digest(b"\x42" * 32)
LARGE = random.Random(5).randbytes(9 << 20)
ADDRESSES = ["file:{}/local", "objectstore+file:{}/objects", "priority({}/first, {}/second)", "cache({}/near, memory:)"]


def fill(castore: Castore) -> DirectoryNode:
    """A tree of three directories with 303 blobs, one of them large, and one that comes twice."""
    leaf = Directory({b"same": castore.ingest_bytes(b"same", executable=True), b"link": SymlinkNode(b"same")})
    files: dict[bytes, Node] = {b"f%d" % number: castore.ingest_bytes(b"%d" % number) for number in range(300)}
    middle = Directory({b"leaf": DirectoryNode(castore.directories.put(leaf), leaf.size), **files})
    top = Directory({
        b"large": castore.ingest_bytes(LARGE),
        b"empty": castore.ingest_bytes(b""),
        b"same": castore.ingest_bytes(b"same"),
        b"middle": DirectoryNode(castore.directories.put(middle), middle.size),
    })  # fmt: skip
    return DirectoryNode(castore.directories.put(top), top.size)


SIZE = len(LARGE) + len(b"same") + sum(len(b"%d" % number) for number in range(300))
ALL = SyncReport(blobs=303, directories=3, bytes=SIZE, blobs_there=0, directories_there=0)
NOTHING = SyncReport(blobs=0, directories=0, bytes=0, blobs_there=303, directories_there=3)


class TestSync:
    @pytest.mark.parametrize("address", ["memory:", *ADDRESSES])
    @pytest.mark.parametrize("whole", [True, False])
    def test_what_is_missing_and_no_more(self, address: str, whole: bool, tmp_path: Path) -> None:
        with open_castore(address.format(tmp_path, tmp_path)) as target, open_castore("memory:") as source:
            node = fill(source)
            roots = None if whole else [node]
            assert sync(source, target, roots, dry_run=True) == ALL
            assert not target.has(node)
            progress = Silent()
            assert sync(source, target, roots, progress=progress) == ALL
            assert (progress.files, progress.bytes) == (303, SIZE)
            assert target.has_closure(node)
            assert sync(source, target, roots) == NOTHING

    @pytest.mark.parametrize("address", ["file:{}/not/yet", "objectstore+file:{}/not/yet"])
    def test_a_dry_run_makes_no_store(self, address: str, tmp_path: Path) -> None:
        with open_castore("memory:") as source:
            assert sync(source, address.format(tmp_path), [fill(source)], dry_run=True) == ALL
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("address", ["file:{}/local", "objectstore+file:{}/objects"])
    def test_from_stores_by_address(self, address: str, tmp_path: Path) -> None:
        address = address.format(tmp_path)
        with open_castore(address) as source:
            node = fill(source)
        assert sync(address, f"{tmp_path}/target") == ALL
        with open_castore(f"{tmp_path}/target") as target:
            assert target.has_closure(node)
            assert target.gc([node]).blobs_deleted == 0

    def test_to_what_behaves_as_snix_each_once(self) -> None:
        contents = Contents()
        with open_castore("memory:") as source, castore_daemon(contents) as address:
            node = fill(source)
            contents.put_blob(b"7")
            roots = [node, (source.tree(node) / "middle").node]
            report = sync(source, address, roots)
            assert report == SyncReport(302, 3, SIZE - 1, 1, 0)
            assert len(contents.blobs_put) == len(set(contents.blobs_put)) == 302
            # A closure goes as a whole, one within another not once more.
            assert [len(stream) for stream in contents.streams_put] == [3]
            assert sync(source, address, roots) == NOTHING
            assert len(contents.blobs_put) == 302 and len(contents.streams_put) == 1
            more = Directory({b"more": source.ingest_bytes(b"more"), b"rest": node})
            top = DirectoryNode(source.directories.put(more), more.size)
            assert sync(source, address, [top]) == SyncReport(1, 1, 4, 303, 3)
            assert len(contents.blobs_put) == 303 and [len(stream) for stream in contents.streams_put] == [3, 4]
            with open_castore("memory:") as back, open_castore("memory:") as half:
                assert sync(address, back, [top]).blobs == 304
                assert back.has_closure(top)
                # What it lost itself the target has.
                sync(source, half, [roots[1]])
                assert isinstance(roots[1], DirectoryNode)
                del contents.directories[roots[1].digest]
                assert sync(address, half, [top]).directories == 2 and half.has_closure(top)

    @pytest.mark.parametrize("whole", [True, False])
    def test_to_a_server_and_back(self, whole: bool, tmp_path: Path) -> None:
        with (
            open_castore("memory:") as source, open_castore(tmp_path / "served") as served,
            Server(Listen(path=tmp_path / "s"), served, None) as server,
        ):  # fmt: skip
            node = fill(source)
            other = source.directories.put(Directory({b"x": SymlinkNode(b"y")}))
            roots = None if whole else [node, DirectoryNode(other, 2)]
            there = SyncReport(303, 4, SIZE, 0, 0)
            assert sync(source, server.address, roots, dry_run=True) == there
            progress = Silent()
            assert sync(source, server.address, roots, progress=progress) == there
            assert (progress.files, progress.bytes) == (303, SIZE) and served.has_closure(node)
            assert sync(source, server.address, roots) == SyncReport(0, 0, 0, 303, 4)
            with pytest.raises(StoreError, match="cannot list"):
                sync(server.address, "memory:")
            with open_castore(tmp_path / "back") as back:
                assert sync(server.address, back, [node]) == ALL
                assert back.has_closure(node)

    def test_a_part_of_what_there_is(self, tmp_path: Path) -> None:
        with open_castore("memory:") as source, open_castore(tmp_path / "target") as target:
            node = fill(source)
            source.ingest_bytes(b"not asked for")
            target.ingest_bytes(b"7")
            middle = source.tree(node) / "middle"
            report = sync(source, target, [middle.node, SymlinkNode(b"x"), FileNode(Digest.of(b"same"), 4)])
            assert report == SyncReport(300, 2, SIZE - len(LARGE) - 1, 1, 0)
            assert target.has_closure(middle.node)
            assert not target.blobs.has(Digest.of(b"not asked for"))

    def test_what_the_target_has_is_not_asked_of_the_source(self) -> None:
        with open_castore("memory:") as source, open_castore("memory:") as target:
            leaf = Directory({b"f": target.ingest_bytes(b"there")})
            top = Directory({b"leaf": DirectoryNode(target.directories.put(leaf), leaf.size)})
            node = DirectoryNode(source.directories.put(top), top.size)
            assert sync(source, target, [node]) == SyncReport(0, 1, 0, 1, 1)
            assert target.has_closure(node)

    def test_holes_and_wrong_sizes(self) -> None:
        with open_castore("memory:") as source, open_castore("memory:") as target:
            with pytest.raises(NotFound, match=str(ABSENT)):
                sync(source, target, [DirectoryNode(ABSENT, 2)])
            with pytest.raises(NotFound, match=str(ABSENT)):
                sync(source, target, [FileNode(ABSENT, 2)])
            top = Directory({b"f": FileNode(ABSENT, 1)})
            node = DirectoryNode(source.directories.put(top), top.size)
            with pytest.raises(NotFound, match=str(ABSENT)):
                sync(source, target, [node])
            assert not target.has(node)
            with pytest.raises(InvalidNode, match="wrong size"):
                sync(source, target, [DirectoryNode(node.digest, 4)])

    @pytest.mark.parametrize("size", [100, 3 << 20])
    def test_damage_is_not_copied(self, size: int, tmp_path: Path) -> None:
        with open_castore(f"objectstore+file:{tmp_path}/source") as source, open_castore("memory:") as target:
            digest = source.ingest_bytes(bytes(size)).digest
            (tmp_path / "source/blobs" / digest.hex()[:2] / digest.hex()).write_bytes(b"damaged")
            with pytest.raises(DigestMismatch, match=str(digest)):
                sync(source, target)
            assert target.everything() is not None
            assert [list(found) for found in target.everything() or ()] == [[], []]

    def test_not_every_store_can_list(self) -> None:
        with pytest.raises(StoreError, match=r"(?s)priority\(memory:, memory:\).*cannot list.*name the roots"):
            sync("priority(memory:, memory:)", "memory:")

    def test_no_source(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="no store here"):
            sync(f"{tmp_path}/nothing", "memory:")


class TestPriority:
    def test_reads_from_the_first_that_has_it_and_writes_to_the_first(self) -> None:
        parts = [open_castore("memory:") for _ in range(3)]
        nodes = [part.ingest_bytes(b"%d" % number) for number, part in enumerate(parts)]
        directory = Directory({b"a": nodes[2]})
        digest = parts[1].directories.put(directory)
        with priority(*parts) as castore:
            assert [castore.tree(node).read_bytes() for node in nodes] == [b"0", b"1", b"2"]
            assert castore.directories.get(digest) == directory
            assert list(castore.directories.get_closure(digest)) == [directory]
            assert castore.blobs.missing([ABSENT, *(node.digest for node in nodes)]) == {ABSENT}
            assert castore.missing_directories([ABSENT, digest]) == {ABSENT}
            written = castore.ingest_bytes(b"written")
            # What another one holds is stored in the first all the same, so that the first alone is complete.
            castore.ingest_bytes(b"2")
        assert [part.has(written) for part in parts] == [True, False, False]
        assert parts[0].has(nodes[2]) and not parts[0].has(nodes[1])

    def test_it_takes_some(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            priority()


class TestAddresses:
    @pytest.mark.parametrize(
        "address", ["cache(memory:)", "cache()", "priority()", "priority(memory:,)", "cache(memory:, memory:, memory:)"]
    )
    def test_wrong_numbers(self, address: str) -> None:
        with pytest.raises(InvalidAddress, match="not addresses of"):
            open_castore(address)

    @pytest.mark.parametrize("address", ["cache((memory:, memory:)", "priority(memory:), memory:)"])
    def test_parentheses(self, address: str) -> None:
        with pytest.raises(InvalidAddress, match="do not match"):
            open_castore(address)

    @pytest.mark.parametrize("address", ["cache(memory:, memory:", "priority(memory:"])
    def test_one_without_its_end_is_no_path(
        self, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InvalidAddress, match="without its end"):
            open_castore(address)
        assert not list(tmp_path.iterdir())

    def test_within_each_other(self, tmp_path: Path) -> None:
        address = f"cache(file:{tmp_path}/a, priority(objectstore+file:{tmp_path}/b, cache(memory:, memory:)))"
        with open_castore(address) as castore:
            assert castore.address == address
            node = castore.ingest_bytes(b"x")
        with open_castore(address) as again, open_castore(f"file:{tmp_path}/a") as near:
            assert again.has(node) and near.has(node)

    def test_a_part_that_cannot_be_opened(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="no store here"):
            open_castore(f"cache(memory:, {tmp_path}/nothing)", read_only=True)


def test_what_a_cache_lacks_comes_whole() -> None:
    """The far store is asked for a closure once, not for one directory after another."""
    far = open_castore("memory:")
    node = fill(far)
    asked: list[Digest] = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(far.directories, name)

        def get(self, digest: Digest) -> Directory | None:
            asked.append(digest)
            return far.directories.get(digest)

    near = open_castore("memory:")
    cached = CachingDirectories(near.directories, Counting())  # type: ignore[arg-type]
    assert len(list(cached.get_closure(node.digest))) == 3
    assert asked == []
