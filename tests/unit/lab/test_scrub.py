"""What is another every time goes, what is the same stays, and twice is once."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvixbuild_nb.lab.scrub import MARKS, RULES, Numbers, Place, Rule, host_rules, html_text, scrub_notebook
from tvixbuild_nb.lab.scrub.ids import ids_in, renamed
from tvixbuild_nb.lab.scrub.marked import unmarked
from tvixbuild_nb.lab.scrub.rules import apply_all

RUN, OTHER = "20261123-162501-3fa9c2", "20261123-162501-bbbbbb"
BUNDLE = f"{'ab' * 6}.{'cd' * 16}"
HTML = (
    '<div>run <code>{run}</code> <b>succeeded in <span data-volatile="seconds">{seconds}</span></b>'
    '<table><tr data-volatile="presence"><th>without</th><td>cgroups</td></tr>'
    '<tr><th>used</th><td><span data-volatile="used">wall <i>time</i> {seconds}</span></td></tr></table></div>'
)
SAID = {
    f"run {RUN} is over, {OTHER} is not; Run.open('{RUN}')": "run run-1 is over, run-2 is not; Run.open('run-1')",
    f"kept-{RUN}": "kept-run-1",
    f"/var/lib/tvixbuild-nb/bundles/{BUNDLE}/root": "/var/lib/tvixbuild-nb/bundles/bundle-1/root",
    "mnt:[4026531840] pid:[4026531836] mnt:[4026531840]": "mnt:[ns-1] pid:[ns-2] mnt:[ns-1]",
    "pid_for_children:[4026531836]": "pid_for_children:[ns-1]",
    "<object at 0x7fb4012ef010>": "<object at 0x…>",
    "in /tmp/ipykernel_4711/123456.py:3": "in /tmp/ipykernel/cell.py:3",
    "/tmp/tmpab3_x9z0/out": "/tmp/tmp-1/out",
    "drawn 2026-11-23 16:25:01 UTC": "drawn (a moment)",
    "{'render': 0.00123, 'run': 1.5e-05}": "{'render': …, 'run': …}",
    "Usage(wall=0.31, cpu=1e-05, oom_kills=1)": "Usage(wall=…, cpu=…, oom_kills=1)",
    "0.123 s, 0.010 s of CPU, at most 2.7 MiB (cgroup)": "… s, … s of CPU, at most … MiB",
    "succeeded in 0.25 s": "succeeded in … s",
    "works in 26 ms, 73.0 GiB free": "works in … s, … GiB free",
}


def scrubbed(text: str) -> str:
    return apply_all(RULES, text, Numbers())


def notebook(*outputs: dict[str, Any], **fields: Any) -> Any:
    cell = nbformat.v4.new_code_cell("x", id="a", execution_count=7, outputs=list(map(nbformat.from_dict, outputs)))
    found = nbformat.v4.new_notebook(cells=[cell])
    return nbformat.from_dict({**found, **fields})


def shown(data: dict[str, Any]) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": {}}


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


@pytest.mark.parametrize("text", SAID)
def test_what_is_another_every_time_goes(text: str) -> None:
    assert scrubbed(text) == SAID[text]


@pytest.mark.parametrize(
    "text",
    [
        "1970-01-01 00:00:01",
        "timed out after 2 s, --timeout 60",
        "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        "/tmp/build and /tmp/tmp",
        "mode=1777, size=65536k, 65534, 0o755",
        "status 137 = 128 + 9",
        "run-1 mnt:[ns-1] at 0x…",
    ],
)
def test_what_is_the_same_every_time_stays(text: str) -> None:
    assert scrubbed(text) == text


def test_every_rule_has_a_name_and_a_reason() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.why and rule.name for rule in (*RULES, *MARKS.values()))


PIECES = st.one_of(
    st.sampled_from([*SAID, *SAID.values(), HTML.format(run=RUN, seconds="0.25 s"), '"hostID": 1879048192', "\n", " "]),
    st.from_regex(r"[a-f0-9.:\[\]/ \-s]{0,24}", fullmatch=True),
    st.text(max_size=12),
)
TEXTS = st.lists(PIECES, max_size=6).map("".join)


@settings(max_examples=300)
@given(TEXTS)
def test_rules_twice_are_rules_once(text: str) -> None:
    once = scrubbed(text)
    assert scrubbed(once) == once


@settings(max_examples=100)
@given(TEXTS, TEXTS)
def test_marks_twice_are_marks_once(text: str, html: str) -> None:
    once = unmarked(f"{text}<p>{html}</p>", MARKS, Numbers())
    assert unmarked(once, MARKS, Numbers()) == once


@settings(max_examples=100)
@given(st.lists(TEXTS, max_size=4))
def test_a_notebook_twice_is_a_notebook_once(texts: list[str]) -> None:
    outputs = [shown({"text/html": f"<div>{text}</div>", "text/plain": text}) for text in texts]
    once = scrub_notebook(notebook(*outputs, *map(stream, texts)))
    assert scrub_notebook(once) == once


def test_two_executions_are_equal_and_read_well() -> None:
    forms = [
        scrub_notebook(notebook(shown({
            "text/html": HTML.format(run=run, seconds=seconds),
            "text/plain": f"│ succeeded in {seconds} │",
            "application/vnd.jupyter.widget-view+json": {"model_id": run},
        }), stream(f"{run}\n")))
        for run, seconds in ((RUN, "0.25 s"), (OTHER, "1 min 05 s"))
    ]  # fmt: skip
    assert forms[0] == forms[1]
    data = forms[0]["cells"][0]["outputs"][0]["data"]
    assert set(data) == {"text/html", "text/plain"}
    assert data["text/plain"] == "run run-1 succeeded in … s\nused  wall time … s, CPU … s, peak memory …"
    assert forms[0]["cells"][0]["outputs"][1]["text"] == "run-1\n", "the same run, the same number, all over a notebook"


def test_what_may_be_missing_leaves_no_output() -> None:
    progress = shown({"text/html": '<div data-volatile="presence">ingest: 5 files</div>', "text/plain": "ingest"})
    assert scrub_notebook(notebook(progress))["cells"][0]["outputs"] == []
    part = shown({"text/html": 'a<b data-volatile="presence">b</b>', "text/plain": "a b"})
    assert scrub_notebook(notebook(part))["cells"][0]["outputs"][0]["data"] == {"text/html": "a", "text/plain": "a"}


def test_marks_are_found_where_they_are() -> None:
    html = 'a<br><b data-volatile="seconds">1 <b>2</b> &amp;<img src="x">3</b>c<i data-volatile="later">d</i><p>e'
    want = 'a<br><b data-volatile="seconds">… s</b>c<i data-volatile="later">…</i><p>e'
    assert unmarked(html, MARKS, Numbers()) == want
    assert unmarked('x<b data-volatile="presence">1', MARKS, Numbers()) == "x"
    pids = '<i data-volatile="pid">41</i><i data-volatile="pid">42</i><i data-volatile="pid">41</i>'
    assert html_text(unmarked(pids, MARKS, Numbers())) == "pid-1pid-2pid-1"


def test_subordinate_ids_begin_at_one_hundred_thousand() -> None:
    text = '"hostID": 1879048193, "hostID": 1879048192, "hostID": 0, 3000000000 -> 1000'
    config = {"text/plain": text}
    marked = {"text/html": '<i data-volatile="subid">362144</i>', "text/plain": "362144"}
    found = scrub_notebook(notebook(shown(config), shown(marked), stream("0  1879048192  1\nuid 1879048192")))
    outputs = found["cells"][0]["outputs"]
    assert outputs[0]["data"]["text/plain"] == ('"hostID": 200001, "hostID": 200000, "hostID": 0, 3000000000 -> 1000')
    assert outputs[1]["data"]["text/plain"] == "100000" and outputs[2]["text"] == "0  200000  1\nuid 200000"


@given(st.sets(st.integers(min_value=100_000, max_value=2**32)))
def test_ids_twice_are_ids_once(ids: set[int]) -> None:
    names = renamed(ids)
    once = {int(names.get(str(number), number)) for number in ids}
    assert len(once) == len(ids) and renamed(once) == {}


def test_ids_where_they_are_shown_as_such() -> None:
    assert ids_in('"hostID": 165536 "size": 165537\n  0   231072   1\n') == {165536, 231072}


def test_places_of_this_host() -> None:
    rules = host_rules(
        [Place("/home/me/.state", "~/state"), Place("/usr", "…"), Place("/home/me", "~")], "6.1.0-28-amd64"
    )
    text = "/home/me/.state/runs /home/me/x /home/menu /usr/lib x/home/me 6.1.0-28-amd64"
    assert apply_all(rules, text, Numbers()) == "~/state/runs ~/x /home/menu /usr/lib x/home/me (this kernel)"


def test_the_notebook_around_the_outputs() -> None:
    found = notebook(
        stream("a"), stream("b"), stream("c", "stderr"),
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python"},
            "language_info": {"name": "python", "version": "3.11.2", "codemirror_mode": {"version": 3}},
            "widgets": {"state": {}}, "papermill": {},
        },
    )  # fmt: skip
    found.cells[0].metadata = nbformat.from_dict({"execution": {"iopub.status.idle": "2026"}, "tags": ["x"]})
    found.cells.append(nbformat.v4.new_code_cell("y", id="a"))
    found.cells.append(nbformat.v4.new_code_cell(" \n", id="blank"))
    scrubbed = scrub_notebook(found)
    assert scrubbed["metadata"] == {
        "kernelspec": {"name": "python3", "display_name": "Python"},
        "language_info": {"name": "python"},
    }
    first, second, blank = scrubbed["cells"]
    assert first["metadata"] == {"tags": ["x"]} and first["execution_count"] == 1
    assert [out["text"] for out in first["outputs"]] == ["ab", "c"]
    assert (first["id"], second["id"]) == ("a", "cell-01") and second["execution_count"] is None
    assert blank["execution_count"] is None
    nbformat.validate(nbformat.from_dict(scrubbed))
    assert found.cells[0].execution_count == 7, "what was given stays as it is"


def test_html_as_somebody_reads_it() -> None:
    html = (
        "<style>b{}</style><p>one\n  two<br>three</p>"
        "<details><summary>more</summary><ul><li>a</li><li>b</li></ul></details>"
        "<table><tr><th>x</th><td> <code>1</code> </td><td></td><td>2</td></tr></table><pre> a\n  b </pre>&lt;c&gt;"
    )
    assert html_text(html).split("\n") == [
        "one two", "three", "more", "- a", "- b", "x  1  2", " a", "  b", "<c>",
    ]  # fmt: skip


def test_rules_count_what_belongs_together() -> None:
    import re

    first = Rule("a", re.compile(r"a(?P<what>\d)"), "A#", "why", "letter")
    second = Rule("b", re.compile(r"b(?P<what>\d)"), "B#", "why", "letter")
    assert apply_all((first, second), "a7 b7 b8 a8", Numbers()) == "A1 B1 B2 A2"


def test_of_a_traceback_only_the_cell_s_own_frames_are_kept() -> None:
    frames = [
        "\x1b[31mInvalidSpec\x1b[39m    Traceback (most recent call last)",
        "\x1b[36mCell\x1b[39m\x1b[36m \x1b[39m\x1b[32mIn[1]\x1b[39m\n----> 1 f()",
        "\x1b[36mFile \x1b[39m\x1b[32m/opt/place/package/module.py:3\x1b[39m, in f()",
        "\x1b[36mFile \x1b[39m\x1b[32m~/own.py:3\x1b[39m, in g()",
        "\x1b[31mInvalidSpec\x1b[39m: no",
    ]
    error = nbformat.v4.new_output("error", ename="InvalidSpec", evalue="no", traceback=frames)
    cell = nbformat.v4.new_code_cell("f()", execution_count=1, outputs=[error])
    rules = (*host_rules([Place("/opt/place", "…")]), *RULES)
    scrubbed = scrub_notebook(nbformat.v4.new_notebook(cells=[cell]), rules)
    kept = scrubbed["cells"][0]["outputs"][0]["traceback"]
    assert kept == [*frames[:2], *frames[3:]]
