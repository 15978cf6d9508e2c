"""An explanation on its own: causes with evidence and cure, or what is known where there is none; harmless."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from tvixbuild_nb import Sandbox, open_castore
from tvixbuild_nb.build import DummyBuild, DummyBuildService
from tvixbuild_nb.castore import Node
from tvixbuild_nb.debug import Explanation
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.pasted import explain_pasted
from tvixbuild_nb.errors import OutputError
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.widgets.kit import fragment
from tvixbuild_nb.widgets.run import explanation_forms
from tvixbuild_nb.widgets.run.data import run_data
from tvixbuild_nb.widgets.run.facts import run_facts
from tvixbuild_nb.widgets.run.static import run_html


def test_findings_have_evidence_and_cure() -> None:
    finding = Finding("<b>the tool foo", (Evidence("log", "sh: foo: not found", 3),), "sb.env['PATH']\n<x>", "likely")
    bundle = explanation_forms(Explanation((finding,), wrong=True)).bundle()
    assert "&lt;b&gt;the tool foo (likely)" in bundle["text/html"] and "<x>" not in bundle["text/html"]
    assert "log line 3: sh: foo: not found" in bundle["text/html"] and "do: sb.env" in bundle["text/plain"]


def test_where_nothing_is_known_that_is_said() -> None:
    unknown = explanation_forms(Explanation(wrong=True, known=("failed at build: <status> 3",))).bundle()
    assert "is not known" in unknown["text/html"] and "&lt;status&gt; 3" in unknown["text/html"]
    assert explanation_forms(Explanation()).bundle()["text/plain"] == "nothing is wrong"


def test_a_pasted_log_shows_its_causes_and_what_is_known_besides() -> None:
    lines = [b"building <b>\n", b"\x1b[31merror\x1b[0m: Killed\n"]
    explanation = explain_pasted(lines)
    bundle = explanation_forms(explanation).bundle()
    html = bundle["text/html"]
    assert bundle["text/plain"] == str(explanation) and "log line 1: building &lt;b&gt;" in html and "\x1b" not in html
    # Where nothing is sure, the causes are not all that is told; and what could not be looked into always is.
    guess = Finding("a guess", (Evidence("log", "x", 1),), "look", "possible")
    told = explanation_forms(Explanation((guess,), True, ("a <fact>",), ("the inputs",))).bundle()["text/html"]
    assert "a guess (possible)" in told and "a &lt;fact&gt;" in told and "not looked into: the inputs" in told


def test_a_live_run_that_fails_has_the_section_once_it_is_over() -> None:
    go_on = threading.Event()

    def refused(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        go_on.wait(60)
        raise OutputError("hash mismatch in fixed-output derivation '<x>':")

    castore = open_castore("memory:")
    run = Sandbox("x", store=castore, builder=DummyBuildService(castore, refused), outputs=["build/o"]).start()
    assert run_data(run_facts(run))["findings"] == []
    go_on.set()
    data = run_data(run_facts(run.wait()))
    (shown,) = data["findings"]
    assert "what was fetched is not what was written down" in shown["cause"] and shown["confidence"] == "likely"
    page = str(run_html(data, fragment("log")))
    assert page.count("what was fetched is not") == 1 and "got:" in page and "<x>" not in page
    assert page.index("what was fetched is not") < page.index("log")
