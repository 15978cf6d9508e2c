"""The tree browser without a browser: its data, static and text forms, and the live half's calls."""

from __future__ import annotations

import json
import re
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from tvixbuild_nb.castore import (
    Castore,
    Digest,
    Directory,
    DirectoryNode,
    FileNode,
    Listing,
    Node,
    SymlinkNode,
    Tree,
    encode_directory,
    open_castore,
    tree_diff,
)
from tvixbuild_nb.castore.below import Totals
from tvixbuild_nb.errors import InvalidNode, InvalidValue, NotFound
from tvixbuild_nb.fs import InputAccess
from tvixbuild_nb.sandbox import Origin, RunTree
from tvixbuild_nb.widgets.kit.forms import plain_text
from tvixbuild_nb.widgets.tree import diff_forms, node_bundle, tree_forms, trees_forms
from tvixbuild_nb.widgets.tree.images import image_type
from tvixbuild_nb.widgets.tree.live import PIECE, TreeView
from tvixbuild_nb.widgets.tree.outline import excerpt
from tvixbuild_nb.widgets.tree.places import Places
from tvixbuild_nb.widgets.tree.roots import Root
from tvixbuild_nb.widgets.tree.rows import PAGE, first_data, page_data
from tvixbuild_nb.widgets.tree.search import Search

HOSTILE = [b"<img src=x onerror=alert(1)>", b"\x1b[2J\x1b]0;x\x07", b"\xe2\x80\xaetxt.exe", b"\xff\xfe", b"n" * 255]


@pytest.fixture
def store() -> Castore:
    return open_castore("memory:")


def folder(store: Castore, entries: dict[bytes, Node]) -> DirectoryNode:
    made = Directory(entries)
    return DirectoryNode(store.directories.put(made), made.size)


@pytest.fixture
def tree(store: Castore) -> Tree:
    file = store.ingest_bytes(b"hello\n")
    script = store.ingest_bytes(b"#!/bin/sh\n", executable=True)
    hostile = folder(store, dict.fromkeys(HOSTILE, file) | {b"link": SymlinkNode(b"../\x1b[1m<b>")})
    entries: dict[bytes, Node] = {
        b"a.txt": file,
        b"bin": folder(store, {b"run": script}),
        b"hostile": hostile,
        b"zero": folder(store, {}),
    }
    return store.tree(folder(store, entries), b"out")


def flat(store: Castore, count: int) -> Tree:
    file = store.ingest_bytes(b"x" * 10)
    return store.tree(folder(store, {b"file-%06d" % n: file for n in range(count)}), b"flat")


def known(tree: Tree, **given: Any) -> RunTree:
    return RunTree(tree.node, tree.castore, tree.name_bytes, origin=Origin(**given))


def view(tree: Tree, other: Tree | None = None) -> TreeView:
    live = (tree_forms(tree) if other is None else diff_forms(tree_diff(other, tree))).live
    assert live is not None
    made = live()
    assert isinstance(made, TreeView)
    return made


# -- listing ------------------------------------------------------------------------------------------


def test_a_listing_read_from_the_message_is_the_directory() -> None:
    entries: dict[bytes, Node] = {b"n" * length: SymlinkNode(b"t" * length) for length in (1, 90, 127, 128, 255)}
    entries |= {b"d" * length: DirectoryNode(Digest.of(b""), 2**40) for length in (1, 100, 200)}
    entries |= {b"f" * length: FileNode(Digest.of(b""), 2**50, True) for length in (1, 70, 80, 255)}
    entries[b"long"] = SymlinkNode(b"t" * 4095)
    made = Directory(entries)
    read, held = Listing(encode_directory(made)), Listing(made)
    assert len(read) == len(held) == len(entries) and read.directories == held.directories == 3
    assert dict(read.page(0, 99)) == entries
    assert list(read.page(2, 5)) == list(held.page(2, 5)) and list(read.names()) == list(held.names())
    assert list(read.page(50, 60)) == []
    with pytest.raises(InvalidNode, match="ends in the middle"):
        Listing(encode_directory(made)[:-3])


def test_a_local_store_hands_out_messages(tmp_path: Path) -> None:
    with open_castore(tmp_path / "store") as store:
        places = Places([Root("flat", flat(store, 250))])
        page = page_data(places, places.top()[0], 200)
        assert (page["count"], page["rows"][0]["name"], len(page["rows"])) == (250, "file-000200", 50)


# -- comparison ---------------------------------------------------------------------------------------


def test_a_difference_passes_over_what_is_equal(store: Castore) -> None:
    file, other = store.ingest_bytes(b"1"), store.ingest_bytes(b"2")
    nowhere = DirectoryNode(Digest.of(b"not in any store"), 100)
    same: dict[bytes, Node] = {b"same": nowhere, b"kept": file}
    old = store.tree(folder(store, {**same, b"bin": folder(store, {b"a": file, b"\xff": file}), b"gone": file}))
    new = store.tree(folder(store, {**same, b"bin": folder(store, {b"a": other, b"\xff": file}), b"new": file}))
    changes = {change.path: change.kind for change in tree_diff(old, new)}
    assert changes == {(b"bin", b"a"): "changed", (b"gone",): "removed", (b"new",): "added"}
    assert [change.kind for change in tree_diff(old, new).walk()][:2] == ["inside", "inside"]
    assert str(tree_diff(old, new)) == "~ bin/a\n- gone\n+ new"
    assert tree_diff(old, old).same and str(tree_diff(old, old)) == "no difference"


def test_a_comparison_shows_what_changed_or_everything(store: Castore) -> None:
    file, other = store.ingest_bytes(b"one\ntwo\n"), store.ingest_bytes(b"one\nthree\n")
    old = store.tree(folder(store, {b"a": file, b"b": file, b"d": folder(store, {b"x": file})}))
    new = store.tree(folder(store, {b"a": other, b"b": file, b"d": file}))
    live = view(new, other=old)
    assert [(row["name"], row["change"]) for row in live.first["open"]["rows"]] == [("d", "changed"), ("a", "changed")]
    shown, _ = live.look([0, 1])
    assert shown["form"] == "diff" and "-two\n+three" in shown["text"]
    live.show(True)
    assert [row["name"] for row in live.page([], 0)["open"]["rows"]] == ["d", "a", "b"]
    assert live.comparison == "what differs: + added, − removed, ~ changed"
    forms = diff_forms(tree_diff(old, new))
    assert "- x" in plain_text(forms.text()).replace("−", "-")
    assert live.comparison in plain_text(forms.text()) and live.comparison in str(forms.html())


def test_a_comparison_of_equals_says_so(store: Castore) -> None:
    tree = store.tree(folder(store, {b"a": store.ingest_bytes(b"one")}))
    forms = diff_forms(tree_diff(tree, tree))
    assert view(tree, other=tree).comparison == "no difference: both are the same"
    for shown in (plain_text(forms.text()), str(forms.html())):
        assert "no difference: both are the same" in shown
    assert view(tree).comparison == "" and "differ" not in str(tree_forms(tree).html())


def test_only_trees_are_compared(store: Castore) -> None:
    tree = store.tree(store.ingest_bytes(b"one"))
    with pytest.raises(InvalidValue, match="a Tree is compared with a Tree, this is a FileNode") as raised:
        tree_diff(tree, tree.node)  # type: ignore[arg-type]
    assert raised.value.path == "after" and "castore.tree(node)" in str(raised.value.hint)


# -- data and static forms ----------------------------------------------------------------------------


def test_every_form_is_harmless(tree: Tree) -> None:
    forms = tree_forms(known(tree, needles=("<needle>\x1b",)))
    html, text, first = str(forms.html()), plain_text(forms.text()), json.dumps(view(tree).page([0, 1], 0))
    for form in (html, text, first):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\udc80-\udcff]", form)
        assert "\\x1b[2J" in form.replace("\\\\", "\\") and "\\u202etxt.exe" in form.replace("\\\\", "\\")
    assert "<img" not in html and "&lt;img src=x" in html and "<b>" not in html
    assert not re.search("<(script|style|svg)|href|src=[^x]", html)


def test_rows_say_what_applies(tree: Tree) -> None:
    first = first_data(Places([Root("out", tree)]))
    assert first["rows"][0] == {
        "name": "out", "kind": "directory", "entries": 11, "digest": tree.node.digest.hex()[:12],
    }  # fmt: skip
    assert [row["name"] for row in first["open"]["rows"]] == ["bin", "hostile", "zero", "a.txt"]
    run = view(tree).page([0, 0], 0)["rows"][0]
    assert run["executable"] is True and run["size"] == 10


def test_marks(tree: Tree) -> None:
    access = InputAccess(
        looked_up=("bin", "bin/run", "a.txt"), opened=("bin/run",), listed=("bin",), read={"bin/run": 10},
        missing=("bin/\x1bgone",),
    )  # fmt: skip
    live = view(known(tree, needles=("abc",), accesses=access))
    assert live.marked and live.first["rows"][0]["needles"] == ["abc"]
    assert live.first["open"]["rows"][0]["used"] == "listed, 1 used below, 1 not found"
    assert live.first["open"]["rows"][3]["used"] == "looked up"
    assert live.page([0, 0], 0)["rows"][0]["used"] == "read 10 bytes"
    assert live.first["open"]["rows"][1]["used"] == "" and "used" not in view(tree).first["rows"][0]
    forms = tree_forms(known(tree, accesses=access))
    html, text = str(forms.html()), plain_text(forms.text())
    assert '<span style="background:#20a04030">a.txt' in html and "looked up</span>" in html
    assert "not used" in html and "not used" in text and "not used" not in str(tree_forms(tree).html())
    assert live.look([0, 0])[0]["missing"] == ["\\x1bgone"]


def test_the_static_form_counts_what_it_leaves_out(store: Castore, tree: Tree) -> None:
    html = str(tree_forms(flat(store, 1_000)).html())
    assert html.count("file-") == 500 and "500 more, not shown" in html
    assert "500 entries are shown, 500 are not." in html
    assert "not shown" not in str(tree_forms(tree).html())
    text = plain_text(tree_forms(flat(store, 1_000)).text())
    assert text.count("\n") < 60 and "40 entries are shown, 960 are not." in text


def test_upper_levels_come_first(store: Castore) -> None:
    file = store.ingest_bytes(b"x")
    below = folder(store, {b"f%02d" % n: file for n in range(30)})
    seen = excerpt(Places([Root("r", store.tree(folder(store, {b"d%d" % n: below for n in range(5)})))]), 50)
    assert [len(entry.below) for entry in seen.roots[0].below] == [30, 15, 0, 0, 0]
    assert (seen.shown, seen.hidden) == (50, 105)
    assert [entry.hidden for entry in seen.roots[0].below] == [0, 15, 30, 30, 30]


def test_what_the_store_lacks_is_said(store: Castore) -> None:
    lost = store.tree(DirectoryNode(Digest.of(b"lost"), 10), b"lost")
    assert "does not hold" in str(tree_forms(lost).html()) and "does not hold" in view(lost).first["problem"]
    with pytest.raises(NotFound):
        tree_forms(lost / "below")


def test_outputs_are_roots(store: Castore, tree: Tree) -> None:
    holding = known(store.tree(store.ingest_bytes(b"an abc"), b"b"), needles=("abc",))
    forms = trees_forms({"nix/store/a": tree, "nix/store/b": holding})
    assert "nix/store/a" in str(forms.html()) and "holds abc" in plain_text(forms.text())
    assert forms.live is not None and forms.live().first["count"] == 2  # type: ignore[attr-defined]


# -- walks, in steps ----------------------------------------------------------------------------------


def test_totals_sum_each_directory_once(store: Castore, tree: Tree) -> None:
    totals = Totals()
    assert isinstance(tree.node, DirectoryNode)
    assert totals.step(store, tree.node, 10) == 6 * 6 + 10
    deep = folder(store, {b"f": store.ingest_bytes(b"x")})
    for _ in range(40):
        deep = folder(store, {b"a": deep, b"b": deep})
    assert Totals().step(store, deep, 10) == 2**40  # two ways down at each of forty levels
    slow, steps = Totals(), 0
    while slow.step(store, deep, 0) is None:
        steps += 1
    assert 40 <= steps < 200


def test_search_goes_on_where_it_stopped(store: Castore, tree: Tree) -> None:
    places = Places([Root("flat", flat(store, 5_000))])
    search = Search(places, "FILE-0000")
    found = search.step(10, 30)
    assert len(found) == 30 and not search.done
    found += search.step(10, 1000)
    assert len(found) == 100 and search.done and search.looked_at == 5_000
    assert [hit.path for hit in Search(Places([Root("out", tree)]), "r?n").step(10, 9)] == [(b"bin", b"run")]


# -- the live half ------------------------------------------------------------------------------------


def test_pages_and_jumps(store: Castore) -> None:
    live = view(flat(store, 1_000))
    assert len(json.dumps(live.first)) < 16_000 and len(live.first["open"]["rows"]) == PAGE
    assert live.page([0], 950)["rows"][-1]["name"] == "file-000999"
    assert live.jump([0], "FILE-0009", 3) == 900 and live.jump([0], "file", 999) == 0
    assert live.jump([0], "nothing", 0) is None and live.jump([], "flat", -1) == 0
    assert live.total([0]) == 10_000
    live._heard(None, {"call": 1, "name": "page", "arguments": {"at": [0, 5000], "start": 0}}, [])
    live._heard(None, {"call": 2, "name": "look", "arguments": {"at": [-1]}}, [])
    assert live.faults == []


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"plain \x1b[1m text\n", "text"),
        (b'{"a": [1, 2]}', "json"),
        (b"[" * 100_000, "text"),
        (b"\x7fELF\0\0", "hex"),
        (b"caf\xe9", "hex"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "text"),
        (b"GIF89a\x01\0\x01\0\x80\0\0", "image"),
        ("é".encode() * 200_000, "text"),
        (b"", "text"),
    ],
)
def test_previews(store: Castore, data: bytes, form: str) -> None:
    shown, buffers = view(store.tree(store.ingest_bytes(data), b"file")).look([0])
    assert shown["form"] == form and shown["size"] == len(data)
    assert "\x1b" not in shown.get("text", "") and len(shown.get("text", "")) <= 600_000
    assert buffers == ([data] if form in ("hex", "image") else [])


def test_images_that_would_not_fit_into_memory_are_none() -> None:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    assert image_type(png + struct.pack(">II", 100, 100)) == "image/png"
    assert image_type(png + struct.pack(">II", 50_000, 50_000)) is None
    jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08" + struct.pack(">HH", 10, 20)
    assert image_type(jpeg) == "image/jpeg" and image_type(jpeg[:14]) is None
    assert image_type(b"RIFF\0\0\0\0WEBPVP8X" + bytes(14)) == "image/webp"
    assert image_type(b"<svg/>") is None


def test_downloads_come_in_pieces(store: Castore) -> None:
    data = bytes(range(256)) * 5_000
    live = view(store.tree(store.ingest_bytes(data), b"file"))
    pieces, done = [], False
    while not done:
        value, buffers = live.piece([0], sum(map(len, pieces)))
        pieces, done = [*pieces, *buffers], value["done"]
    assert b"".join(pieces) == data and max(map(len, pieces)) <= PIECE
    assert live.hex([0], 4096)[1] == [data[4096:8192]] and live.hex([0], 10**12)[1] == [b""]


def test_export_tells_when_it_is_done(tree: Tree, tmp_path: Path) -> None:
    live, told, heard = view(tree), [], threading.Event()

    def hear(topic: str, value: object, buffers: list[bytes] | None = None) -> None:
        told.append(value)
        heard.set()

    live.tell = hear  # type: ignore[method-assign]
    live.export([0, 0], str(tmp_path / "out"))
    assert heard.wait(10) and told == [{"at": [0, 0], "dest": str(tmp_path / "out")}]
    assert (tmp_path / "out" / "run").read_bytes() == b"#!/bin/sh\n"


@pytest.mark.parametrize("at", [[0], [0, 0, 0], [0, 1, 5], [0, 1, 0]])
def test_the_code_opens_the_same_entry(tmp_path: Path, tree: Tree, at: list[int]) -> None:
    with open_castore(tmp_path / 'it\'s a "store"') as store:
        from tvixbuild_nb.castore import copy_closure

        copy_closure(tree.castore, store, tree.node)
        live = view(store.tree(tree.node, b"out"))
        made: dict[str, Any] = {}
        exec(live.look(at)[0]["code"], made)
        expected = live._places.place(at)
        assert made["tree"].node == expected.node
        assert made["tree"].name_bytes == (expected.path[-1] if expected.path else b"out")
        made["tree"].castore.close()


def test_a_node_shows_itself_where_a_store_has_it() -> None:
    castore = open_castore("memory:")
    file = castore.ingest_bytes(b"contents")
    made = Directory({b"inner": file})
    folder = DirectoryNode(castore.directories.put(made), made.size)
    assert "inner" in node_bundle(folder, [open_castore("memory:"), castore])["text/plain"]
    assert "8 B" in node_bundle(file, [castore])["text/html"]
    alone = node_bundle(folder, [open_castore("memory:")])
    assert set(alone) == {"text/plain"} and str(folder.digest) in alone["text/plain"]
    assert "open_castore" in node_bundle(folder, [])["text/plain"]
    assert set(SymlinkNode(b"away")._repr_mimebundle_()) >= {"text/plain"}
