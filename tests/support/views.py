"""Cells that show every kind of view, over data that would like to act; and an action on each, for the kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Locator, expect

HOSTILE = "<img src=x onerror=window.bad=1>"
SETUP = f"""
from tvixbuild_nb import Sandbox, doctor
HOSTILE = {HOSTILE!r}
sb = Sandbox(r'''echo 'log line {HOSTILE}'; printf '\\033[31mred\\033[0m \\342\\200\\256over\\n'
mkdir -p /nix/store/out/bin; cd /nix/store/out; echo hello > bin/hello
touch '{HOSTILE}' "$(printf 'not\\377utf8')" "$(printf '\\342\\200\\256txt.exe')"''',
    outputs=["nix/store/out"], inputs={{HOSTILE: b"x"}}, env={{"NOTE": HOSTILE + chr(27) + "[2J"}})
"""
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for view in _instances.values() for fault in getattr(view, "faults", [])])
"""
# A form that stays, with trees below it that open where there is a kernel.
DIFF = """
from tvixbuild_nb import Sandbox, open_castore
from tvixbuild_nb.build import DummyBuildService
store = open_castore("memory:")
def script(request, build):
    return {"nix/store/x": build.castore.ingest_bytes(request.environment_vars["WORD"])}
runs = [
    Sandbox("true", outputs=["nix/store/x"], env={"WORD": word}, store=store, builder=DummyBuildService(store, script))
    .run(show=False) for word in ("one", "two")]
runs[0].diff(runs[1])
"""
PROGRESS = """
import time
from tvixbuild_nb.castore.progress import Shown
with Shown("ingest " + HOSTILE) as progress:
    for _ in range(10):
        time.sleep(0.1)
        progress.advance(3, 1_000_000)
"""


def _search_the_log(view: Locator) -> None:
    field = view.get_by_label("search the log")
    field.fill("onerror")
    field.press("Enter")
    expect(view.locator(".log-hit").first).to_be_visible()


def _mistype_memory(view: Locator) -> None:
    view.get_by_label("Memory at least").fill("lots")
    expect(view.get_by_role("button", name="Run")).to_be_disabled()


def _explain(view: Locator) -> None:
    view.get_by_role("treeitem").filter(has_text="terminal: false").click()
    expect(view.get_by_role("group", name="the chosen part").locator("dt").first).to_have_text("asked for by")


def _resulting_tree(view: Locator) -> None:
    view.get_by_role("tab", name="tree of /").click()
    expect(view.get_by_role("treeitem").first).to_be_visible()


def _filter_isolation(view: Locator) -> None:
    view.get_by_label("Filter the tables").fill("chown")
    expect(view.locator(".part tbody tr:visible")).to_have_count(1)


def _open_folder(view: Locator) -> None:
    view.locator(".space .tr", has_text="bin").first.locator(".twisty").click()
    view.locator(".space .name", has_text="hello").first.click()
    expect(view.locator(".pane")).to_contain_text("hello")


def _open_run(view: Locator) -> None:
    view.locator("tbody th").first.locator("button").click()
    expect(view.locator(".detail")).to_contain_text("Run.open")


def _open_all(view: Locator) -> None:
    view.get_by_role("button", name="open all").click()
    expect(view.locator("details:not([open])")).to_have_count(0)


@dataclass(frozen=True)
class View:
    """One kind of view: the cell that shows it, words its static form has, an action on the live one."""

    name: str
    cell: str
    words: re.Pattern[str]
    act: Callable[[Locator], None]


VIEWS = (
    View("run", "run = sb.run()", re.compile("succeeded in"), _search_the_log),
    View("form", "sb", re.compile("NOTE"), _mistype_memory),
    View("preview", "sb.preview()", re.compile("ociVersion"), _explain),
    View("mounts", "sb.mount_table()", re.compile("/dev/shm"), _resulting_tree),
    View("isolation", "run.isolation()", re.compile("CAP_AUDIT_WRITE"), _filter_isolation),
    View("log", "run.log", re.compile("log line"), _search_the_log),
    View("tree", 'run.outputs["nix/store/out"]', re.compile("bin"), _open_folder),
    View("history", "sb.history()", re.compile("succeeded"), _open_run),
    View("doctor", "doctor()", re.compile("kernel"), _open_all),
)
CELLS = (SETUP, *(view.cell for view in VIEWS), PROGRESS)
