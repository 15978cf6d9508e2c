"""What differs between trees and between files: all of it, equal subtrees not read, harmless to look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, FileNode, Node, SymlinkNode, Tree, open_castore
from tvixbuild_nb.castore.contents import MAX_TEXT, contents_diff
from tvixbuild_nb.castore.encoding import encode_directory
from tvixbuild_nb.castore.listing import Listing
from tvixbuild_nb.errors import InvalidValue, NotFound

STORE = open_castore("memory:")
NESTED = st.recursive(
    st.binary(max_size=4),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), inner, max_size=3),
    max_leaves=12,
)


def _node(value: bytes | Mapping[str, object]) -> Node:
    if isinstance(value, bytes):
        return STORE.ingest_bytes(value)
    directory = Directory({name.encode(): _node(inner) for name, inner in value.items()})  # type: ignore[arg-type]
    return DirectoryNode(STORE.directories.put(directory), directory.size)


def _tree(value: bytes | Mapping[str, object]) -> Tree:
    return STORE.tree(_node(value))


def _flat(tree: Tree) -> dict[tuple[str, ...], object]:
    if not tree.is_dir():
        return {tree.parts: tree.node}
    return {tree.parts: "directory"} | {path: node for entry in tree for path, node in _flat(entry).items()}


@given(NESTED, NESTED)
def test_what_is_told_is_all_that_differs(old: bytes, new: bytes) -> None:
    before, after = _tree(old), _tree(new)
    diff = before.diff(after)
    assert diff.same == (not list(diff)) == (before.node == after.node)
    told = {change.path for change in diff}
    flat = _flat(before), _flat(after)
    for path in flat[0].keys() | flat[1].keys():
        if flat[0].get(path) != flat[1].get(path):
            parts = tuple(part.encode() for part in path)
            # What is in a directory that came or went is told with it.
            assert any(parts[:end] in told for end in range(len(parts) + 1))
    back = {change.path for change in after.diff(before)}
    assert back == told
    assert sorted(change.size for change in diff) == [change.size for change in diff.smallest()]


def test_equal_subtrees_are_not_read() -> None:
    big = {f"d{number}": {f"f{index}": b"%d" % index for index in range(5)} for number in range(5)}
    before, after = _tree({"same": big, "other": {"x": b"1"}}), _tree({"same": big, "other": {"x": b"2"}})
    assert isinstance(before.node, DirectoryNode)

    class Counting:
        """The directories of a store, and how many were asked for."""

        asked = 0

        def get(self, digest: object) -> object:
            self.asked += 1
            return STORE.directories.get(digest)  # type: ignore[arg-type]

    directories = Counting()
    backend = SimpleNamespace(blobs=STORE.blobs, directories=directories, address="memory:", local_path=None)
    store = Castore(backend)  # type: ignore[arg-type]
    assert [str(change) for change in Tree(before.node, store).diff(Tree(after.node, store))] == ["~ other/x"]
    assert directories.asked == 4  # the root and "other", before and after


def test_the_report_shows_the_smallest_first_and_what_is_inside() -> None:
    text = b"".join(b"line %d\n" % number for number in range(50))
    before = {"b": b"\0\x01\x02" * 20, "gone": {"x": b"", "y": b""}, "t": text, "same": b"s"}
    after = {"b": b"\0\x01\x02" * 19 + b"\0\x01\x03", "t": text.replace(b"line 20\n", b"line \x1b[2J\n"), "same": b"s"}
    lines = list(_tree(before).diff(_tree(after)).report())
    assert lines[0] == "~ b" and lines[1].endswith("from byte 59 on:") and "-00000030" in lines[2]
    assert lines[lines.index("~ t") + 1 :][:2] == ["    from byte 155 on:", "    @@ -19,5 +19,5 @@"]
    assert "    +line \\x1b[2J" in lines and "    -line 20" in lines
    assert lines[-1] == "- gone"


def test_what_became_of_an_entry_is_said() -> None:
    plain = STORE.ingest_bytes(b"#!/bin/sh\n")
    pairs: list[tuple[Node, Node, str]] = [
        (plain, FileNode(plain.digest, plain.size, executable=True), "~ . (executable now)"),
        (FileNode(plain.digest, plain.size, executable=True), plain, "~ . (executable no more)"),
        (SymlinkNode(b"a\nb"), SymlinkNode(b"c"), "~ . (symlink: a\\nb -> c)"),
        (plain, SymlinkNode(b"c"), "~ . (file -> symlink)"),
        (_node({}), plain, "~ . (directory -> file)"),
    ]
    for before, after, expected in pairs:
        assert list(STORE.tree(before).diff(STORE.tree(after)).report()) == [expected]


def test_secrets_are_taken_out_of_the_report() -> None:
    diff = _tree({"f": b"token hunter2\n"}).diff(_tree({"f": b"token hunter3\n"}))
    assert not any("hunter" in line for line in diff.report(lambda text: text.replace("hunter", "***")))


def _without(*secrets: str) -> Callable[[str], str]:
    def hide(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***")
        return text

    return hide


def test_secrets_are_found_over_line_ends_and_in_hex_dumps() -> None:
    lines = _tree(b"ab\ncd\nsame\n1\n").diff(_tree(b"ab\ncd\nsame\n2\n"))
    shown = list(lines.report(_without("ab\ncd")))
    assert " ***" in "\n".join(shown) and not any(line.strip() in ("ab", "cd") for line in shown)
    only = list(_tree(b"ab\ncd").diff(_tree(b"ef\ngh")).report(_without("ab\ncd", "ef\ngh")))
    assert only == ["    from byte 0 on, in or beside what is secret: not shown"]
    # A secret that reaches into the rows from before them, and one that does not.
    dumps = [b"\0" * 28 + b"hunter2" + b"\0" * 5, b"hunter2" + b"\0" * 33]
    for data, hidden in zip(dumps, (True, False), strict=True):
        told = list(_tree(data + b"\1").diff(_tree(data + b"\2")).report(_without("hunter2")))
        assert ("not shown" in told[0]) == hidden and (len(told) == 1) == hidden
        assert "68 75" not in "".join(told) and "hunter" not in "".join(told)


@pytest.mark.parametrize(
    ("old", "new", "kind", "offset"),
    [
        (b"a", b"b", "text", 0),
        (b"", b"a", "text", 0),
        (b"same\n", b"same", "text", 4),
        (b"a\0", b"a\1", "bytes", 1),
        (b"\xff", b"\xfe", "bytes", 0),
        (b"x" * (MAX_TEXT + 1), b"x" * MAX_TEXT + b"y", "bytes", MAX_TEXT),
        (b"y" * 600_000 + b"a", b"y" * 600_000 + b"b", "bytes", 600_000),
    ],
)
def test_files_are_compared_as_text_or_bytes(old: bytes, new: bytes, kind: str, offset: int) -> None:
    found = contents_diff(STORE, STORE, STORE.ingest_bytes(old), STORE.ingest_bytes(new))
    assert found is not None and (found.kind, found.offset) == (kind, offset)
    assert {line[0] for line in found.lines} >= ({"-", "+"} if old and new else {"+"})


def test_a_long_text_is_cut_and_equal_files_do_not_differ() -> None:
    old, new = (b"".join(b"%s%d\n" % (word, number) for number in range(100)) for word in (b"a", b"b"))
    found = contents_diff(STORE, STORE, STORE.ingest_bytes(old), STORE.ingest_bytes(new))
    assert found is not None and not found.complete and len(found.lines) == 40
    assert contents_diff(STORE, STORE, STORE.ingest_bytes(old), STORE.ingest_bytes(old)) is None


def test_what_the_store_lacks_and_what_is_no_tree() -> None:
    kept, lost = STORE.ingest_bytes(b"kept"), open_castore("memory:").ingest_bytes(b"lost")
    diff = STORE.tree(kept).diff(STORE.tree(lost))
    with pytest.raises(NotFound):
        diff.contents(next(iter(diff)))
    assert "does not hold" in list(diff.report())[0]
    with pytest.raises(InvalidValue, match="compared with a Tree"):
        STORE.tree(kept).diff(kept)  # type: ignore[arg-type]


@given(NESTED, NESTED)
def test_listings_tell_what_the_other_has_not_and_their_size(old: bytes, new: bytes) -> None:
    nodes = [node for node in (_node(old), _node(new)) if isinstance(node, DirectoryNode)]
    directories = [directory for node in nodes if (directory := STORE.directories.get(node.digest)) is not None]
    read = [[Listing(directory) for directory in directories], [Listing(encode_directory(d)) for d in directories]]
    for listings in read:
        assert [listing.size for listing in listings] == [node.size for node in nodes]
        for one, listing in zip(directories, listings, strict=True):
            for other, there in zip(directories, listings, strict=True):
                expected = {name: node for name, node in one.entries.items() if other.entries.get(name) != node}
                assert listing.without(there) == expected


@pytest.mark.parametrize("width", [100_000, 100])
def test_one_file_of_a_hundred_thousand_is_found_within_a_second(tmp_path: Path, width: int) -> None:
    with open_castore(f"file:{tmp_path / 'store'}") as store:
        same, other = store.ingest_bytes(b"same"), store.ingest_bytes(b"other")
        trees = []
        for last in (same, other):
            below: list[Node] = []
            for number in range(100_000 // width):
                entries: dict[bytes, Node] = {b"%06d" % index: same for index in range(width)}
                if number == 0:
                    entries[b"%06d" % (width // 2)] = last
                directory = Directory(entries)
                below.append(DirectoryNode(store.directories.put(directory), directory.size))
            top = Directory({b"%06d" % index: node for index, node in enumerate(below)})
            trees.append(store.tree(DirectoryNode(store.directories.put(top), top.size)))
        begun = time.process_time()
        lines = list(trees[0].diff(trees[1]).report())
        assert time.process_time() - begun < 1
        assert lines[0] == f"~ 000000/{width // 2:06d}" and lines[-1].strip().startswith("+other")
