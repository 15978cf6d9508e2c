"""What a run used of its inputs, as tables: bounded, harmless, what matters first."""

from __future__ import annotations

from tvixbuild_nb.fs import AccessTrace, InputAccess
from tvixbuild_nb.fs.trace import Search
from tvixbuild_nb.widgets.accesses import accesses_forms
from tvixbuild_nb.widgets.accesses.static import MAX_INPUTS, MAX_SEARCHES


def test_the_tables_tell_use_and_searches() -> None:
    trace = AccessTrace(
        inputs={
            "used": InputAccess(looked_up=("", "a"), opened=("a",), read={"a": 1_000_000}),
            "<b>\x1b[2J": InputAccess(),
        },
        searches=(Search("found", ("x/lib", ""), "y/found"), Search("<i>", ("x",))),
        dropped=3,
        faults=("read x: <lost>",),
    )
    bundle = accesses_forms(trace).bundle()
    html, text = bundle["text/html"], bundle["text/plain"]
    assert "1 of 2 inputs were never used" in html and html.index("never used</b>") < html.index(">used</code>")
    assert html.index("nowhere") < html.index("y/found") and "beside the inputs" in html
    assert "<i>" not in html and "<lost>" not in html and "\x1b" not in html + text
    assert "3 more misses" in html and "never used" in text and "y/found" in text


def test_a_big_trace_is_bounded() -> None:
    trace = AccessTrace(
        inputs={f"i{number}": InputAccess() for number in range(5000)},
        searches=tuple(Search(f"s{number}", tuple(f"p{place}" for place in range(50))) for number in range(5000)),
    )
    html = accesses_forms(trace).bundle()["text/html"]
    assert f"{5000 - MAX_INPUTS:,} more inputs" in html and f"{5000 - MAX_SEARCHES:,} more searches" in html
    assert len(html) < 500_000 and "and 38 more" in html
