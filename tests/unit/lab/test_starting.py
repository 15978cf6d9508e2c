"""A notebook's first cell says in one line where builds run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tvixbuild_nb import lab, runs
from tvixbuild_nb.lab.scrub import MARKS, Numbers, html_text
from tvixbuild_nb.lab.scrub.marked import unmarked


@pytest.fixture
def no_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host on which no build can run: it has no static shell, whatever else it has."""
    monkeypatch.setenv("TVIXBUILD_NB_SANDBOX_SHELL", str(tmp_path / "sh"))
    monkeypatch.delenv("TVIXBUILD_NB_RECORDS", raising=False)
    monkeypatch.chdir(tmp_path)
    # What setup() sets goes with the test.
    monkeypatch.setenv("TVIXBUILD_NB_BUILDER", "")


def test_a_service_that_is_named_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVIXBUILD_NB_BUILDER", "dummy:")
    found = lab.setup()
    assert found and found.where == "elsewhere" and "dummy:" in str(found) and "\n" not in str(found)
    assert os.environ["TVIXBUILD_NB_BUILDER"] == "dummy:"


def test_recorded_runs_are_replayed_where_nothing_can_be_built(no_shell: None, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    found = lab.setup()
    assert found and found.where == "replay" and "static" in (found.reason or "") and "doctor() explains" in str(found)
    assert os.environ["TVIXBUILD_NB_BUILDER"] == f"replay:{tmp_path}/records" and "\n" not in str(found)


def test_records_that_are_named_come_first(no_shell: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "records").mkdir()
    monkeypatch.setenv("TVIXBUILD_NB_RECORDS", "elsewhere")
    lab.setup()
    assert os.environ["TVIXBUILD_NB_BUILDER"] == f"replay:{tmp_path}/elsewhere"
    monkeypatch.setenv("TVIXBUILD_NB_BUILDER", "")
    lab.setup(records=tmp_path / "given")
    assert os.environ["TVIXBUILD_NB_BUILDER"] == f"replay:{tmp_path}/given"


def test_nowhere(no_shell: None) -> None:
    found = lab.setup()
    assert not found and found.where == "nowhere" and "no recorded runs" in str(found)
    assert not os.environ["TVIXBUILD_NB_BUILDER"] and not runs(), "the trial is no run of anybody's"


def test_the_line_is_the_same_wherever_it_is_executed(no_shell: None, tmp_path: Path) -> None:
    nowhere = lab.setup()._repr_mimebundle_()["text/html"]
    (tmp_path / "records").mkdir()
    replay = lab.setup()._repr_mimebundle_()["text/html"]
    texts = {html_text(unmarked(html, MARKS, Numbers())) for html in (nowhere, replay)}
    assert texts == {"builds run here, or are replayed from records where they cannot"}
