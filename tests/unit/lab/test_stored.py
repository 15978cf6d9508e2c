"""The notebooks of this project as they are stored: whole, small, and in step with the exercises and their records."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tvixbuild_nb.build.records import SUFFIX
from tvixbuild_nb.lab.exercises.registry import shipped
from tvixbuild_nb.sandbox import Run

NOTEBOOKS = Path(__file__).resolve().parents[3] / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))
SOLUTIONS = NOTEBOOKS / "solutions.ipynb"
RECORDS = sorted((NOTEBOOKS / "records").rglob(f"*{SUFFIX}"))
_MOST_BYTES = 1_000_000


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_bytes())["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_there_are_ten_lessons_in_order() -> None:
    assert [path.name[:2] for path in LESSONS] == [f"{number:02}" for number in range(1, 11)]


@pytest.mark.parametrize("path", [*LESSONS, SOLUTIONS], ids=lambda path: path.stem)
def test_it_is_stored_with_what_it_shows(path: Path) -> None:
    assert path.stat().st_size < _MOST_BYTES
    text = path.read_text()
    assert "widget-view" not in text and "application/vnd.jupyter.widget-state" not in text
    code = cells(path, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    failed = [cell for cell in code if any(out["output_type"] == "error" for out in cell["outputs"])]
    assert all("raises-exception" in cell["metadata"].get("tags", ()) for cell in failed)
    # A cell that is to raise and does not is as wrong as the other way round.
    assert len(failed) == sum("raises-exception" in cell["metadata"].get("tags", ()) for cell in code)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_exercise_has_a_hint_and_a_check_that_is_known(path: Path) -> None:
    told = "\n".join(map(source, cells(path, "markdown")))
    asked = [name for cell in cells(path, "code") for name in re.findall(r'lab\.check\("([^"]+)"', source(cell))]
    assert asked and set(asked) <= set(shipped())
    assert told.count("<summary>Hint</summary>") == told.count("## Exercise") == len(asked)


@pytest.mark.parametrize("path", [*LESSONS, SOLUTIONS], ids=lambda path: path.stem)
def test_its_links_lead_somewhere(path: Path) -> None:
    for cell in cells(path, "markdown"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", source(cell)):
            assert (NOTEBOOKS / target).exists(), target


def test_every_exercise_stands_among_the_solutions() -> None:
    found = {cell["id"]: source(cell) for cell in cells(SOLUTIONS, "code")}
    for name, exercise in shipped().items():
        answers = ", ".join(inspect.signature(exercise.checks[0]).parameters)
        assert found.pop(name) == f'{exercise.solution.strip()}\n\nlab.check("{name}", {answers})'
    assert set(found) == {"setup"}


def test_there_are_records_of_every_notebook() -> None:
    assert {path.parent.name for path in RECORDS} == {path.stem for path in (*LESSONS, SOLUTIONS)}
    assert sum(path.stat().st_size for path in RECORDS) < _MOST_BYTES


@pytest.mark.parametrize("path", RECORDS[::7], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_record_opens(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVIXBUILD_NB_STATE", str(tmp_path))
    run = Run.load(path)
    assert run.recorded is not None and run.result is not None
    assert str(run.request.digest).startswith(path.stem.partition("-")[0])
    assert (run.ok and not run.explain()) or (not run.ok and str(run.explain()))
