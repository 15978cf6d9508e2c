"""An explanation on its own: causes with evidence and cure, or what is known where there is none; harmless."""

from __future__ import annotations

from tvixbuild_nb.debug import Explanation
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.widgets.run import explanation_forms


def test_findings_have_evidence_and_cure() -> None:
    finding = Finding("<b>the tool foo", (Evidence("log", "sh: foo: not found", 3),), "sb.env['PATH']\n<x>", "likely")
    bundle = explanation_forms(Explanation((finding,), wrong=True)).bundle()
    assert "&lt;b&gt;the tool foo (likely)" in bundle["text/html"] and "<x>" not in bundle["text/html"]
    assert "log line 3: sh: foo: not found" in bundle["text/html"] and "do: sb.env" in bundle["text/plain"]


def test_where_nothing_is_known_that_is_said() -> None:
    unknown = explanation_forms(Explanation(wrong=True, known=("failed at build: <status> 3",))).bundle()
    assert "is not known" in unknown["text/html"] and "&lt;status&gt; 3" in unknown["text/html"]
    assert explanation_forms(Explanation()).bundle()["text/plain"] == "nothing is wrong"
