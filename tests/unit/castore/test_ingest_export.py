"""Paths and tar streams in, paths out: digests agree whichever way, and nothing leads anywhere it should not."""

from __future__ import annotations

import io
import os
import random
import socket
import stat
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.castore_values import names
from tvixbuild_nb.castore import (
    Castore,
    Digest,
    DirectoryNode,
    FileNode,
    SymlinkNode,
    Tree,
    ingest,
    ingest_path,
    open_castore,
)
from tvixbuild_nb.castore.progress import Silent
from tvixbuild_nb.errors import DigestMismatch, ExportError, IngestError, InvalidNode, NotFound

LARGE = random.Random(1).randbytes(300_000)

Spec = dict[bytes, Any]  # name -> (contents, executable), a target, or a directory


@pytest.fixture(params=["memory", "local"])
def castore(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Castore]:
    with open_castore("memory:" if request.param == "memory" else tmp_path / "store") as opened:
        yield opened


def make(at: bytes, spec: Spec) -> None:
    os.mkdir(at)
    for name, what in spec.items():
        path = at + b"/" + name
        if isinstance(what, dict):
            make(path, what)
        elif isinstance(what, bytes):
            os.symlink(what, path)
        else:
            with open(path, "wb") as file:
                file.write(what[0])
            os.chmod(path, 0o755 if what[1] else 0o644)


def tar_of(spec: Spec) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(prefix: bytes, table: Spec) -> None:
            for name, what in table.items():
                member = tarfile.TarInfo(os.fsdecode(prefix + name))
                if isinstance(what, dict):
                    member.type = tarfile.DIRTYPE
                    tar.addfile(member)
                    add(prefix + name + b"/", what)
                elif isinstance(what, bytes):
                    member.type, member.linkname = tarfile.SYMTYPE, os.fsdecode(what)
                    tar.addfile(member)
                else:
                    member.size, member.mode = len(what[0]), 0o755 if what[1] else 0o644
                    tar.addfile(member, io.BytesIO(what[0]))

        add(b"", spec)
    return out.getvalue()


FILES = st.tuples(
    st.one_of(st.binary(max_size=50), st.builds(lambda: LARGE), st.builds(lambda: bytes(200_000))), st.booleans()
)
TARGETS = st.binary(min_size=1, max_size=90).filter(lambda target: b"\0" not in target)
SPECS: st.SearchStrategy[Spec] = st.recursive(
    st.dictionaries(names(), st.one_of(FILES, TARGETS), max_size=5),
    lambda inner: st.dictionaries(names(), st.one_of(FILES, TARGETS, inner), max_size=5),
    max_leaves=6,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(SPECS)
def test_ingest_export_ingest_and_tar_agree(tmp_path: Path, spec: Spec) -> None:
    base = os.fsencode(tmp_path / os.urandom(8).hex())
    os.mkdir(base)
    make(base + b"/in", spec)
    with open_castore(os.fsdecode(base + b"/store")) as castore:
        node = castore.ingest(base + b"/in")
        castore.export(node, base + b"/out")
        assert castore.ingest(base + b"/out") == node
        assert castore.ingest_tar(io.BytesIO(tar_of(spec))) == node
        assert open_castore("memory:").ingest(base + b"/in") == node


class TestPaths:
    def test_single_files_symlinks_and_empty_directories(self, castore: Castore, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"hello")
        (tmp_path / "link").symlink_to("/etc")
        (tmp_path / "broken").symlink_to("nowhere")
        (tmp_path / "empty").mkdir()
        assert castore.ingest(tmp_path / "file") == FileNode(Digest.of(b"hello"), 5)
        assert castore.ingest(str(tmp_path / "link")) == SymlinkNode(b"/etc")
        assert castore.ingest(f"{tmp_path}/link/") == SymlinkNode(b"/etc")
        assert castore.ingest(tmp_path / "broken") == SymlinkNode(b"nowhere")
        assert castore.ingest(tmp_path / "empty") == DirectoryNode(Digest.of(b""), 0)

    @pytest.mark.parametrize(("mode", "executable"), [(0o744, True), (0o654, False), (0o611, False), (0o500, True)])
    def test_executable_is_the_owners_bit(self, castore: Castore, tmp_path: Path, mode: int, executable: bool) -> None:
        (tmp_path / "f").write_bytes(b"x")
        (tmp_path / "f").chmod(mode)
        assert castore.ingest(tmp_path / "f") == FileNode(Digest.of(b"x"), 1, executable)

    @pytest.mark.parametrize("inside", [True, False])
    @pytest.mark.parametrize("kind", ["FIFO", "socket"])
    def test_what_cannot_be_stored_is_named_and_never_waited_for(
        self, castore: Castore, tmp_path: Path, kind: str, inside: bool
    ) -> None:
        (tmp_path / "d").mkdir()
        path = tmp_path / "d" / "odd"
        if kind == "FIFO":
            os.mkfifo(path)
        else:
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
        with pytest.raises(IngestError, match=kind) as caught:
            castore.ingest(tmp_path / "d" if inside else path)
        assert caught.value.path == str(path)

    def test_a_device_is_refused(self, castore: Castore) -> None:
        with pytest.raises(IngestError, match="character device"):
            castore.ingest("/dev/null")

    def test_what_is_not_there(self, castore: Castore, tmp_path: Path) -> None:
        with pytest.raises(IngestError, match="No such file") as caught:
            castore.ingest(tmp_path / "gone")
        assert caught.value.path == str(tmp_path / "gone")

    def test_a_failed_ingest_shows_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "large").write_bytes(LARGE)
        (tmp_path / "d" / "small").write_bytes(b"small")
        os.mkfifo(tmp_path / "d" / "zzz")
        castore = open_castore(tmp_path / "store")
        with pytest.raises(IngestError):
            castore.ingest(tmp_path / "d")
        assert castore.blobs.missing([Digest.of(LARGE), Digest.of(b"small")]) == {Digest.of(LARGE), Digest.of(b"small")}
        assert not list((tmp_path / "store" / "tmp").iterdir())

    def test_deep_trees(self, castore: Castore, tmp_path: Path) -> None:
        current = os.open(tmp_path, os.O_RDONLY)
        for _ in range(400):
            os.mkdir("d", dir_fd=current)
            below = os.open("d", os.O_RDONLY, dir_fd=current)
            os.close(current)
            current = below
        os.close(current)
        node = castore.ingest(tmp_path / "d")
        assert isinstance(node, DirectoryNode)
        assert node.entry_count == 399
        castore.export(node, tmp_path / "again")
        assert castore.ingest(tmp_path / "again") == node

    def test_progress_is_told_everything(self, castore: Castore, tmp_path: Path) -> None:
        make(os.fsencode(tmp_path / "d"), {b"a": (b"12345", False), b"b": (LARGE, False), b"c": {b"d": (b"", False)}})
        seen = Silent()
        castore.ingest(tmp_path / "d", progress=seen)
        assert (seen.files, seen.bytes) == (3, 5 + len(LARGE))

    def test_again_only_what_is_new_is_stored(self, castore: Castore, tmp_path: Path) -> None:
        noise = random.Random(3)
        medium = {b"m%d" % number: (noise.randbytes(400_000), False) for number in range(4)}
        make(os.fsencode(tmp_path / "d"), medium | {b"f%d" % n: (b"%d" % n, False) for n in range(4100)})
        first, again = castore.ingest(tmp_path / "d"), Silent()
        assert castore.ingest(tmp_path / "d", progress=again) == first
        assert (again.files, again.bytes) == (4104, 1_600_000 + sum(len(str(n)) for n in range(4100)))
        (tmp_path / "d" / "f77").write_bytes(b"changed")
        (tmp_path / "d" / "m2").write_bytes(LARGE)
        changed = castore.ingest(tmp_path / "d")
        assert castore.has_closure(first) and castore.has_closure(changed)
        assert (castore.tree(changed) / "f77").read_bytes() == b"changed"
        assert (castore.tree(changed) / "m2").read_bytes() == LARGE
        assert (castore.tree(first) / "m2").read_bytes() == medium[b"m2"][0]
        assert open_castore("memory:").ingest(tmp_path / "d") == changed

    def test_the_convenience_returns_a_tree(self, tmp_path: Path) -> None:
        (tmp_path / "hello").write_bytes(b"hi")
        tree = ingest(tmp_path / "hello", tmp_path / "store")
        assert (tree.name, tree.read_text()) == ("hello", "hi")

    def test_a_growing_file_does_not_poison_the_store(self, tmp_path: Path) -> None:
        castore = open_castore(tmp_path / "store")
        path, stop = tmp_path / "busy", threading.Event()
        path.write_bytes(LARGE)

        def disturb() -> None:
            noise = random.Random(2)
            with open(path, "r+b") as file:
                while not stop.is_set():
                    file.seek(noise.randrange(400_000))
                    file.write(noise.randbytes(500))
                    file.flush()
                    if noise.random() < 0.2:
                        file.truncate(noise.randrange(1000, 400_000))

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            nodes = [castore.ingest(path) for _ in range(40)]
        finally:
            stop.set()
            thread.join()
        for node in nodes:
            data = castore.tree(node).read_bytes()
            assert isinstance(node, FileNode)
            assert (Digest.of(data), len(data)) == (node.digest, node.size)


class TestBelowADescriptor:
    @pytest.fixture
    def fd(self, tmp_path: Path) -> Iterator[int]:
        make(os.fsencode(tmp_path / "s"), {b"a": {b"b": {b"f": (b"deep", False)}}, b"l": b"a", b"out": b"/etc"})
        fd = os.open(tmp_path / "s", os.O_RDONLY)
        yield fd
        os.close(fd)

    def test_step_by_step(self, castore: Castore, fd: int) -> None:
        assert ingest_path(castore, "a/b/f", dir_fd=fd).node == FileNode(Digest.of(b"deep"), 4)
        assert ingest_path(castore, "out", dir_fd=fd).node == SymlinkNode(b"/etc")
        assert isinstance(ingest_path(castore, ".", dir_fd=fd).node, DirectoryNode)
        assert isinstance(ingest_path(castore, b"a", dir_fd=fd).node, DirectoryNode)

    @pytest.mark.parametrize("path", ["out/passwd", "l/b/f", "../s/a", "/etc/passwd", "a//b", "a/./b", ""])
    def test_no_way_out(self, castore: Castore, fd: int, path: str) -> None:
        with pytest.raises(IngestError):
            ingest_path(castore, path, dir_fd=fd)


class TestNeedles:
    def naive(self, data: bytes, needles: list[bytes]) -> set[int]:
        return {index for index, needle in enumerate(needles) if needle in data}

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(st.binary(min_size=1, max_size=5).map(lambda b: bytes(x % 3 + 97 for x in b)), max_size=8),
        st.lists(st.binary(max_size=9).map(lambda b: bytes(x % 3 + 97 for x in b)), max_size=8),
    )
    def test_as_the_naive_search_finds(self, needles: list[bytes], chunks: list[bytes]) -> None:
        from tvixbuild_nb.castore.refscan import Scanner

        streamed, whole = Scanner(needles), Scanner(needles)
        stream = streamed.stream()
        for chunk in chunks:
            stream.feed(chunk)
        whole.scan(b"".join(chunks))
        assert streamed.found == whole.found == self.naive(b"".join(chunks), needles)

    @pytest.mark.parametrize("offset", [-40, -20, -1, 0, 1])
    @pytest.mark.parametrize("border", [1 << 16, 1 << 20, 2 << 20])
    def test_across_chunk_borders(self, castore: Castore, tmp_path: Path, border: int, offset: int) -> None:
        needles = [b"/nix/store/" + b"x" * 32, b"store/xx", b"absent", b"x" * 40]
        data = bytearray(b"." * (3 << 20))
        data[border + offset : border + offset + len(needles[0])] = needles[0]
        (tmp_path / "f").write_bytes(data)
        assert ingest_path(castore, tmp_path / "f", needles=needles).needles == {0, 1}

    def test_in_links_and_short_files_but_not_across_files(self, castore: Castore, tmp_path: Path) -> None:
        spec: Spec = {b"l": b"/nix/abc", b"s": (b"xy", False), b"t": (b"zq", False), b"u": (b"same", False)}
        make(os.fsencode(tmp_path / "d"), spec)
        needles = [b"abc", b"xy", b"xyzq", b"n" * 100, b"same", b"same"]
        assert ingest_path(castore, tmp_path / "d", needles=needles).needles == {0, 1, 4, 5}
        assert ingest_path(castore, tmp_path / "d" / "l", needles=needles).needles == {0}
        assert ingest_path(castore, tmp_path / "d", needles=needles).needles == {0, 1, 4, 5}  # all there already

    def test_an_empty_needle_is_refused(self, castore: Castore, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="empty"):
            ingest_path(castore, tmp_path, needles=[b"a", b""])


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    return info, data


def archive(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w", form: int = tarfile.PAX_FORMAT) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return io.BytesIO(out.getvalue())


class TestTar:
    @pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
    def test_compressed_and_not(self, castore: Castore, mode: str) -> None:
        node = castore.ingest_tar(archive(member("a/b", data=b"x"), mode=mode))
        assert (castore.tree(node) / "a/b").read_bytes() == b"x"

    @pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    def test_long_names_links_and_repeats(self, castore: Castore, form: int) -> None:
        long = "d" * 150 + "/" + "f" * 200
        node = castore.ingest_tar(
            archive(
                member("./first", data=LARGE),
                member(long, data=b"old"),
                member("hard", tarfile.LNKTYPE, "first"),
                member("soft", tarfile.SYMTYPE, "/anywhere/" + "t" * 300),
                member(long, data=b"new"),
                member("n\udcff", data=b"raw"),
                form=form,
            )
        )
        tree = castore.tree(node)
        assert (tree / long).read_bytes() == b"new"
        assert (tree / "hard").node == (tree / "first").node
        assert (tree / "soft").readlink() == "/anywhere/" + "t" * 300
        assert (tree / b"n\xff").read_bytes() == b"raw"

    @pytest.mark.parametrize(
        ("members", "part"),
        [
            ([member("/etc/passwd", data=b"x")], "leads out"),
            ([member("a/../../b", data=b"x")], "leads out"),
            ([member("dev", tarfile.CHRTYPE)], "device"),
            ([member("pipe", tarfile.FIFOTYPE)], "FIFO"),
            ([member("hard", tarfile.LNKTYPE, "later"), member("later", data=b"x")], "hard link"),
            ([member("hard", tarfile.LNKTYPE, "../up")], "leads out"),
            ([member("s", tarfile.SYMTYPE, "/etc"), member("s/passwd", data=b"x")], "no directory"),
            ([member("f", data=b"x"), member("f/g", data=b"x")], "no directory"),
        ],
    )
    def test_what_is_refused(self, castore: Castore, members: list[tuple[tarfile.TarInfo, bytes]], part: str) -> None:
        with pytest.raises(IngestError, match=part):
            castore.ingest_tar(archive(*members))

    @pytest.mark.parametrize("size", [100, 300_000])
    @pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
    def test_a_cut_stream(self, castore: Castore, mode: str, size: int) -> None:
        data = archive(member("f", data=LARGE[:size]), mode=mode).getvalue()
        cut = data[: 512 + size // 2] if mode == "w" else data[: len(data) // 2]
        with pytest.raises(IngestError, match="damaged"):
            castore.ingest_tar(io.BytesIO(cut))

    def test_no_tar_at_all(self, castore: Castore) -> None:
        with pytest.raises(IngestError, match="damaged"):
            castore.ingest_tar(io.BytesIO(b"no tar" * 1000))


class TestExport:
    def test_modes_and_links(self, castore: Castore, tmp_path: Path) -> None:
        spec: Spec = {b"f": (b"x", False), b"x": (b"y", True), b"l": b"/etc/passwd", b"d": {}}
        make(os.fsencode(tmp_path / "in"), spec)
        castore.export(castore.ingest(tmp_path / "in"), tmp_path / "out")
        modes = {entry.name: stat.S_IMODE(entry.lstat().st_mode) for entry in (tmp_path / "out").iterdir()}
        umask = os.umask(0)
        os.umask(umask)
        assert (modes["f"], modes["x"], modes["d"]) == (0o666 & ~umask, 0o777 & ~umask, 0o777 & ~umask)
        assert os.readlink(tmp_path / "out" / "l") == "/etc/passwd"

    def test_what_is_there_is_never_replaced(self, castore: Castore, tmp_path: Path) -> None:
        (tmp_path / "dir").mkdir()
        (tmp_path / "link").symlink_to("nowhere")
        for node in (castore.ingest_bytes(b"x"), castore.ingest(tmp_path / "dir"), SymlinkNode(b"t")):
            for name in ("dir", "link"):
                with pytest.raises(ExportError, match="already"):
                    castore.export(node, tmp_path / name)
        assert sorted(os.listdir(tmp_path)) in (["dir", "link"], ["dir", "link", "store"])

    def test_a_missing_parent(self, castore: Castore, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match="No such file"):
            castore.export(castore.ingest_bytes(b"x"), tmp_path / "no" / "file")

    def test_nothing_half_done_stays(self, castore: Castore, tmp_path: Path) -> None:
        from tvixbuild_nb.castore import Directory

        directory = Directory({b"a": castore.ingest_bytes(b"x"), b"gone": FileNode(Digest(b"\1" * 32), 4)})
        node = DirectoryNode(castore.directories.put(directory), directory.size)
        with pytest.raises(NotFound):
            castore.export(node, tmp_path / "out")
        assert [name for name in os.listdir(tmp_path) if name != "store"] == []

    def test_single_nodes(self, castore: Castore, tmp_path: Path) -> None:
        castore.export(castore.ingest_bytes(LARGE, True), tmp_path / "f")
        castore.export(SymlinkNode(b"target"), tmp_path / "l")
        assert (tmp_path / "f").read_bytes() == LARGE
        assert os.access(tmp_path / "f", os.X_OK)
        assert os.readlink(tmp_path / "l") == "target"


class TestTree:
    @pytest.fixture
    def tree(self, castore: Castore, tmp_path: Path) -> Tree:
        spec: Spec = {
            b"bin": {b"hello": (b"#!hello\n", True), b"hi": b"hello", b"up": b"../share/doc"},
            b"share": {b"doc": {b"a.txt": ("ä\n".encode(), False), b"b.md": (LARGE, False)}},
            b"out": b"/etc",
            b"loop": b"loop",
            b"n\xff": (b"", False),
        }
        make(os.fsencode(tmp_path / "t"), spec)
        return castore.tree(castore.ingest(tmp_path / "t"), b"t")

    def test_it_walks_like_a_path(self, tree: Tree, tmp_path: Path) -> None:
        assert [entry.name for entry in tree.iterdir()] == ["bin", "loop", "n\udcff", "out", "share"]
        walked = [(str(at), sorted(dirs), sorted(files)) for at, dirs, files in tree.walk()]
        assert sorted(walked) == [
            ("t", ["bin", "share"], ["loop", "n\udcff", "out"]),
            ("t/bin", [], ["hello", "hi", "up"]),
            ("t/share", ["doc"], []),
            ("t/share/doc", [], ["a.txt", "b.md"]),
        ]
        assert [str(found) for found in tree.glob("**/*.txt")] == ["t/share/doc/a.txt"]
        assert [found.path for found in tree.glob("*/h*")] == ["bin/hello", "bin/hi"]
        assert [found.name for found in tree.rglob("h?")] == ["hi"]

    def test_it_reads(self, tree: Tree) -> None:
        hello = tree / "bin" / "hello"
        assert (hello.read_bytes(), hello.size, hello.executable, hello.kind) == (b"#!hello\n", 8, True, "file")
        assert hello.digest == Digest.of(b"#!hello\n")
        assert (tree / "share/doc/a.txt").read_text() == "ä\n"
        with (tree / "share/doc/b.md").open() as stream:
            stream.seek(1000)
            assert stream.read(10) == LARGE[1000:1010]
        with (tree / "share/doc/a.txt").open("r") as text:
            assert text.readline() == "ä\n"
        assert (tree / "bin/hi").readlink() == "hello"
        assert (tree.size, (tree / "bin").size) == (11, 3)

    def test_what_is_not_there_or_of_another_kind(self, tree: Tree) -> None:
        nothing = tree / "bin" / "nothing"
        assert not nothing.exists() and not nothing.is_file() and "not there" in repr(nothing)
        with pytest.raises(NotFound, match="t/bin/nothing"):
            nothing.read_bytes()
        with pytest.raises(NotFound, match="no directory"):
            (tree / "bin/hello/x").read_bytes()
        with pytest.raises(Exception, match="this is a directory, not a file"):
            (tree / "bin").read_bytes()
        with pytest.raises(Exception, match="this is a symlink, not a directory"):
            list(tree / "out")
        with pytest.raises(InvalidNode):
            tree / ".."

    def test_links_are_followed_when_asked(self, tree: Tree) -> None:
        assert (tree / "bin/hi").resolve() == tree / "bin/hello"
        assert (tree / "bin/up/a.txt").resolve() == tree / "share/doc/a.txt"
        for path in ("out", "loop"):
            with pytest.raises(NotFound):
                (tree / path).resolve()

    def test_it_shows_itself(self, tree: Tree, tmp_path: Path) -> None:
        assert repr(tree / "bin/hi") == "Tree('t/bin/hi', symlink to 'hello')"
        assert "directory of 11 entries" in repr(tree)
        # As its repr, or as the tree that it is, where the views are loaded.
        assert "11 entries" in tree._repr_mimebundle_()["text/plain"]
        assert tree == tree.root and hash(tree) == hash((tree / "bin").parent)
        (tree / "bin").export(tmp_path / "exported")
        assert (tmp_path / "exported" / "hello").exists()


@pytest.mark.parametrize("size", [1000, 400_000])
def test_damage_in_the_store_is_told_and_mended(tmp_path: Path, size: int) -> None:
    castore = open_castore(tmp_path / "store")
    node = castore.ingest_bytes(LARGE[:1000] * (size // 1000))
    (file,) = [
        path for path in (tmp_path / "store").rglob("*") if path.is_file() and path.parent.name not in ("store", "live")
    ]
    file.chmod(0o644)
    with open(file, "r+b") as stream:
        stream.seek(size - 10)
        stream.write(b"!")
    with pytest.raises(DigestMismatch, match=str(node.digest)):
        castore.export(node, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    castore.ingest_bytes(LARGE[:1000] * (size // 1000))
    assert castore.tree(node).read_bytes() == LARGE[:1000] * (size // 1000)
