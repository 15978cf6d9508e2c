"""One behavioural suite for every store: memory, local, objects, read again, the combinators, and over gRPC."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from support.s3 import S3, s3_server
from support.snix import Contents, castore_daemon
from tvixbuild_nb.castore import (
    BlobService,
    Castore,
    Digest,
    Directory,
    DirectoryNode,
    DirectoryService,
    FileNode,
    Node,
    SymlinkNode,
    cache,
    copy_closure,
    open_castore,
)
from tvixbuild_nb.castore.ahead import with_contents
from tvixbuild_nb.castore.progress import Silent
from tvixbuild_nb.castore.services import ManySmallBlobs
from tvixbuild_nb.errors import DigestMismatch, InvalidAddress, InvalidNode, NotFound, StoreError

SMALL = b"hello"
LARGE = bytes(range(256)) * 2000
SPARSE = b"start" + bytes(3 << 20) + b"end"
ABSENT = Digest(b"\x42" * 32)


def _memory(path: Path) -> Castore:
    return open_castore("memory:")


def _local(path: Path) -> Castore:
    return open_castore(f"file:{path}/store")


def _cached(path: Path) -> Castore:
    return cache(open_castore("memory:"), open_castore(path / "far"))


def _cached_locally(path: Path) -> Castore:
    return cache(open_castore(path / "near"), open_castore("memory:"))


def _objects(path: Path) -> Castore:
    return open_castore(f"objectstore+file:{path}/objects")


def _objects_in_memory(path: Path) -> Castore:
    return open_castore("objectstore+memory:")


def _cached_by_address(path: Path) -> Castore:
    return open_castore(f"cache(memory:, objectstore+file:{path}/far)")


def _prioritised(path: Path) -> Castore:
    return open_castore(f"priority({path}/first, memory:, objectstore+memory:)")


def _on_s3(path: Path) -> Castore:
    return open_castore(f"objectstore+s3://{os.environ['BUCKET']}")


@contextmanager
def _served(path: Path) -> Iterator[Castore]:
    """Behind our own server."""
    from tvixbuild_nb.serve import Listen, Server

    with (
        open_castore(path / "far") as far,
        Server(Listen(path=path / "s"), far, None) as server,
        open_castore(server.address) as castore,
    ):
        yield castore


@contextmanager
def _snix(path: Path) -> Iterator[Castore]:
    """Behind what behaves as Snix does."""
    with castore_daemon(Contents()) as address, open_castore(address) as castore:
        yield castore


OWN = [
    _memory, _local, _cached, _cached_locally, _cached_by_address, _prioritised, _objects, _objects_in_memory, _on_s3
]  # fmt: skip


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


def _opened(
    request: pytest.FixtureRequest, path: Path, monkeypatch: pytest.MonkeyPatch
) -> AbstractContextManager[Castore]:
    make: Callable[[Path], AbstractContextManager[Castore]] = request.param
    if request.param is _on_s3:
        server: S3 = request.getfixturevalue("s3")
        for name, value in (server.environment | {"BUCKET": server.make_bucket()}).items():
            monkeypatch.setenv(name, value)
    return make(path)


@pytest.fixture(params=[*OWN, _served, _snix])
def castore(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Castore]:
    with _opened(request, tmp_path, monkeypatch) as opened:
        yield opened


@pytest.fixture(params=OWN)
def own_castore(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Castore]:
    """A store whose upkeep is this process's."""
    with _opened(request, tmp_path, monkeypatch) as opened:
        yield opened


def _takes_no_holes(castore: Castore) -> bool:
    return castore.address.startswith("grpc+")


def store(castore: Castore, data: bytes) -> Digest:
    with castore.blobs.open_write() as writer:
        writer.write(data)
        return writer.close()


def collects(castore: Castore) -> bool:
    """Whether the store knows what others rely on, so that it can delete the rest."""
    return not castore.address.startswith("objectstore+")


class TestStores:
    def test_they_are_what_the_protocols_say(self, castore: Castore) -> None:
        assert isinstance(castore.blobs, BlobService)
        assert isinstance(castore.directories, DirectoryService)

    @pytest.mark.parametrize("data", [b"", SMALL, LARGE, SPARSE, bytes(1 << 20)])
    def test_blobs_come_back(self, castore: Castore, data: bytes) -> None:
        digest = store(castore, data)
        assert digest == Digest.of(data)
        assert castore.blobs.has(digest)
        assert castore.blobs.size(digest) == len(data)
        assert castore.blobs.missing([digest, ABSENT]) == {ABSENT}
        stream = castore.blobs.open_read(digest)
        assert stream is not None
        with stream:
            assert stream.read() == data
            stream.seek(2)
            assert stream.read(3) == data[2:5]
            stream.seek(max(0, len(data) - 1))
            assert stream.read() == data[-1:]
        reader = castore.blobs.reader(digest)
        assert reader is not None
        assert (reader.size, reader.pread(0, len(data) + 9), reader.pread(1, 3)) == (len(data), data, data[1:4])
        assert reader.pread(len(data) + 1, 4) == b""
        reader.close()

    def test_a_blob_written_twice_is_one(self, own_castore: Castore) -> None:
        for data in (SMALL, LARGE):
            assert own_castore.ingest_bytes(data) == own_castore.ingest_bytes(data)
        if collects(own_castore):
            assert own_castore.gc().blobs_kept == 2  # both are held by this process

    def test_a_blob_in_many_small_pieces(self, castore: Castore) -> None:
        with castore.blobs.open_write() as writer:
            for start in range(0, len(LARGE), 999):
                assert writer.write(memoryview(LARGE)[start : start + 999]) > 0
            digest = writer.close()
            assert writer.close() == digest
        assert digest == Digest.of(LARGE)

    @pytest.mark.parametrize("data", [SMALL, LARGE])
    def test_an_aborted_blob_is_not_there(self, castore: Castore, data: bytes) -> None:
        with pytest.raises(RuntimeError), castore.blobs.open_write() as writer:
            writer.write(data)
            raise RuntimeError
        assert not castore.blobs.has(Digest.of(data))
        writer.abort()
        with pytest.raises(ValueError, match="closed"):
            writer.write(data)

    def test_what_is_not_there_is_none(self, castore: Castore) -> None:
        assert not castore.blobs.has(ABSENT)
        assert castore.blobs.size(ABSENT) is None
        assert castore.blobs.open_read(ABSENT) is None
        assert castore.blobs.reader(ABSENT) is None
        assert castore.directories.get(ABSENT) is None
        assert list(castore.directories.get_closure(ABSENT)) == []
        assert castore.missing(FileNode(ABSENT, 1)) == [ABSENT]
        assert castore.missing(DirectoryNode(ABSENT, 0)) == [ABSENT]
        assert castore.has_closure(SymlinkNode(b"anywhere"))

    def test_directories_and_their_closure(self, castore: Castore) -> None:
        leaf = Directory({b"link": SymlinkNode(b"x")})
        leaf_digest = castore.directories.put(leaf)
        middle = Directory({b"leaf": DirectoryNode(leaf_digest, leaf.size)})
        middle_digest = castore.directories.put(middle)
        root = Directory(
            {b"again": DirectoryNode(leaf_digest, leaf.size), b"middle": DirectoryNode(middle_digest, middle.size)}
        )
        castore.directories.put_many([leaf, middle, root])
        digest = castore.directories.put(root)
        assert list(castore.directories.get_closure(digest)) == [root, leaf, middle]
        assert castore.has_closure(DirectoryNode(digest, root.size))

    def test_a_hole_in_a_closure(self, castore: Castore) -> None:
        root = Directory({b"gone": DirectoryNode(ABSENT, 2)})
        if _takes_no_holes(castore):
            with pytest.raises(NotFound):
                castore.directories.put(root)
            return
        digest = castore.directories.put(root)
        assert castore.missing(DirectoryNode(digest, root.size)) == [ABSENT]
        with pytest.raises(NotFound):
            list(castore.directories.get_closure(digest))

    def test_a_child_of_another_size_is_refused(self, castore: Castore) -> None:
        leaf = Directory({b"link": SymlinkNode(b"x")})
        digest = castore.directories.put(leaf)
        with pytest.raises(InvalidNode, match="wrong size 1"):
            castore.directories.put(Directory({b"leaf": DirectoryNode(digest, 1)}))

    def test_copying_brings_only_what_lacks(self, castore: Castore, tmp_path: Path) -> None:
        source = open_castore("memory:")
        files: dict[bytes, Node] = {b"large": source.ingest_bytes(LARGE), b"small": source.ingest_bytes(SMALL, True)}
        inner = Directory(files)
        outer = Directory({b"a": DirectoryNode(source.directories.put(inner), inner.size), **files})
        node = DirectoryNode(source.directories.put(outer), outer.size)
        store(castore, SMALL)
        copy_closure(source, castore, node)
        assert castore.has_closure(node)
        assert (castore.tree(node) / "a/small").read_bytes() == SMALL
        assert (castore.tree(node) / "a" / "large").read_bytes() == LARGE
        with pytest.raises(NotFound):
            copy_closure(source, castore, FileNode(ABSENT, 1))
        copy_closure(source, castore, SymlinkNode(b"x"))

    def test_many_small_ones_together(self, castore: Castore) -> None:
        contents = {
            Digest.of(data): data for data in (b"", SMALL, b"x" * (256 << 10), *(b"%d" % n for n in range(700)))
        }
        larger = store(castore, b"y" * (256 << 10) + b"!")
        with castore.batch() as batch:
            batch.put_blobs(list(contents.items()))
            batch.commit()
        asked = [ABSENT, larger, *contents]
        if isinstance(castore.blobs, ManySmallBlobs):
            assert contents.items() >= castore.blobs.get_small(asked).items()
            assert castore.blobs.get_small([]) == {} and castore.blobs.get_small([ABSENT]) == {}
        if castore.address.startswith(("grpc", "objectstore")):
            assert isinstance(castore.blobs, ManySmallBlobs)
            assert castore.blobs.get_small(asked) == contents
        # Whoever has them together or one by one, they are the same, in order.
        nodes = [FileNode(digest, len(data)) for digest, data in contents.items()]
        nodes.insert(5, FileNode(larger, (256 << 10) + 1))
        read = list(with_contents(castore.blobs, nodes, lambda node: node))
        assert [node for node, _ in read] == nodes
        assert all(data is None or data == contents[node.digest] for node, data in read)
        target = open_castore("memory:")
        directory = Directory({b"%d" % number: node for number, node in enumerate(nodes)})
        node = DirectoryNode(castore.directories.put(directory), directory.size)
        copy_closure(castore, target, node)
        assert target.has_closure(node)
        with pytest.raises(NotFound):
            copy_closure(castore, target, FileNode(ABSENT, 1))

    def test_an_export(self, castore: Castore, tmp_path: Path) -> None:
        (tmp_path / "tree" / "a" / "b" / "c").mkdir(parents=True)
        (tmp_path / "tree" / "a" / "z").mkdir()
        for number in range(1200):
            (tmp_path / "tree" / "a" / str(number)).write_bytes(b"%d" % (number % 1000))
        for name in ("a/b/c/last", "first", "a/z/x"):
            (tmp_path / "tree" / name).write_bytes(LARGE if name == "first" else SMALL)
        (tmp_path / "tree" / "a" / "link").symlink_to("b")
        node = castore.ingest(tmp_path / "tree")
        progress = Silent()
        castore.export(node, tmp_path / "out", progress=progress)
        assert castore.ingest(tmp_path / "out") == node
        assert progress.files == 1203 and progress.bytes == sum(
            path.stat().st_size for path in (tmp_path / "tree").rglob("*") if path.is_file() and not path.is_symlink()
        )

    def test_gc_keeps_roots_pins_and_what_is_held(self, own_castore: Castore) -> None:
        castore = own_castore
        kept = [castore.ingest_bytes(LARGE), castore.ingest_bytes(SMALL)]
        inner = Directory({b"f": kept[0], b"g": kept[1]})
        node = DirectoryNode(castore.directories.put(inner), inner.size)
        castore.pin("mine", node)
        assert castore.pins() == {"mine": node}
        if collects(castore):
            report = castore.gc([node])
            assert (report.blobs_deleted, report.directories_kept) == (0, 1)
        else:
            with pytest.raises(StoreError, match="collects no garbage"):
                castore.gc([node])
        assert castore.has_closure(node)
        assert castore.unpin("mine") and not castore.unpin("mine")
        castore.sync()


class TestAddresses:
    @pytest.mark.parametrize(
        "address", ["grpc:x", "s3://bucket", "memory:x", "file:relative", "file://host/path", "objectstore+s4://b"]
    )
    def test_a_wrong_one_lists_the_known_schemes(self, address: str) -> None:
        with pytest.raises(InvalidAddress, match="file:, grpc.http:, grpc.https:, grpc.unix:, memory:"):
            open_castore(address)

    def test_paths_and_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TVIXBUILD_NB_STORE", str(tmp_path / "by-variable"))
        assert open_castore().local_path == tmp_path / "by-variable"
        monkeypatch.setenv("TVIXBUILD_NB_STORE", "memory:")
        assert open_castore().local_path is None
        assert open_castore(tmp_path / "by-path").address == f"file:{tmp_path}/by-path"
        assert open_castore(f"file:///{tmp_path}/three").local_path == tmp_path / "three"
        monkeypatch.delenv("TVIXBUILD_NB_STORE")
        assert (tmp_path / "xdg-data") in (open_castore().local_path or Path()).parents

    def test_a_stranger_directory_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreError, match="no store and not empty"):
            open_castore(tmp_path)

    def test_a_newer_format_is_refused_in_words(self, tmp_path: Path) -> None:
        open_castore(tmp_path / "s").close()
        (tmp_path / "s" / "version").write_text("tvixbuild-nb castore 2\n")
        with pytest.raises(StoreError, match="format 2.*up to 1"):
            open_castore(tmp_path / "s")

    def test_read_only_never_makes_one(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="no store here"):
            open_castore(tmp_path / "s", read_only=True)
        assert not (tmp_path / "s").exists()


class TestBeginnings:
    @pytest.mark.parametrize("make", [_local, _objects])
    def test_blobs_and_directories_are_found_by_how_they_begin(
        self, make: Callable[[Path], Castore], tmp_path: Path
    ) -> None:
        with make(tmp_path) as castore:
            digests = [castore.ingest_bytes(b"%d" % number).digest for number in range(300)]
            digests.append(castore.directories.put(Directory({b"a": SymlinkNode(b"b")})))
            with open_castore(castore.address, read_only=True) as reading:
                for prefix in ("", "0", "f", "7", "00", "a7", "fff", str(digests[-1])[:9], str(digests[0]), "f" * 64):
                    fitting = sorted(digest for digest in digests if str(digest).startswith(prefix))
                    assert reading.beginning_with(prefix, 1000) == fitting
                    assert reading.beginning_with(prefix, 2) == fitting[:2]

    def test_not_every_store_can(self) -> None:
        assert open_castore("memory:").beginning_with("00") is None


class TestDamage:
    """The far side of a cache, and a local store's files, may hold other bytes than they should."""

    class LyingBlobs:
        """A far store's blobs that are not what they are called."""

        def __init__(self, inner: BlobService) -> None:
            self.inner = inner
            self.has = lambda digest: True
            self.size = lambda digest: 4
            self.reader = lambda digest: None
            self.open_write = inner.open_write

        def missing(self, digests: Iterable[Digest]) -> set[Digest]:
            return set()

        def open_read(self, digest: Digest) -> io.BytesIO:
            return io.BytesIO(b"lies")

    def test_a_lying_far_store_is_not_believed(self) -> None:
        from tvixbuild_nb.castore.caching import CachingBlobs

        near = open_castore("memory:")
        blobs = CachingBlobs(near.blobs, self.LyingBlobs(near.blobs), near.batch)
        with pytest.raises(DigestMismatch):
            blobs.open_read(ABSENT)
        assert not near.blobs.has(ABSENT)
        assert not near.blobs.has(Digest.of(b"lies"))
