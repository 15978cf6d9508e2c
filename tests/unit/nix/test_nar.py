"""NARs: there and back, and what is refused, with its offset."""

from __future__ import annotations

import hashlib
import io
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import nars
from support.nars import Tree, directory, regular, string, strings, symlink
from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, FileNode, SymlinkNode, open_castore
from tvixbuild_nb.errors import DigestMismatch, ExportError, IngestError, InvalidNar, NotFound
from tvixbuild_nb.nix.nar import (
    File,
    NarEntry,
    host_events,
    ingest_nar,
    list_nar,
    nar_events,
    nar_of_node,
    nar_of_path,
    restore,
    sum_of_node,
    sum_of_path,
)

LARGE = 3 * 1024 * 1024 + 5


def written(castore: Castore, node: object) -> bytes:
    return b"".join(map(bytes, nar_of_node(castore, node)))


def read(data: bytes, castore: Castore | None = None) -> object:
    return ingest_nar(castore or open_castore("memory:"), io.BytesIO(data)).node


class Slow(io.RawIOBase):
    """Gives a few bytes at a time, and cannot seek."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = io.BytesIO(data)
        self._step = step

    def read(self, size: int = -1) -> bytes:
        return self._data.read(self._step)


@given(nars.trees())
def test_a_tree_comes_back(tree: Tree) -> None:
    with open_castore("memory:") as castore:
        node = nars.stored(castore, tree)
        data = written(castore, node)
        found = sum_of_node(castore, node)
        assert (found.hash.digest, found.size) == (hashlib.sha256(data).digest(), len(data))
        assert read(data) == node


@given(nars.trees(), st.integers(1, 50))
def test_it_does_not_matter_in_what_pieces_it_comes(tree: Tree, step: int) -> None:
    with open_castore("memory:") as castore:
        node = nars.stored(castore, tree)
        assert ingest_nar(castore, Slow(written(castore, node), step)).node == node


@given(nars.trees(), st.data())
def test_anything_else_is_refused_or_means_something_else(tree: Tree, data: st.DataObject) -> None:
    """There is one NAR for each tree: whatever is read gives the very bytes it was read from."""
    with open_castore("memory:") as castore:
        whole = bytearray(written(castore, nars.stored(castore, tree)))
        for _ in range(data.draw(st.integers(1, 3))):
            if not whole:
                break  # an edit before has cut all of it away
            place = data.draw(st.integers(0, len(whole) - 1))
            edit = data.draw(st.sampled_from(["change", "cut", "repeat", "end"]))
            if edit == "change":
                whole[place] = data.draw(st.integers(0, 255))
            elif edit == "cut":
                del whole[place : place + 8]
            elif edit == "repeat":
                whole[place:place] = whole[place : place + 48]
            else:
                del whole[place + 1 :]
        try:
            node = ingest_nar(castore, io.BytesIO(bytes(whole))).node
        except InvalidNar as error:
            assert error.index is not None and 0 <= error.index <= len(whole)
        else:
            assert written(castore, node) == whole


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(InvalidNar) as caught:
        read(string(b"nix-archive-1") + strings(b"(", b"type") + noise)
    assert caught.value.index is not None


def test_every_truncation_is_refused_where_it_ends(tmp_path: Path) -> None:
    data = nars.nar(directory((b"a", regular(b"12345")), (b"b", symlink(b"a")), (b"c", directory())))
    for length in range(len(data)):
        with pytest.raises(InvalidNar) as caught:
            read(data[:length])
        assert caught.value.index is not None and caught.value.index <= length


AT_NAME = len(nars.nar(strings(b"(", b"type", b"directory", b"entry", b"(", b"name")))
AT_NAME_2 = len(nars.nar(strings(b"(", b"type", b"directory"))) + len(
    strings(b"entry", b"(", b"name", b"b", b"node") + regular() + strings(b")", b"entry", b"(", b"name")
)
AT_KIND = len(nars.nar(strings(b"(", b"type")))


@pytest.mark.parametrize(
    ("node", "offset", "message"),
    [
        (directory((b"..", regular())), AT_NAME, "'..' is not a name"),
        (directory((b".", regular())), AT_NAME, "'.' is not a name"),
        (directory((b"", regular())), AT_NAME, "must not be empty"),
        (directory((b"a/b", regular())), AT_NAME, "neither '/' nor NUL"),
        (directory((b"a\0b", regular())), AT_NAME, "neither '/' nor NUL"),
        (directory((b"x" * 256, regular())), AT_NAME, "a name of 256 bytes: at most 255"),
        (directory((b"b", regular()), (b"b", regular())), AT_NAME_2, "occurs twice"),
        (directory((b"b", regular()), (b"a", regular())), AT_NAME_2, "not sorted"),
        (symlink(b""), AT_KIND + len(strings(b"symlink", b"target")), "not empty"),
        (symlink(b"a\0"), AT_KIND + len(strings(b"symlink", b"target")), "no NUL"),
        (symlink(b"x" * 4096), AT_KIND + len(strings(b"symlink", b"target")), "at most 4095"),
        (strings(b"(", b"type", b"fifo", b")"), AT_KIND, "expected 'directory' or 'regular' or 'symlink'"),
        (strings(b"(", b"type", b"regular", b")"), AT_KIND + len(string(b"regular")), "'contents' or 'executable'"),
        (
            strings(b"(", b"type", b"regular", b"executable", b"x", b"contents", b"", b")"),
            AT_KIND + len(strings(b"regular", b"executable")),
            "expected '', found b'x'",
        ),
        (strings(b"(", b"type", b"directory", b"thing"), AT_KIND + len(string(b"directory")), r"'\)' or 'entry'"),
        (regular() + b"\0", len(nars.nar(regular())), "behind the end"),
        (regular() + nars.nar(regular()), len(nars.nar(regular())), "behind the end"),
        (
            strings(b"(", b"type", b"regular", b"contents") + string(b"abc", fill=b"\1") + string(b")"),
            AT_KIND + len(strings(b"regular", b"contents")) + 8 + 3,
            "padding is not zero",
        ),
        (strings(b"(", b"type") + string(b"regular", fill=b"\1"), AT_KIND + 8 + 7, "padding is not zero"),
    ],
    ids=lambda value: str(value)[-40:] if isinstance(value, str) else None,
)
def test_what_is_wrong_is_named_with_its_offset(node: bytes, offset: int, message: str) -> None:
    with pytest.raises(InvalidNar, match=message) as caught:
        ingest_nar(open_castore("memory:"), io.BytesIO(nars.nar(node)), path="x.nar")
    assert caught.value.index == offset
    assert f"x.nar, byte {offset}: " in str(caught.value)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**40, 10_000_000])
@pytest.mark.parametrize(
    "before",
    [
        b"",
        nars.nar(strings(b"(", b"type")),
        nars.nar(strings(b"(", b"type", b"symlink", b"target")),
        nars.nar(strings(b"(", b"type", b"directory", b"entry", b"(", b"name")),
        nars.nar(strings(b"(", b"type", b"regular", b"contents")),
    ],
    ids=["magic", "kind", "target", "name", "contents"],
)
def test_huge_lengths_take_no_memory(before: bytes, length: int) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidNar):
            read(before + length.to_bytes(8, "little") + b"abc")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_refused_nar_leaves_nothing(tmp_path: Path) -> None:
    data = nars.nar(directory((b"a", directory((b"b", regular(b"12345")))), (b"c", regular(os.urandom(LARGE)))))
    with open_castore(tmp_path / "store") as castore:
        with pytest.raises(InvalidNar):
            read(data[:-8], castore)
        assert castore.beginning_with("") == []
        assert not list((tmp_path / "store" / "tmp").iterdir())


def test_depth_is_no_matter(tmp_path: Path) -> None:
    """Deeper than Python's stack, and than the system's paths."""
    depth = 5000
    entry = strings(b"entry", b"(", b"name", b"d", b"node", b"(", b"type", b"directory")
    ends = strings(b")", b")") * depth + strings(b")")
    data = nars.nar(strings(b"(", b"type", b"directory") + entry * depth + ends)
    with open_castore("memory:") as castore:
        node = ingest_nar(castore, io.BytesIO(data)).node
        assert isinstance(node, DirectoryNode) and node.entry_count == depth
        assert written(castore, node) == data
        assert sum(1 for _ in list_nar(io.BytesIO(data))) == depth + 1


def test_large_files_stream(tmp_path: Path) -> None:
    contents = os.urandom(LARGE)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "large").write_bytes(contents)
    (tmp_path / "tree" / "small").write_bytes(b"x")
    with open_castore(tmp_path / "store") as castore:
        node = castore.ingest(tmp_path / "tree")
        data = written(castore, node)
        assert data == b"".join(map(bytes, nar_of_path(tmp_path / "tree")))
        assert data == nars.nar(directory((b"large", regular(contents)), (b"small", regular(b"x"))))
        assert sum_of_node(castore, node) == sum_of_path(tmp_path / "tree")
        assert read(data) == node
        assert ingest_nar(open_castore("memory:"), Slow(data, 12345)).node == node


def test_needles_are_found_in_contents_and_targets() -> None:
    large = bytes(LARGE - 10) + b"needle-1" + bytes(LARGE)
    data = nars.nar(directory((b"a", regular(large)), (b"b", symlink(b"/needle-2")), (b"c", regular(b"needle-3"))))
    needles = [b"needle-0", b"needle-1", b"needle-2", b"needle-3"]
    found = ingest_nar(open_castore("memory:"), io.BytesIO(data), needles=needles)
    assert found.needles == {1, 2, 3}


def test_pieces_left_unread_are_passed_over() -> None:
    data = nars.nar(directory((b"a", regular(os.urandom(LARGE))), (b"b", regular(b"x", executable=True))))
    files = [event for event in nar_events(Slow(data, 50_000)) if isinstance(event, File)]
    assert [(file.name, file.size, file.executable) for file in files] == [(b"a", LARGE, False), (b"b", 1, True)]


@pytest.mark.parametrize("seekable", [True, False])
def test_a_listing_stores_and_skips(seekable: bool) -> None:
    contents = os.urandom(LARGE)
    data = nars.nar(directory((b"a", directory((b"b", regular(contents, executable=True)))), (b"l", symlink(b"a/b"))))
    listed = list(list_nar(io.BytesIO(data) if seekable else Slow(data, 4096)))
    assert listed == [
        NarEntry(b"", "directory"),
        NarEntry(b"a", "directory"),
        NarEntry(b"a/b", "file", LARGE, True, data.index(contents)),
        NarEntry(b"l", "symlink", target=b"a/b"),
    ]
    with pytest.raises(InvalidNar, match="contents of a file"):
        list(list_nar(io.BytesIO(data[: LARGE // 2])))


def test_bytes_behind_the_end_can_be_allowed() -> None:
    events = list(nar_events(io.BytesIO(nars.nar(regular(b"x")) + b"more"), trailing=True))
    assert [event.data for event in events if isinstance(event, File)] == [b"x"]


def test_restore(tmp_path: Path) -> None:
    contents = os.urandom(LARGE)
    data = nars.nar(
        directory(
            (b"a", directory((b"b", regular(contents, executable=True)))), (b"e", regular()), (b"l", symlink(b"/n"))
        )
    )
    restore(nar_events(io.BytesIO(data)), tmp_path / "out")
    assert b"".join(map(bytes, nar_of_path(tmp_path / "out"))) == data
    assert os.access(tmp_path / "out" / "a" / "b", os.X_OK)
    with pytest.raises(ExportError, match="something already"):
        restore(nar_events(io.BytesIO(data)), tmp_path / "out")
    with pytest.raises(InvalidNar):
        restore(nar_events(io.BytesIO(data[:-1])), tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_restore_of_a_file_and_of_a_symlink(tmp_path: Path) -> None:
    restore(nar_events(io.BytesIO(nars.nar(regular(b"abc")))), tmp_path / "file")
    restore(nar_events(io.BytesIO(nars.nar(symlink(b"/etc")))), tmp_path / "link")
    assert (tmp_path / "file").read_bytes() == b"abc"
    assert os.readlink(tmp_path / "link") == "/etc"


def test_the_owners_bit_says_what_is_executable(tmp_path: Path) -> None:
    for mode, executable in ((0o744, True), (0o655, False), (0o600, False), (0o500, True)):
        (tmp_path / "file").write_bytes(b"")
        (tmp_path / "file").chmod(mode)
        (event,) = host_events(tmp_path / "file")
        assert isinstance(event, File) and event.executable == executable
        (tmp_path / "file").unlink()


def test_what_a_nar_cannot_hold_is_named(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    os.mkfifo(tmp_path / "tree" / "fifo")
    with pytest.raises(IngestError, match="a FIFO") as caught:
        sum_of_path(tmp_path / "tree")
    assert caught.value.path == str(tmp_path / "tree" / "fifo")
    with pytest.raises(IngestError, match="No such file"):
        sum_of_path(tmp_path / "nothing")


def test_what_the_store_lacks_is_named() -> None:
    with open_castore("memory:") as castore:
        node = castore.ingest_bytes(b"abc")
        gone = FileNode(open_castore("memory:").ingest_bytes(b"else").digest, 4)
        for lacking in (gone, DirectoryNode(gone.digest, 0)):
            with pytest.raises(NotFound) as caught:
                written(castore, lacking)
            assert caught.value.path == str(gone.digest)
        with pytest.raises(DigestMismatch, match="the node says 2 bytes"):
            written(castore, FileNode(node.digest, 2))
        large = castore.ingest_bytes(bytes(LARGE))
        for wrong in (LARGE - 1, LARGE + 1):
            with pytest.raises(DigestMismatch, match="the node says"):
                written(castore, FileNode(large.digest, wrong))
        assert written(castore, SymlinkNode(b"x")) == nars.nar(symlink(b"x"))
        assert Directory({}).entries == {}
