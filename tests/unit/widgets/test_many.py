"""Many builds in their forms, without a browser: going on, over, with hostile words, more than there is room for."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest

from support.form_page import wait
from tvixbuild_nb import build_many, open_castore
from tvixbuild_nb.build import DummyBuild, DummyBuildService
from tvixbuild_nb.castore import Node
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Many
from tvixbuild_nb.widgets.kit.forms import plain_text
from tvixbuild_nb.widgets.many import many_forms, present_many
from tvixbuild_nb.widgets.many.data import many_data
from tvixbuild_nb.widgets.many.live import ManyView

HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e"
SHOWN = "<img src=x onerror=alert(1)>\\x1b[2J\\u202e"


class Gate:
    """Lets the builds of "slow" go on."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def script(self, request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        build.print(f"says {request.command_args[-1]}\n")
        while "slow" in request.command_args and not self.open.is_set():
            build.sleep(0.01)
        return {} if "bad" in request.command_args else {"s/o": build.castore.ingest_bytes(b"x")}

    def begin(self, *commands: list[str], jobs: int = 4) -> Many:
        castore = open_castore("memory:")
        requests = [BuildRequest(command_args=each, scratch_paths=["s"], outputs=["s/o"]) for each in commands]
        service = DummyBuildService(castore, self.script)
        return build_many(requests, builder=service, store=castore, jobs=jobs)


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_every_form_says_it_and_none_acts(gate: Gate) -> None:
    many = gate.begin(["sh", HOSTILE], ["sh", "bad", HOSTILE], ["sh", HOSTILE]).wait(show=False)
    forms = many_forms(many)
    html, text = str(forms.html()), plain_text(forms.text())
    assert "<img" not in html and "&lt;img src=x" in html
    for form in (html, text):
        assert "\x1b" not in form and "\u202e" not in form
        assert "1 succeeded, 1 failed; 1 of 3 requests are for the same builds" in form
        assert "missing outputs" in form and "0, 2" in form
    assert 'data-volatile="seconds"' in html and "worker" not in html
    assert present_many(many) is None


def test_the_live_form_follows_and_stops_one_and_all(gate: Gate) -> None:
    many = gate.begin(["sh", "slow", "1"], ["sh", "slow", "2"], ["sh", "slow", "3"], ["sh", "quick"])
    view = ManyView(many)
    wait(lambda: [row["state"] for row in view.state["rows"]] == ["building"] * 3 + ["succeeded"])
    assert view.state["rows"][0]["said"] == "says 1" and not view.state["over"]
    kept = dict(view.state)
    view.updates.stop()
    assert view.updates.join(5) and view._step() and view.state == kept, "seconds are the page's to count"
    view.many_cancel(1)
    wait(lambda: many.rows()[1].state == "cancelled")
    assert [row["state"] for row in view.many_cancel(1)["rows"]].count("building") == 2
    view.many_cancel()
    many.wait(show=False)
    assert not view._step() and view.state["over"] and view.state["counts"] == "1 succeeded, 3 cancelled"
    assert view.faults == []
    view.close()


def test_closing_a_view_leaves_the_builds_alone(gate: Gate) -> None:
    many = gate.begin(["sh", "slow"])
    ManyView(many).close()
    gate.open.set()
    assert many.wait(show=False).ok


def test_of_very_many_builds_those_that_matter_are_shown(gate: Gate) -> None:
    many = gate.begin(*(["sh", "bad" if number == 7 else "good", str(number)] for number in range(12)))
    data = many_data(many.wait(show=False), most=3)
    assert [row["requests"] for row in data["rows"]] == ["0", "1", "7"] and data["more"] == 9
