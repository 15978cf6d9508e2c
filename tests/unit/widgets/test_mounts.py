"""The mount table's view: data, order and filter, the tree's rows, static form, the live class without a server."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from tvixbuild_nb.castore import Digest, FileNode, SymlinkNode
from tvixbuild_nb.oci import MountTable, SeenMount, SpecOptions, mount_table, render_spec
from tvixbuild_nb.request import BuildConstraints, BuildRequest
from tvixbuild_nb.widgets.kit.forms import plain_text
from tvixbuild_nb.widgets.kit.html import ELEMENTS
from tvixbuild_nb.widgets.mounts import mounts_forms
from tvixbuild_nb.widgets.mounts.data import default_open, mounts_data, select, tree_rows
from tvixbuild_nb.widgets.mounts.live import MountsView

EVIL = "<img src=x onerror=alert(1)>"
LONG = "n" * 255
REQUEST = BuildRequest(
    command_args=["/bin/sh"],
    scratch_paths=["build", "nix/store"],
    inputs_dir="nix/store",
    inputs={
        EVIL: FileNode(Digest.of(b"x"), 7),
        LONG: FileNode(Digest.of(b"y"), 7),
        "link": SymlinkNode(b"/etc/\xff\x1b[2J"),
        "\x1b[31mred\u202e": FileNode(Digest.of(b"z"), 9),
    },
    additional_files={f"etc/{EVIL}": b"hi"},
    constraints=BuildConstraints(system="x", provide_bin_sh=True),
)
OPTIONS = SpecOptions(sandbox_shell="/bin/busybox")


def table() -> MountTable:
    return mount_table(REQUEST, OPTIONS)


def observed() -> MountTable:
    seen = [
        SeenMount("/proc", "proc", "proc", "/", ("rw",), ("rw",), mode=0o555, uid=0, gid=0),
        SeenMount("/tmp", "tmpfs", "tmpfs", "/", ("rw", "nosuid", "noatime"), ("rw",), mode=0o700, uid=5, gid=5),
        SeenMount("/dev/null", "devtmpfs", "devtmpfs", "/null", ("rw",), ("rw",), mode=0o666, uid=0, gid=0),
    ]
    return table().beside(seen, render_spec(REQUEST, OPTIONS))


class Strict(HTMLParser):
    """Fails on anything that a static form must not have."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS - {"img", "input"}, tag
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs), attrs


def test_data_is_json_and_harmless() -> None:
    rows = mounts_data(observed())
    text = json.dumps(rows, ensure_ascii=False)
    text.encode()
    assert "\x1b" not in text and "\u202e" not in text and r"\\u202e" in text
    proc, tmp = rows[0], next(row for row in rows if row["destination"] == "/tmp")
    assert proc["seen"]["mode"] == "0555" and proc["differs"] == []
    assert tmp["differs"] == ["mode 1777 asked for, 0700 in force"]
    assert next(o["meaning"] for o in tmp["options"] if o["text"] == "mode=1777").endswith("1777 (rwxrwxrwt)")
    assert all(option["meaning"] for row in rows for option in row["options"])


def test_order_and_filter() -> None:
    rows = mounts_data(observed())

    def chosen(**changes: Any) -> list[str]:
        asked: dict[str, Any] = {"by": "order", "descending": False, "find": "", "kind": "all", **changes}
        return [row["destination"] for row in select(rows, **asked)]

    assert chosen() == [row["destination"] for row in rows]
    assert chosen(by="destination", descending=True) == sorted(chosen(), reverse=True)
    assert chosen(find="SCRATCH_paths nix") == ["/nix/store"]
    assert set(chosen(kind="inputs")) == {d for d in chosen() if d.startswith("/nix/store/")}
    assert "/tmp" in chosen(kind="not as asked") and "/proc" not in chosen(kind="not as asked")
    for by in ("type", "source", "options", "asked for by", "writable", "input", "seen"):
        assert sorted(chosen(by=by)) == sorted(chosen())
    with pytest.raises(KeyError):
        chosen(kind="nonsense")


def test_rows_of_the_tree() -> None:
    root = table().root
    assert root is not None
    opened = default_open(root)
    shown, more = tree_rows(root, opened)
    paths = [row["path"] for row in shown]
    assert more == 0 and "/dev" in paths and "/dev/null" not in paths and "/etc/passwd" in paths
    closed, _ = tree_rows(root, [])
    assert [row["path"] for row in closed] == ["/"]
    few, more = tree_rows(root, opened, limit=3)
    assert (len(few), len(few) + more) == (3, len(shown))
    json.dumps(shown, ensure_ascii=False).encode()
    link = next(row for row in shown if row["kind"] == "symlink" and row["asked_for_by"] == "inputs['link']")
    assert link["target"] == r"/etc/\xff\x1b[2J"


@pytest.mark.parametrize("shown", [table(), observed()], ids=["planned", "observed"])
def test_static_and_text(shown: MountTable) -> None:
    forms = mounts_forms(shown)
    html = str(forms.html())
    Strict().feed(html)
    assert EVIL not in html and "&lt;img src=x" in html and "the resulting tree of /" in html
    assert ("mode 1777 asked for" in html) == shown.observed
    assert "\x1b" not in html and "\u202e" not in html
    assert ("not there" in str(shown)) == shown.observed


@pytest.mark.parametrize("width", [60, 110, 200])
@pytest.mark.parametrize("shown", [table(), observed()], ids=["planned", "observed"])
def test_in_a_terminal(shown: MountTable, width: int) -> None:
    text = plain_text(mounts_forms(shown).text(), width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text and "\u202e" not in text
    words = " ".join(text.replace("│", " ").split())
    assert "mounts, in order" in words and "the resulting tree of /" in words and "etc" in words
    assert ("what nobody asked for" in words) == shown.observed
    if width == 60:
        # One mount below the other: every word stays whole, whatever its column would have been.
        assert "options: nosuid,strictatime,mode=755,size=65536k" in words
        assert "asked for by: constraints.provide_bin_sh" in words
        assert "the options in words" in words and "device" in words.partition("the options in words")[2]
        assert ("seen in the process: tmpfs rw,nosuid,noatime, mode 0700, owner 5:5" in words) == shown.observed


def test_live_without_a_server() -> None:
    view = MountsView(observed())
    assert view.summary["observed"] and view.summary["unplanned"] == 1
    answer = view.rows(by="order", descending=False, find="", kind="all", count=2)
    assert (len(answer["rows"]), answer["matching"]) == (2, view.summary["mounts"])
    assert view.tree(opened=view.summary["open"])["rows"][0]["path"] == "/"
    besides = view.unplanned()
    assert besides["rows"][0]["why"] == "a default device, bound from the host by the runtime"
    assert besides["matching"] == 1 and view.unplanned(count=0) == {"matching": 1, "rows": []}
    json.dumps(view.summary)
    assert "export default" in view._esm and view.faults == []


def test_a_request_no_bundle_can_hold_says_so() -> None:
    request = REQUEST.replace(additional_files={"proc/x": b""})
    refused = mount_table(request, OPTIONS)
    assert refused.root is None and refused.refused
    assert "no tree of /" in str(mounts_forms(refused).html())
    assert MountsView(refused).tree(opened=[]) == {"rows": [], "more": 0}
