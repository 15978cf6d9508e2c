"""Isolation in a real JupyterLab: planned, and of a run that was observed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from support.lab import Lab
from support.users import AsUser
from tvixbuild_nb import Sandbox, SpecOptions
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.widgets.isolation import isolation_forms
from tvixbuild_nb.widgets.isolation.data import isolation_data
from tvixbuild_nb.widgets.kit.forms import plain_text

pytestmark = pytest.mark.integration
SETUP = """
from tvixbuild_nb import Sandbox, SpecOptions
sb = Sandbox("echo built > /nix/store/out", outputs=["nix/store/out"])
sb.options = SpecOptions.for_host(masked_paths=["/proc/kcore", "/proc/<img src=x onerror=alert(1)>\\u202e"])
sb.isolation()
"""
OBSERVED = """
sb.options = None
run = sb.run(observe=True, show=False)
seen = run.isolation()
seen
"""
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for view in _instances.values() for fault in getattr(view, "faults", ())])
"""


@pytest.mark.usefixtures("root")
def test_planned_and_observed(lab: Lab) -> None:
    with lab.notebook("isolation", SETUP, OBSERVED) as notebook:
        notebook.run_all()
        planned, seen = notebook.view("isolation").first, notebook.view("isolation").nth(1)
        expect(seen.get_by_text("from inside")).to_be_visible()
        # Namespaces: the kernel's numbers from both sides; ids as arrows; capabilities, paths, limits with meaning.
        assert notebook.ask("print(run.status)") == "succeeded"
        expect(planned).to_contain_text("a new one")
        expect(planned.locator("img")).to_have_count(0)
        expect(planned).to_contain_text(r"/proc/<img src=x onerror=alert(1)>\u202e")
        number = notebook.ask("print(seen.namespace('pid').inside)")
        assert number.startswith("pid:[")
        expect(seen).to_contain_text(number)
        expect(seen.get_by_role("table", name="Namespaces")).to_contain_text("≠ its own")
        expect(seen.locator(".arrow.nobody").first).to_contain_text("65534")
        expect(seen.locator(".arrow.nobody").first).to_contain_text("every other id")
        user = notebook.ask("row = seen.ids[1]; print(row.kind, row.inside, row.outside)").split()
        arrow = seen.locator(".arrow").filter(has_text=f"{user[0]} {user[1]}").filter(has_text=user[2])
        expect(arrow).to_contain_text("nixbld")
        seen.scroll_into_view_if_needed()
        notebook.picture("observed")
        # By keys: from the filter to a folded part, and open it.
        seen.get_by_label("Filter the tables").focus()
        press = notebook.page.keyboard.press
        press("Tab")
        press("Enter")
        expect(seen.locator("details.part[open]")).to_have_count(6)
        expect(seen.get_by_role("table", name="Capabilities kept").locator("tbody tr")).to_have_count(14)
        expect(seen.get_by_role("table", name="Capabilities dropped").locator("tbody tr")).to_have_count(27)
        expect(seen.get_by_role("table", name="Capabilities kept")).to_contain_text("send signals")
        expect(seen.get_by_role("table", name="Masked and read-only paths")).to_contain_text("in force")
        limit = seen.get_by_role("table", name="Limits").locator("tr", has_text="RLIMIT_NOFILE")
        expect(limit).to_contain_text("1024")
        expect(limit).to_contain_text("asked for")
        notebook.picture("unfolded")
        assert notebook.violations("isolation") == []
        seen.get_by_label("Filter the tables").fill("chown")
        expect(seen.locator(".part tbody tr:visible")).to_have_count(1)
        notebook.picture("filtered")
        # The key x belongs to the filter, not to the notebook's command mode.
        press("x")
        expect(seen.get_by_label("Filter the tables")).to_have_value("chownx")
        assert notebook.page.locator(".jp-CodeCell").count() == 2
        seen.get_by_label("Filter the tables").fill("")
        notebook.page.set_viewport_size({"width": 900, "height": 900})
        notebook.picture("narrow")
        assert seen.evaluate("view => view.scrollWidth <= view.clientWidth + 1"), "wide tables scroll in their own box"
        notebook.page.set_viewport_size({"width": 1280, "height": 900})
        assert notebook.ask(FAULTS) == "[]"


@pytest.mark.usefixtures("root")
def test_shared_namespaces_are_told(passable_tmp: Path) -> None:
    """A run that was given fewer namespaces: whose they are, and what that costs."""
    store = open_castore("memory:")
    sandbox = Sandbox("true", store=store, builder=OCIBuildService(passable_tmp / "bundles", store))
    sandbox.options = SpecOptions.for_host().replace(namespaces=("mount", "user", "pid", "ipc"))
    run = sandbox.run(observe=True, show=False)
    assert run.ok, str(run)
    seen = run.isolation()
    assert seen is not None and seen.basis == "observed"
    rows = {row["type"]: row for row in isolation_data(seen)["namespaces"]}
    assert rows["network"]["whose"] == "the host's" and rows["network"]["inside"] == rows["network"]["host"]
    assert rows["pid"]["own"] and rows["pid"]["inside"] != rows["pid"]["host"]
    assert rows["network"]["without"] in " ".join(plain_text(isolation_forms(seen).text(), 60).split())


AS_USER = """
import json
from tvixbuild_nb import Sandbox
from tvixbuild_nb.widgets.isolation.data import isolation_data
sandbox = Sandbox("id -u > /nix/store/out", outputs=["nix/store/out"])
planned = sandbox.isolation()
run = sandbox.run(observe=True, show=False)
print(json.dumps([run.status, isolation_data(planned), isolation_data(run.isolation())]))
"""


def test_of_somebody_who_is_not_root(as_user: AsUser) -> None:
    """The ids lead through the keeper's user namespace to the host's: the caller's own and subordinate ones."""
    done = as_user(AS_USER)
    assert done.returncode == 0, done.stderr[-3000:]
    status, planned, seen = json.loads(done.stdout)
    assert status == "succeeded" and (planned["basis"], seen["basis"]) == ("planned", "observed")
    for data in (planned, seen):
        assert data["outside"] == "the keeper's user namespace"
        uids = {row["inside"]: row for row in data["ids"] if row["kind"] == "uid"}
        assert (uids["0"]["outside"], uids["0"]["host"]) == ("0", str(as_user.user.uid))
        assert uids["1000"]["outside"] == "1" and int(uids["1000"]["host"]) > as_user.user.uid
        assert uids["65534"]["outside"] == "every other id" and not uids["65534"]["mapped"]
    assert all(row["own"] for row in seen["namespaces"] if row["type"] in ("user", "pid", "mount", "network"))
    assert all(row["inside"] != row["host"] for row in seen["namespaces"] if row["own"])
    assert not any(row["open"] for row in seen["paths"])
