"""What the tree browser knows beyond the trees: needles, accesses, secrets, order, colours; and what it cannot read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tvixbuild_nb.castore import (
    Castore,
    Digest,
    Directory,
    DirectoryNode,
    FileNode,
    Node,
    SymlinkNode,
    Tree,
    open_castore,
    tree_diff,
)
from tvixbuild_nb.fs import InputAccess
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.sandbox import Origin, Outputs, RunTree
from tvixbuild_nb.widgets.kit.forms import plain_text
from tvixbuild_nb.widgets.tree import diff_forms, node_bundle, tree_bundle, tree_forms, trees_bundle
from tvixbuild_nb.widgets.tree.content import HEX_PAGE, MAX_TEXT
from tvixbuild_nb.widgets.tree.highlight import MAX_LINE, highlighted
from tvixbuild_nb.widgets.tree.highlight import MAX_TEXT as MAX_COLOURED
from tvixbuild_nb.widgets.tree.live import TreeView

SECRET = "hunter2-hunter2"
REDACTOR = Redactor({"TOKEN": SECRET})


@pytest.fixture
def store() -> Castore:
    return open_castore("memory:")


def folder(store: Castore, entries: dict[bytes, Node]) -> DirectoryNode:
    made = Directory(entries)
    return DirectoryNode(store.directories.put(made), made.size)


def run_tree(store: Castore, node: Node, name: bytes = b"out", **known: Any) -> RunTree:
    return RunTree(node, store, name, origin=Origin(**known))


def view(tree: Tree) -> TreeView:
    made = tree_forms(tree).live
    assert made is not None
    live = made()
    assert isinstance(live, TreeView)
    return live


# -- needles and accesses -----------------------------------------------------------------------------


def test_marks_are_found_beside_the_rows_and_kept(store: Castore) -> None:
    deep = folder(store, {b"holds": store.ingest_bytes(b"a needle"), b"link": SymlinkNode(b"/needle")})
    lost = FileNode(Digest.of(b"lost"), 4)
    node = folder(store, {b"clean": store.ingest_bytes(b"-"), b"deep": deep, b"lost": lost})
    tree = run_tree(store, node, needles=("needle",))
    live = view(tree)
    assert [row.get("needles") for row in live.first["rows"]] == [["needle"]]
    assert [row.get("needles") for row in live.first["open"]["rows"]] == [None, None, None]  # nothing was read to paint
    answer = live.marks([[0, 0], [0, 1], [0, 2]])
    assert answer["found"] == [["needle"], [], None] and "does not hold" in answer["failed"][2]
    assert live.look([0, 0, 0])[0]["needles"] == ["needle"]
    assert view(tree).page([0, 0], 0)["rows"][1]["needles"] == ["needle"]  # another view of the same run
    assert "holds needle below" in plain_text(tree_forms(tree).text())
    found = live.find("", False, needles=True)
    assert sorted(row["name"] for row in found["rows"]) == ["deep/holds", "deep/link"] and found["unread"] == 1
    below = view(tree / "deep" / "link")
    assert below.needles and below.first["rows"][0]["needles"] == ["needle"]


def test_accesses_follow_into_a_part_of_an_input(store: Castore) -> None:
    node = folder(store, {b"bin": folder(store, {b"run": store.ingest_bytes(b"x")})})
    access = InputAccess(looked_up=("bin", "bin/run"), read={"bin/run": 1}, missing=("bin/absent", "nothing"))
    tree = run_tree(store, node, b"input", accesses=access)
    assert view(tree / "bin").first["open"]["rows"][0]["used"] == "read 1 bytes"
    html = str(tree_forms(tree).html())
    assert "looked for in vain: absent" in html and "looked for in vain: nothing" in html and "read 1 bytes" in html
    assert view(store.tree(node)).marked is False


# -- secrets ------------------------------------------------------------------------------------------


def test_secrets_are_in_no_form(store: Castore) -> None:
    token = SECRET.encode()
    files: dict[bytes, Node] = {
        b"text": store.ingest_bytes(b"my " + token),
        b"json": store.ingest_bytes(json.dumps({"a": SECRET}).encode()),
        b"bytes": store.ingest_bytes(bytes(HEX_PAGE - 5) + token + bytes(100)),
        b"cut": store.ingest_bytes(b"x" * (MAX_TEXT - 5) + token + b"x" * 100),
        b"link": SymlinkNode(b"/a/" + token),
        b"name-" + token: store.ingest_bytes(b"same"),
    }
    tree = run_tree(store, folder(store, files), redactor=REDACTOR)
    live = view(tree)
    told: list[object] = [repr(tree), tree_bundle(tree), live.get_state(["first"]), live.find("*", False)]
    hexes = b""
    for index in range(len(files)):
        facts, buffers = live.look([0, index])
        told.append(facts)
        if facts["form"] == "hex":
            second, more = live.hex([0, index], HEX_PAGE)
            hexes = buffers[0] + more[0]
            assert (facts["hidden"], second["hidden"]) == ([[HEX_PAGE - 5, HEX_PAGE]], [[0, len(token) - 5]])
    text = json.dumps(told, default=str)
    assert "[secret TOKEN]" in text and SECRET[:5] not in text and token[:5] not in hexes and not hexes.strip(b"\0")
    assert live.find(SECRET[:6], False)["rows"] == [] and live.jump([0], "name-hunter", -1) is None
    index = next(i for i, row in enumerate(live.first["open"]["rows"]) if row["name"] == "text")
    assert live.piece([0, index], 0)[1] == [b"my " + token]  # a download is the file as it is
    other = run_tree(store, folder(store, {**files, b"text": store.ingest_bytes(b"no")}), redactor=REDACTOR)
    assert SECRET not in str(diff_forms(tree_diff(other, tree)).html())


# -- order --------------------------------------------------------------------------------------------


def test_directories_in_order(store: Castore) -> None:
    small, large = store.ingest_bytes(b"1"), store.ingest_bytes(b"x" * 100)
    node = folder(
        store,
        {
            b"B": folder(store, {b"f": store.ingest_bytes(b"x" * 50)}),
            b"a": folder(store, {b"f": small, b"g": small}),
            b"lost": DirectoryNode(Digest.of(b"lost"), 20),
            b"Z-small": small,
            b"b-large": large,
            b"link": SymlinkNode(b"x"),
        },
    )
    live = view(store.tree(node, b"t"))

    def names(order: str) -> list[str]:
        return [row["name"] for row in live.page([0], 0, order)["rows"]]

    assert names("") == ["B", "a", "lost", "Z-small", "b-large", "link"]
    assert names("name") == ["a", "B", "lost", "b-large", "link", "Z-small"]
    assert names("-entries")[:3] == ["lost", "a", "B"]
    assert live.sum_for_order([[0]]) == 0
    assert names("-size") == ["b-large", "B", "a", "Z-small", "lost", "link"]
    rows = live.page([0], 0, "-size")["rows"]
    assert [live._places.place([0, row["n"]]).name for row in rows[:2]] == [b"b-large", b"B"]
    assert live.ranks([[0], [0, rows[1]["n"]], [0, rows[3]["n"]]], "-size") == [0, 1, 3]
    assert live.jump([0], "b", 0, "-size") == 1 and live.jump([0], "b", 1, "-size") == 0
    live._heard(None, {"call": 1, "name": "page", "arguments": {"at": [0], "start": 0, "order": "colour"}}, [])
    assert live.faults == []


# -- colours ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "part", "kind"),
    [
        ("a.py", "def f(): return 'x'  # why\n", "def", "keyword"),
        ("a.py", "x = 'text'\n", "'text'", "string"),
        ("default.nix", "# a comment\n{ a = 1; }\n", "# a comment\n", "comment"),
        ("script", "#!/usr/bin/env bash\nif true; then :; fi\n", "if", "keyword"),
        ("a.c", "int main(void) { return 42; }\n", "42", "number"),
        ("a.json", '{"a": 1}', '"a"', "name"),
        ("Makefile", "# make\nall:\n\techo\n", "# make\n", "comment"),
    ],
)
def test_text_is_coloured_by_runs(name: str, text: str, part: str, kind: str) -> None:
    runs = highlighted(text, name)
    assert runs is not None
    parts, at = [], 0
    for length, known in runs:
        parts.append((text[at : at + length].strip(" "), known))
        at += length
    assert (part, kind) in [(piece, known) for piece, known in parts] or any(
        known == kind and part.strip() in piece for piece, known in parts
    )


def test_colouring_is_bounded() -> None:
    assert highlighted("plain words", "notes") is None
    long = highlighted("x = 1\n" * 100_000, "a.py")
    assert long is not None and sum(length for length, _ in long) <= MAX_COLOURED
    assert highlighted("x = '" + "(" * MAX_LINE + "\n", "a.py") == []
    assert highlighted("[" * 1_500, "a.json") is not None


def test_previews_carry_colours(store: Castore) -> None:
    shown, _ = view(store.tree(store.ingest_bytes(b"def f():\n    pass\n"), b"a.py")).look([0])
    assert shown["form"] == "text" and [3, "keyword"] in [list(run) for run in shown["runs"]]
    shown, _ = view(store.tree(store.ingest_bytes(b'{"a": 1}'), b"data")).look([0])
    assert shown["form"] == "json" and shown["runs"]


# -- what is small, missing or damaged ----------------------------------------------------------------


def test_any_node_alone(store: Castore) -> None:
    file, empty = store.ingest_bytes(b"hello\nworld\n"), folder(store, {})
    for node, word in ((file, "hello"), (empty, "empty"), (SymlinkNode(b"nowhere/at\x1ball"), "nowhere/at\\x1ball")):
        tree = store.tree(node, b"alone")
        forms = tree_forms(tree)
        assert word in str(forms.html()) and "alone" in plain_text(forms.text())
        assert view(tree).first["count"] == 1 and view(tree).look([0])[0]["path"] == "alone"
    lines = "\n".join(map(str, range(100))).encode()
    assert "19\n…" in str(tree_forms(store.tree(store.ingest_bytes(lines), b"long")).html())
    for node in (file, empty):
        text = node_bundle(node, ())["text/plain"]
        code = text.partition("look into it:\n")[2]
        assert str(node.digest) in text
        compile(code, "code", "exec")
    assert "nowhere" in node_bundle(SymlinkNode(b"nowhere"), ())["text/plain"]


def test_damage_is_told_and_freezes_nothing(tmp_path: Path) -> None:
    large = bytes(range(256)) * 8_192
    with open_castore(tmp_path / "store") as store:
        file = store.ingest_bytes(large)
        tree = store.tree(folder(store, {b"large": file, b"gone": DirectoryNode(Digest.of(b"gone"), 2)}), b"t")
    (blob,) = [path for path in (tmp_path / "store").rglob("*") if path.is_file() and path.stat().st_size == len(large)]
    blob.chmod(0o600)
    blob.write_bytes(b"!" + large[1:])
    with open_castore(tmp_path / "store") as store:
        live = view(run_tree(store, tree.node, b"t", needles=("needle",)))
        answer = live.marks([[0, 0], [0, 1]])
        assert "does not hold" in answer["failed"][0] and "digest" in answer["failed"][1]
        live._heard(None, {"call": 1, "name": "page", "arguments": {"at": [0, 0], "start": 0}}, [])
        live._heard(None, {"call": 2, "name": "total", "arguments": {"at": [0]}}, [])
        assert "form" in live.look([0, 1])[0] and live.faults == []
        assert "does not hold" in str(tree_forms(store.tree(tree.node, b"t")).html())
    shutil.rmtree(tmp_path / "store")


def test_bundles_of_what_is_not_there(store: Castore) -> None:
    tree = run_tree(store, folder(store, {}), redactor=REDACTOR)
    text = tree_bundle(tree / SECRET)["text/plain"]
    assert "no such entry" in text and SECRET not in text
    assert trees_bundle(Outputs({}, "run 1 failed")) == {"text/plain": "{}"}
    with pytest.raises(KeyError, match="no output 'x': it has none; run 1 failed"):
        _ = Outputs({}, "run 1 failed")["x"]


# -- terminals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [30, 60, 200])
def test_in_a_terminal_of_any_width(store: Castore, width: int) -> None:
    node = folder(
        store,
        {b"bin": folder(store, {b"run": store.ingest_bytes(b"x", executable=True)}), b"n" * 255: SymlinkNode(b"x")},
    )
    text = plain_text(tree_forms(store.tree(node, b"out")).text(), width)
    assert max(map(len, text.splitlines())) <= width and "\x1b" not in text
    squeezed = "".join(text.split())
    assert all(word in squeezed for word in ("out/", "bin/", "run", "executable", "n" * 20))


def test_colours_only_on_a_terminal(store: Castore) -> None:
    text = tree_forms(store.tree(folder(store, {b"bin": folder(store, {})}), b"out")).text()
    for is_terminal in (True, False):
        console = Console(
            force_terminal=is_terminal, force_jupyter=False, width=80, color_system="standard" if is_terminal else None
        )
        with console.capture() as captured:
            console.print(text)
        assert ("\x1b[" in captured.get()) is is_terminal
