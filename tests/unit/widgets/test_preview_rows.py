"""The rows of a preview's tree: what is unfolded, long parts page by page, what a change removed, who is displayed."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tvixbuild_nb import Sandbox
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.oci.explanation import parts
from tvixbuild_nb.widgets.preview import data
from tvixbuild_nb.widgets.preview.changes import MOST_TOLD, Changes
from tvixbuild_nb.widgets.preview.data import Shown
from tvixbuild_nb.widgets.preview.live import PreviewView
from tvixbuild_nb.widgets.preview.rows import MOST_REMOVED, MOST_ROWS, PAGE, Unfolded, rows

EVERYTHING = Unfolded(inverted=True)


def sandbox(**changes: Any) -> Sandbox:
    fields = {"env": {"HOME": "/homeless"}, "outputs": ["nix/store/out"], "options": SpecOptions()}
    return Sandbox("echo hello", **{**fields, **changes})


def shown(**changes: Any) -> Shown:
    return Shown.of(sandbox(**changes).preview())


def opened(*paths: str) -> Unfolded:
    return Unfolded(frozenset(paths))


MANY = shown(scratch_paths=["nix/store", *(f"s{n}" for n in range(4000))])
MOUNTS = len(MANY.config["mounts"])


def test_rows_are_those_that_are_unfolded() -> None:
    value = shown()
    ((top,), more) = rows(value, opened())
    assert (top["path"], top["level"], top["open"], more) == ("", 1, False, 0)
    assert set(top["marks"]) == {"terminal", "/sys", "/tmp"}
    changes = Changes(frozenset({"/process/args/2", "/linux/resources"}))
    found = {row["path"]: row for row in rows(value, opened("", "/process"), changes)[0]}
    assert found["/process/cwd"]["text"] == '"/build"'
    assert found["/process/args"]["text"] == "/bin/sh, -c, echo hello"
    assert found["/process/args"]["changed"] and found["/linux"]["changed"] and not found["/process"]["changed"]
    assert "/process/args/0" not in found
    mounts, _ = rows(value, opened("", "/mounts"))
    assert [row["name"] for row in mounts if row["level"] == 3][:2] == ["/proc", "/dev"]


def test_everything_unfolded_but_what_is_folded() -> None:
    value = shown()
    found, more = rows(value, EVERYTHING)
    assert [row["path"] for row in found] == [path for path, _ in parts(value.config)] and more == 0
    folded = {row["path"] for row in rows(value, Unfolded(frozenset({"/mounts"}), inverted=True))[0]}
    assert "/mounts" in folded and "/mounts/0" not in folded and "/process/args/0" in folded


def test_a_long_part_is_shown_page_by_page() -> None:
    found, more = rows(MANY, opened("", "/mounts"))
    inside = [row for row in found if row["level"] == 3]
    assert more == 0 and len(inside) == PAGE + 1
    assert (inside[-1]["page"], inside[-1]["text"]) == (1, f"{MOUNTS - PAGE} after these")
    names: list[str] = []
    page: int | None = 0
    while page is not None:
        turned, _ = rows(MANY, Unfolded(frozenset({"", "/mounts"}), pages={"/mounts": page}))
        inside = [row for row in turned if row["level"] == 3]
        names += [row["name"] for row in inside if "page" not in row]
        page = next((row["page"] for row in inside if row.get("page", -1) > page), None)
    assert names == [mount["destination"] for mount in MANY.config["mounts"]]
    # A part that became shorter meanwhile still has a page.
    beyond, _ = rows(MANY, Unfolded(frozenset({"", "/mounts"}), pages={"/mounts": 1000}))
    assert beyond[-1]["path"].startswith("/") and any(row["name"] == names[-1] for row in beyond)


def test_what_is_not_shown_is_counted() -> None:
    texts = [str(n) for n in range(1000)]
    value = Shown({str(key): texts for key in range(20)}, {}, {}, (), data.check_config({}))
    found, more = rows(value, EVERYTHING)
    assert len(found) == MOST_ROWS and more == 1 + 20 * (PAGE + 2) - MOST_ROWS


@given(st.integers(0, MOUNTS - 1), st.booleans())
def test_any_part_can_be_revealed(index: int, inverted: bool) -> None:
    path = f"/mounts/{index}/destination"
    unfolded = Unfolded(frozenset({"", "/mounts", f"/mounts/{index}"} if inverted else ()), inverted)
    again = Unfolded.of(json.loads(json.dumps(unfolded.revealing(MANY, path).to_dict())))
    found, _ = rows(MANY, again)
    (row,) = [row for row in found if row["path"] == path]
    assert MANY.config["mounts"][index]["destination"] in row["text"]


def test_what_does_not_exist_reveals_what_is_around_it() -> None:
    found, _ = rows(shown(), Unfolded().revealing(shown(), "/process/args/77"))
    assert "/process/args/2" in [row["path"] for row in found]


def test_what_was_removed_is_marked_where_it_was() -> None:
    sb = sandbox(options=SpecOptions(hostname="there"))
    before = sb.preview()
    sb.env = {}
    sb.scratch_paths = [*sb.scratch_paths, "x"]
    sb.command = ("/bin/sh", "-c", "other")
    sb.options = SpecOptions(namespaces=("mount", "user"))
    now = sb.preview()
    changes = Changes.between(before, now)
    assert "process.env[HOME] (removed)" in changes.told and "mounts[/x] (added)" in changes.told
    found, _ = rows(Shown.of(now), EVERYTHING, changes)
    removed = {(row["path"], row["name"]): row for row in found if "removed" in row}
    assert removed[("/process/env", "0")]["text"] == '"HOME=/homeless"'
    assert removed[("/linux/namespaces", "pid")]["text"] == "pid" or removed[("/linux/namespaces", "pid")]["text"]
    assert ("", "hostname") in removed and "/process/args/2" in {row["path"] for row in found if row["changed"]}
    # The list that lost its last member still has a place for it, and says so while it is folded.
    folded = {row["path"]: row for row in rows(Shown.of(now), opened("", "/process"), changes)[0]}
    assert folded["/process/env"]["open"] is False and folded["/process/env"]["changed"]
    assert not any("removed" in row for row in folded.values() if row["level"] > 2)
    gone = changes.removed["/process/env"][0].detail()
    assert gone["path"] == "/process/env/0 (removed)" and gone["value"] == '"HOME=/homeless"'
    assert gone["explanation"]["asked_by"] == "environment_vars['HOME']"


def test_many_removals_are_counted() -> None:
    sb = sandbox(env={f"V{n}": "1" for n in range(100)})
    before = sb.preview()
    sb.env = {}
    changes = Changes.between(before, sb.preview())
    assert len(changes.in_words()) == MOST_TOLD + 1 and changes.in_words()[-1] == "80 more"
    found, _ = rows(Shown.of(sb.preview()), EVERYTHING, changes)
    assert sum("removed" in row for row in found) == MOST_REMOVED
    assert f"{100 - MOST_REMOVED} more were removed" in [row["text"] for row in found]


def test_views_of_a_page_that_is_gone_are_forgotten() -> None:
    sb = sandbox()
    view = PreviewView(sb.preview())
    asked: list[Any] = []
    view.tell = lambda topic, value, buffers=None: asked.append((topic, value))  # type: ignore[method-assign]
    view.appear("old")
    view.appear("other")
    view.present("old")
    assert view._displayed == {"old", "other"}
    # The page is loaded anew: nobody answers for the old ones.
    view.appear("new")
    assert asked[-1] == ("roll call", "new") and view._displayed == {"new"}
    view.vanish("new")
    assert view._displayed == set() and view._cancel is None
    # Of two, one goes: the other says that it is there, and hears what it missed.
    view.appear("left")
    view.present("right")
    view.vanish("left")
    assert asked[-1] == ("roll call", None) and view._cancel is None
    sb.env["NEW"] = "1"
    assert view.present("right")["changed"] == ["process.env[NEW] (added)"]
    assert view._displayed == {"right"} and view._cancel is not None
    view.close()
    assert view._cancel is None and view.faults == []


def test_search_says_when_there_is_more() -> None:
    view = PreviewView(sandbox(scratch_paths=["nix/store", *(f"s{n}" for n in range(1100))]).preview())
    assert view.search("rbind")["more"] and not view.search("/dev/shm")["more"]
    assert len(view.search("rbind")["found"]) == data.MOST_FOUND
    view.close()
