"""Differences of requests, derivations and runs as rows: told apart without colours, bounded, harmless, no secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ipywidgets import HTML, VBox
from ipywidgets.widgets.widget import _instances

from support.answers import HOSTILE, SECRET, folder, harmless
from support.cli import request_of
from tvixbuild_nb.build import BuildContext, DummyBuild, DummyBuildService, RunRecord
from tvixbuild_nb.castore import Castore, FileNode, Node, SymlinkNode, open_castore
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.nix import Derivation, InputAddressed, StorePath
from tvixbuild_nb.nix.compare import derivation_diff
from tvixbuild_nb.request import BuildRequest, Change, Changes, Redactor
from tvixbuild_nb.sandbox import Run
from tvixbuild_nb.widgets.changes import changes_forms, derivation_diff_forms, run_diff_forms
from tvixbuild_nb.widgets.changes.forms import MAX_OUTPUTS
from tvixbuild_nb.widgets.changes.rows import MAX_ROWS
from tvixbuild_nb.widgets.changes.trees import MAX_CHANGES, MAX_CONTENTS, TreeChanges
from tvixbuild_nb.widgets.kit.both import both
from tvixbuild_nb.widgets.kit.difflines import ADDED, MAX_LINE, REMOVED, diff_lines
from tvixbuild_nb.widgets.tree.below import TreesBelow
from tvixbuild_nb.widgets.tree.live import TreeView


def test_rows_say_what_was_and_what_is() -> None:
    changes = Changes.of([Change("a", "1", "2"), Change(f"b[{HOSTILE}]", None, HOSTILE), Change("c", "", None)])
    bundle = changes_forms(changes).bundle()
    html = bundle["text/html"]
    assert bundle["text/plain"] == str(changes) and "3 differences, the smallest first" in html
    assert "~\u00a0a" in html and "+\u00a0b[&lt;img" in html and "−\u00a0c" in html and "(empty)" in html
    assert f'style="{REMOVED}">1<' in html and f'style="{ADDED}">2<' in html and html.count(">–<") == 2
    assert html.count('scope="col"') == 3 and "<caption" in html
    harmless(html)
    assert changes_forms(Changes(())).bundle() == {"text/plain": "no difference", "text/html": "<p>no difference</p>"}


def test_many_rows_are_bounded() -> None:
    many = Changes(tuple(Change(f"f{number}", "o" * 60, "n" * 60) for number in range(5000)))
    html = changes_forms(many).bundle()["text/html"]
    assert f"{5000 - MAX_ROWS:,} more changes are not shown" in html and len(html) < 300_000


def test_derivations_are_told_by_the_way_to_them() -> None:
    def derivation(flags: bytes) -> Derivation:
        path = StorePath(b"x" * 20, "tool")
        env = {b"FLAGS": flags}
        return Derivation(
            name="tool", outputs={"out": InputAddressed(path)}, system=b"x", builder=b"/bin/sh", args=(), env=env
        )

    diff = derivation_diff(derivation(b"-O2"), derivation(HOSTILE.encode()))
    bundle = derivation_diff_forms(diff).bundle()
    assert bundle["text/plain"] == str(diff) and "env[FLAGS]" in bundle["text/html"]
    assert "differs by itself: <b>tool</b>" in bundle["text/html"]
    harmless(bundle["text/html"])
    same = derivation_diff_forms(derivation_diff(derivation(b"x"), derivation(b"x"))).bundle()
    assert same["text/html"] == "<p>no difference</p>"


def test_lines_have_signs_beside_tints_and_an_end() -> None:
    html = diff_lines(["@@ -1 +1 @@", "-old", "+<new>", " same", "", "+" + "x" * 1000])
    assert f'style="{REMOVED}">-old<' in html and f'style="{ADDED}">+&lt;new&gt;<' in html and ">&nbsp;" not in html
    assert (
        "<div> same</div>" in html and f"[{1001 - MAX_LINE:,} more characters]" in html and "x" * MAX_LINE not in html
    )


def test_of_trees_the_smallest_changes_come_first_and_all_have_one_bound() -> None:
    store = open_castore("memory:")
    before = folder(
        store, {b"gone": folder(store, {b"x": b"", b"y": b""}), b"text": b"one\n", b"link": SymlinkNode(b"a")}
    )
    after = folder(store, {HOSTILE.encode(): b"abc", b"text": b"two\n", b"link": SymlinkNode(HOSTILE.encode())})
    trees = TreeChanges()
    html = trees.html("out", store.tree(before).diff(store.tree(after)))
    for text in (
        "+ &lt;img",
        "3 B",
        "~ text",
        "-one",
        "+two",
        "~ link",
        "(symlink: a -&gt; &lt;img",
        "− gone",
        "3 entries",
    ):
        assert text in html, text
    assert html.index("~ text") < html.index("− gone") and [root.name for root in trees.roots] == ["out"]
    harmless(html)

    many = [
        folder(store, {b"%d" % number: b"%s%d\n" % (word, number) for number in range(400)}) for word in (b"a", b"b")
    ]
    diff = store.tree(many[0]).diff(store.tree(many[1]))
    trees = TreeChanges()
    first, second = trees.html("one", diff), trees.html("two", diff)
    assert first.count("<li>") == MAX_CHANGES and second.count("<li>") == 0
    assert first.count("from byte") == MAX_CONTENTS and first.count("(how is not shown)") == MAX_CHANGES - MAX_CONTENTS
    assert f"these are {MAX_CHANGES} of the smallest" in first and "these are 0 of the smallest" in second


def test_what_a_store_lacks_is_said() -> None:
    store, other = open_castore("memory:"), open_castore("memory:")
    lost = store.tree(other.ingest_bytes(b"lost"))
    assert "does not hold these contents" in TreeChanges().html("x", store.tree(store.ingest_bytes(b"a")).diff(lost))
    tree = store.tree(folder(other, {b"a": b"1"}))
    assert "does not hold this directory" in TreeChanges().html("x", store.tree(folder(store, {})).diff(tree))


def test_secrets_are_left_out_of_names_texts_and_dumps() -> None:
    store, secret = open_castore("memory:"), SECRET.encode()
    sides = [
        folder(
            store,
            {
                b"text": b"my %s %d\n" % (secret, n),
                b"dump": b"\0\0\0\0\0\0%s\0%d" % (secret, n),
                secret: b"%d" % n,
                b"link": SymlinkNode(b"%s/%d" % (secret, n)),
            },
        )
        for n in (1, 2)
    ]
    html = TreeChanges([Redactor({"TOKEN": SECRET})]).html("x", store.tree(sides[0]).diff(store.tree(sides[1])))
    harmless(html)
    assert "68 75 6e 74" not in html and "in or beside what is secret: not shown" in html
    assert "my [secret TOKEN] 1" in html and "~ [secret TOKEN]" in html and "(symlink: [secret TOKEN]/1" in html


def run(store: Castore, contents: Mapping[str, bytes | Node], secrets: tuple[str, ...] = (), **changes: Any) -> Run:
    record = RunRecord.create()
    record.write_secrets(secrets)

    def script(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        build.print(request.environment_vars.get("SAY", b""))
        return {path: store.ingest_bytes(each) if isinstance(each, bytes) else each for path, each in contents.items()}

    request = request_of("true", outputs=list(contents), **changes)
    return Run.begin(DummyBuildService(store, script), request, BuildContext(record)).wait()


def test_two_runs_in_every_part() -> None:
    store = open_castore("memory:")
    env = {"TOKEN": SECRET, "SAY": f"{HOSTILE} {SECRET}\n"}
    one = run(
        store, {"nix/store/a": folder(store, {b"f": b"1\n"}), "nix/store/old": b""}, ("TOKEN",), environment_vars=env
    )
    env = {"TOKEN": "hunter3-hunter3", "SAY": "hunter3-hunter3\n"}
    new = {"nix/store/a": folder(store, {b"f": f"{HOSTILE} hunter3-hunter3\n".encode()})}
    two = run(store, new, ("TOKEN",), environment_vars=env)
    diff = one.diff(two)
    forms = run_diff_forms(diff)
    bundle = forms.bundle()
    html = bundle["text/html"]
    assert bundle["text/plain"] == str(diff)
    for text in (f"run {one.id}", f"run {two.id}", "outputs[nix/store/old]", "environment_vars[SAY]", "log, line 1"):
        assert text in html
    assert ">-&lt;img" in html and ">+[secret TOKEN]" in html and ">-1<" in html and ">+&lt;img" in html
    harmless(html)
    same = run_diff_forms(one.diff(one))
    assert "no difference" in same.bundle()["text/html"] and same.live is None

    assert forms.live is not None and forms.adds
    view = forms.live()
    assert isinstance(view, TreesBelow) and view.names == ["nix/store/a"]
    opened = view.open_tree(0)
    assert view.open_tree(0) == opened
    tree = _instances[opened]
    assert isinstance(tree, TreeView) and tree.first["open"]["rows"][0]["change"] == "changed"
    shown = tree.look([0, 0])[0]["text"]
    assert "+<img" in shown and "[secret TOKEN]" in shown and "\x1b" not in shown and "hunter" not in shown
    with pytest.raises(InvalidValue):
        view.open_tree(1)
    view.close()
    assert tree.comm is None and view.faults == []


def test_a_live_form_that_adds_leaves_the_static_one() -> None:
    forms = run_diff_forms(
        run(open_castore("memory:"), {"nix/store/a": b"1"}).diff(run(open_castore("memory:"), {"nix/store/a": b"2"}))
    )
    assert forms.live is not None
    box = both(forms.html(), forms.live(), stays=True)
    assert isinstance(box, VBox) and isinstance(box.children[0], HTML) and "tvixbuild-stays" in box._dom_classes
    assert "tvixbuild-stays" not in both(forms.html(), forms.live())._dom_classes


def test_many_outputs_are_bounded() -> None:
    store = open_castore("memory:")
    sides = [
        run(
            store,
            {
                f"nix/store/{n}": FileNode(store.ingest_bytes(b"%s%d" % (word, n)).digest, 2 + (n > 9) + (n > 99))
                for n in range(120)
            },
        )
        for word in (b"a", b"b")
    ]
    html = run_diff_forms(sides[0].diff(sides[1])).bundle()["text/html"]
    assert f"{120 - MAX_OUTPUTS} more outputs that differ are not shown" in html and len(html) < 200_000
