"""The pure inode logic of a view, over a store in memory."""

from __future__ import annotations

import base64
import errno

import pytest
from hypothesis import given

from support.fs_trees import File, Link, Tree, plant, trees
from tvixbuild_nb.castore import Digest, DirectoryNode, FileNode, SymlinkNode, open_castore
from tvixbuild_nb.errors import InvalidNode, NotFound
from tvixbuild_nb.fs import View
from tvixbuild_nb.fs.inodes import ROOT


def view_of(tree: dict[bytes, Tree]) -> View:
    castore = open_castore("memory:")
    return View({name: plant(castore, child) for name, child in tree.items()}, castore)


def walk(view: View, ino: int) -> Tree:
    mode = view.attributes(ino).mode
    if mode == 0o120777:
        return Link(view.readlink(ino))
    if mode == 0o040555:
        return {entry.name: walk(view, entry.ino) for entry in view.readdir(ino) if entry.name not in (b".", b"..")}
    assert mode in (0o100444, 0o100555)
    return File(view.read(ino, 0, view.attributes(ino).size), mode == 0o100555)


@given(trees())
def test_walking_a_view_gives_the_tree(tree: dict[bytes, Tree]) -> None:
    assert walk(view_of(tree), ROOT) == tree


@given(trees())
def test_every_place_has_an_inode_of_its_own_which_knows_its_path(tree: dict[bytes, Tree]) -> None:
    view = view_of(tree)
    seen: dict[int, tuple[bytes, ...]] = {}

    def visit(ino: int, path: tuple[bytes, ...]) -> None:
        assert ino not in seen
        seen[ino] = path
        assert view.path(ino) == path
        if view.attributes(ino).mode == 0o040555:
            listing = list(view.readdir(ino))
            assert [entry.name for entry in listing[:2]] == [b".", b".."]
            assert listing[0].ino == ino
            assert [e.name for e in listing[2:]] == sorted(e.name for e in listing[2:])
            for entry in listing[2:]:
                assert view.lookup(ino, entry.name) == entry.ino
                visit(entry.ino, (*path, entry.name))

    visit(ROOT, ())
    assert len(view) == len(seen)


def test_equal_contents_in_two_places_are_two_inodes() -> None:
    view = view_of({b"a": File(b"x"), b"b": File(b"x"), b"c": {b"d": File(b"x")}, b"e": {b"d": File(b"x")}})
    c, e = view.lookup(ROOT, b"c"), view.lookup(ROOT, b"e")
    assert c and e
    assert len({view.lookup(ROOT, b"a"), view.lookup(ROOT, b"b"), view.lookup(c, b"d"), view.lookup(e, b"d")}) == 4


def test_reading_at_offsets() -> None:
    view = view_of({b"f": File(bytes(range(100)))})
    ino = view.lookup(ROOT, b"f")
    assert ino is not None
    assert view.read(ino, 10, 5) == bytes(range(10, 15))
    assert view.read(ino, 95, 50) == bytes(range(95, 100))
    assert view.read(ino, 100, 5) == b""


def test_sizes_are_those_people_mean() -> None:
    view = view_of({b"d": {b"x": File(b"abc"), b"y": {b"z": Link(b"target")}}})
    d = view.lookup(ROOT, b"d")
    assert d is not None
    assert view.attributes(d).size == 3
    assert view.attributes(ROOT).size == 1


def test_extended_attributes_have_tvix_names_and_its_printed_form() -> None:
    castore = open_castore("memory:")
    file = castore.ingest_bytes(b"hello")
    directory = plant(castore, {})
    assert isinstance(directory, DirectoryNode)
    view = View({b"f": file, b"d": directory, b"l": SymlinkNode(b"x")}, castore)
    f, d, link = (view.lookup(ROOT, name) for name in (b"f", b"d", b"l"))
    assert f and d and link
    assert view.xattrs(f) == {b"user.tvix.castore.blob.digest": b"b3:" + base64.b64encode(file.digest)}
    assert view.xattrs(d) == {b"user.tvix.castore.directory.digest": b"b3:" + base64.b64encode(directory.digest)}
    assert view.xattrs(link) == view.xattrs(ROOT) == {}


def test_what_is_not_there_is_none() -> None:
    view = view_of({b"d": {}})
    d = view.lookup(ROOT, b"d")
    assert d is not None
    assert view.lookup(ROOT, b"nothing") is None
    assert view.lookup(d, b"nothing") is None


def test_a_question_for_the_wrong_kind_is_refused() -> None:
    view = view_of({b"f": File(b""), b"d": {}})
    f, d = view.lookup(ROOT, b"f"), view.lookup(ROOT, b"d")
    assert f and d
    with pytest.raises(NotADirectoryError):
        view.lookup(f, b"x")
    with pytest.raises(IsADirectoryError):
        view.read(d, 0, 1)
    with pytest.raises(OSError) as caught:
        view.readlink(f)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(IndexError):
        view.attributes(99)


def test_what_the_store_lacks_is_named_by_its_digest() -> None:
    digest = Digest.of(b"never stored")
    view = View({b"f": FileNode(digest, 3), b"d": DirectoryNode(digest, 2)}, open_castore("memory:"))
    f, d = view.lookup(ROOT, b"f"), view.lookup(ROOT, b"d")
    assert f and d
    for act in (lambda: view.read(f, 0, 3), lambda: view.lookup(d, b"x"), lambda: list(view.readdir(d))):
        with pytest.raises(NotFound) as caught:
            act()
        assert caught.value.path == digest.hex()


def test_a_name_in_the_root_must_be_one() -> None:
    with pytest.raises(InvalidNode):
        View({b"a/b": SymlinkNode(b"x")}, open_castore("memory:"))
