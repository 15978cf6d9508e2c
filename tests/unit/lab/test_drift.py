"""How a cell differs from what is stored of it is said in words, with the lines that differ."""

from __future__ import annotations

from typing import Any

import nbformat

from tvixbuild_nb.lab.notebooks.drift import drifts
from tvixbuild_nb.lab.notebooks.reports import Checked, CheckReport, Drift, NotebookFailure, Ran, RunReport


def stream(text: str, name: str = "stdout") -> Any:
    return nbformat.v4.new_output("stream", name=name, text=text)


def shown(**data: Any) -> Any:
    return nbformat.v4.new_output("display_data", {key.replace("_", "/"): value for key, value in data.items()})


def error(name: str, value: str = "why") -> Any:
    return nbformat.v4.new_output("error", ename=name, evalue=value, traceback=["in /a/b", value])


def notebook(*outputs: Any, count: int | None = 1, tags: tuple[str, ...] = ()) -> Any:
    cells = [
        nbformat.v4.new_markdown_cell("text", id="text"),
        nbformat.v4.new_code_cell(" ", id="blank"),
        nbformat.v4.new_code_cell("first line\nsecond", id="code", execution_count=count, outputs=list(outputs)),
    ]
    cells[2].metadata.tags = list(tags)
    return nbformat.v4.new_notebook(cells=cells)


def drift(before: Any, now: Any) -> Drift:
    (found,) = drifts(before, now)
    return found


def test_the_same_is_no_drift() -> None:
    outputs = (stream("a\n"), shown(text_html="<p>1</p>", text_plain="1"), error("KeyError"))
    assert drifts(notebook(*outputs), notebook(*outputs)) == ()


def test_a_text_that_changed() -> None:
    found = drift(notebook(stream("one\ntwo\nthree\n")), notebook(stream("one\n2\nthree\n")))
    assert str(found.cell) == "cell 1 (code): first line" and found.what == "shows another text (stdout)"
    assert found.diff == ("--- stored", "+++ now", "@@ -1,3 +1,3 @@", " one", "-two", "+2", " three")


def test_html_is_compared_as_text_and_instead_of_the_plain_one() -> None:
    before = shown(text_html="<p>a</p><p>b</p>", text_plain="same")
    assert drifts(notebook(before), notebook(shown(text_html="<div>a</div><b>b</b>", text_plain="same"))) == ()
    now = shown(text_html="<p>a</p><p>c</p>", text_plain="other")
    assert drift(notebook(before), notebook(now)).diff[-2:] == ("-b", "+c")
    # For terminals it is laid out in another way.
    plain = shown(text_html="<p>a</p><p>b</p>", text_plain="other")
    assert drifts(notebook(before), notebook(plain)) == ()
    assert drift(notebook(shown(text_plain="a")), notebook(shown(text_plain="b"))).diff[-2:] == ("-a", "+b")


def test_kinds_of_outputs_that_came_and_went() -> None:
    found = drift(notebook(stream("a")), notebook(error("KeyError")))
    assert found.what == "stored, and not shown now: stdout. shown now, and not stored: error: KeyError"
    assert found.diff[-2:] == ("-a", "+KeyError: why")
    renamed = drift(notebook(error("KeyError")), notebook(error("ValueError")))
    assert "not shown now: error: KeyError" in renamed.what and "not stored: error: ValueError" in renamed.what
    missing = drift(notebook(), notebook(stream("a")))
    assert missing.what == "shown now, and not stored: stdout"
    order = drift(notebook(shown(text_a="1"), shown(text_b="2")), notebook(shown(text_b="2"), shown(text_a="1")))
    assert order.what == "shows the same in another order"


def test_a_cell_that_was_never_executed() -> None:
    assert drift(notebook(count=None), notebook(count=1)).what == "is stored as never executed"


def test_what_is_chance_is_no_drift() -> None:
    assert (
        drifts(notebook(stream("a"), stream("e", "stderr"), stream("b")), notebook(stream("e", "stderr"), stream("ab")))
        == ()
    )
    assert drifts(notebook(stream("1 %\r50 %\r100 %\n")), notebook(stream("7 %\r100 %\n"))) == ()
    assert drifts(notebook(stream("a   b ────── c")), notebook(stream("a b ── c"))) == ()
    assert (
        drifts(notebook(error("KeyError")), notebook(nbformat.from_dict({**error("KeyError"), "traceback": []}))) == ()
    )
    assert drifts(notebook(shown(image_png="AAAA")), notebook(shown(image_png="BBBB"))) == ()
    assert drifts(notebook(stream("  a")), notebook(stream("    a"))) != (), "indentation means something"


def test_volatile_cells_are_compared_by_kind() -> None:
    tags = ("volatile",)
    assert drifts(notebook(stream("a"), tags=tags), notebook(stream("b"), tags=tags)) == ()
    assert drifts(notebook(stream("a"), tags=tags), notebook(tags=tags)) != ()
    assert drifts(notebook(error("KeyError"), tags=tags), notebook(error("ValueError"), tags=tags)) != ()


def test_long_differences_are_bounded() -> None:
    found = drift(notebook(stream("\n".join("a" * 400 for _ in range(500)))), notebook(stream("b")))
    assert len(found.diff) == 41 and found.diff[-1].startswith("[... ") and max(map(len, found.diff)) <= 160


def test_reports_are_true_and_say_what_happened() -> None:
    from pathlib import Path

    place = Path("a.ipynb")
    cell = drift(notebook(stream("a")), notebook(stream("b")))
    report = CheckReport((Checked(place, 1.0), Checked(place, 1.0, drifts=(cell,))))
    assert not report and len(report.drifted) == 1 and not report.failed
    text = str(report)
    assert "a.ipynb: as stored (1.0 s)" in text and "a.ipynb: 1 cell is not as stored\n  cell 1 (code)" in text
    assert text.endswith(
        "1 of 2 as stored\nwhere a change is wanted: `tvixbuild-nb notebooks run` stores what is shown now"
    )
    assert report._repr_mimebundle_() == {"text/plain": text}
    failure = NotebookFailure("KeyError: 'x'", "line one\nline two", cell.cell)
    ran = RunReport((Ran(place, 1.0, failure), Ran(place, 2.0, written=place), Ran(place, 3.0)))
    assert not ran and len(ran.failed) == 1 and len(list(ran)) == 3
    assert "failed in cell 1 (code): first line\n  KeyError: 'x'\n  | line one\n  | line two\n  not written" in str(ran)
    assert "a.ipynb: written to a.ipynb (2.0 s)\na.ipynb: unchanged (3.0 s)\n2 of 3 executed" in str(ran)
