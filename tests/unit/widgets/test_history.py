"""A list of runs in its three forms."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tvixbuild_nb import Sandbox, open_castore
from tvixbuild_nb.build import DummyBuild, DummyBuildService
from tvixbuild_nb.castore import Node
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.widgets.history import history_forms
from tvixbuild_nb.widgets.history.data import history_data
from tvixbuild_nb.widgets.history.live import MOST_OPEN, HistoryView
from tvixbuild_nb.widgets.history.text import history_text
from tvixbuild_nb.widgets.kit.forms import plain_text

HOSTILE = "<img src=x onerror=window.bad=1>\x1b[2J\u202e"
SHOWN = "<img src=x onerror=window.bad=1>\\x1b[2J\\u202e"


def script(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    return {} if "FAIL" in request.environment_vars else {"nix/store/x": build.castore.ingest_bytes(b"out")}


@pytest.fixture
def sandbox() -> Sandbox:
    castore = open_castore("memory:")
    builder = DummyBuildService(castore, script)
    sb = Sandbox("true", outputs=["nix/store/x"], store=castore, builder=builder)
    sb.run(show=False)
    sb.env["FAIL"] = HOSTILE
    sb.run(show=False)
    return sb


def test_newest_first_with_what_changed(sandbox: Sandbox) -> None:
    data = history_data(sandbox.history())
    assert [row["ended"] for row in data["rows"]] == ["failed at output", "succeeded"]
    assert data["rows"][0]["changed"] == f"environment_vars[FAIL]: + {SHOWN}"
    assert (data["total"], data["older"]) == (2, 0)
    assert data["heading"].endswith(": 2, the newest first, each compared with the one before it")


def test_every_form_says_it_and_none_acts(sandbox: Sandbox) -> None:
    forms = history_forms(sandbox.history())
    html, text = str(forms.html()), plain_text(forms.text())
    assert "<img" not in html and "&lt;img src=x" in html
    for form in (html, text):
        assert "\x1b" not in form and "\u202e" not in form
        assert "failed at output" in form and sandbox.history()[0].id in form


def test_the_live_form_tells_of_every_run_and_more_of_one(sandbox: Sandbox) -> None:
    view = HistoryView(sandbox.history())
    view.updates.stop()
    assert view.updates.join(5)
    told: list[str] = []
    view.tell = lambda topic, value, buffers=None: told.append(value["rows"][0]["ended"])  # type: ignore[method-assign]
    assert view._step() and told == []
    del sandbox.env["FAIL"]
    sandbox.run(show=False)
    assert view._step() and view._step() and told == ["succeeded"]
    failed = sandbox.history()[1]
    detail = view.history_detail(failed.id)
    assert detail["verdict"] is None and detail["changes"] == [f"environment_vars[FAIL]: + {SHOWN}"]
    assert detail["code"] == f"Run.open('{failed.id}')"
    failed.delete()
    gone = view.history_detail(failed.id)
    assert "deleted" in gone["verdict"] and gone["view"] is None
    with pytest.raises(KeyError):
        view.history_detail("nothing")
    (sandbox.history()[2].record.path / "request.json").write_text("{")
    assert view._step() and view.history_detail(sandbox.history()[2].id)["code"]
    view.close()


def test_an_opened_run_has_one_view_and_only_so_many_are_kept(sandbox: Sandbox) -> None:
    for _ in range(MOST_OPEN - 1):
        sandbox.run(show=False)
    view = HistoryView(sandbox.history())
    ids = [run.id for run in sandbox.history()]
    opened = [view.history_detail(id)["view"] for id in ids[:-1]]
    widgets = {id: view._opened[id].live() for id in ids[:-1]}
    assert [widget.model_id for widget in widgets.values()] == opened and len(set(opened)) == MOST_OPEN
    assert view.history_detail(ids[1])["view"] == opened[1]
    assert view.history_detail(ids[-1])["view"] not in opened
    assert widgets[ids[0]].comm is None, "the one that was opened first makes room"
    assert widgets[ids[1]].comm is not None
    view.close()
    assert all(widget.comm is None for widget in widgets.values()) and view._opened == {}
    assert view.faults == []


@pytest.mark.parametrize("width", [40, 80, 110, 160])
def test_a_terminal_of_any_width_tells_all_of_it(sandbox: Sandbox, width: int) -> None:
    text = plain_text(history_text(history_data(sandbox.history()), commands=True), width)
    assert max(map(len, text.splitlines())) <= width
    joined = "".join(text.split())
    for run, row in zip(sandbox.history(), sandbox.history().rows(), strict=True):
        assert run.id in joined and f"{row.seconds:.2f}s" in joined
    assert "environment_vars[FAIL]:+" in joined and "failedatoutput" in joined and "-ctrue" in joined
    assert ("when" in text.splitlines()[1]) == (width > 130)
