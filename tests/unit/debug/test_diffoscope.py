"""diffoscope is given what differs, and what it says is bounded; a small program stands in for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, Node, SymlinkNode, TreeDiff, open_castore, tree_diff
from tvixbuild_nb.debug.diffoscope import MAX_BYTES, diffoscope


def _program(tmp_path: Path, script: str) -> str:
    program = tmp_path / "stand-in"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def _diff(store: Castore, before: dict[bytes, Node], after: dict[bytes, Node]) -> TreeDiff:
    directories = [Directory(entries) for entries in (before, after)]
    nodes = [DirectoryNode(store.directories.put(each), each.size) for each in directories]
    return tree_diff(store.tree(nodes[0]), store.tree(nodes[1]))


@pytest.fixture
def diff() -> TreeDiff:
    store = open_castore("memory:")
    same = store.ingest_bytes(b"same")
    before = {b"a": store.ingest_bytes(b"1\n"), b"same": same, b"gone": same, b"link": SymlinkNode(b"one")}
    after = {b"a": store.ingest_bytes(b"2\n"), b"same": same, b"new": same, b"link": SymlinkNode(b"two")}
    return _diff(store, before, after)


def test_it_is_given_what_differs_on_both_sides(tmp_path: Path, diff: TreeDiff) -> None:
    script = 'eval last=\\${$#}; eval "first=\\${$(($# - 1))}"; ls $first $last; cat $first/a $last/a; exit 1'
    said = diffoscope(_program(tmp_path, script), diff)
    assert said.text.split() == ["after:", "a", "link", "before:", "a", "link", "1", "2"] and said.note is None
    alone = tree_diff(diff.before / "a", diff.after / "a")
    assert diffoscope(_program(tmp_path, "cat before after; exit 1"), alone).text == "1\n2\n"


@pytest.mark.parametrize(
    ("script", "text", "note"),
    [
        ("yes; exit 1", "y\n" * 50, "said more: these are its first 100 bytes"),
        ("echo found; sleep 60 & sleep 60", "found\n", "was ended after 0.5 s"),
        ("echo found; exec >&-; sleep 60", "found\n", "was ended after 0.5 s"),
        ("exit 0", "", "found no difference"),
        ("echo some; exit 2", "some\n", "ended with status 2"),
        ("printf '\\377'; exit 1", "\N{REPLACEMENT CHARACTER}", None),
    ],
)
def test_its_time_and_text_are_bounded(tmp_path: Path, diff: TreeDiff, script: str, text: str, note: str) -> None:
    begun = time.monotonic()
    said = diffoscope(_program(tmp_path, script), diff, timeout=0.5, most=100)
    assert (said.text, said.note) == (text, note) and time.monotonic() - begun < 10
    assert list(said.lines()) == [*text.splitlines(), *([] if note is None else [f"diffoscope {note}"])]


def test_what_is_large_or_on_one_side_only_it_is_not_given(tmp_path: Path) -> None:
    store = open_castore("memory:")
    large = [store.ingest_bytes(bytes(MAX_BYTES) + end) for end in (b"1", b"2")]
    found = _diff(store, {b"large": large[0]}, {b"large": large[1], b"new": large[0]})
    said = diffoscope(_program(tmp_path, "echo started"), found)
    assert said.text == "" and said.note is not None and "given nothing" in said.note
