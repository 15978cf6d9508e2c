"""What the commands write can harm no terminal."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvixbuild_nb.cli.screen import complain, counted, directories, entries, safe
from tvixbuild_nb.errors import NotFound


@given(st.text() | st.binary().map(os.fsdecode))
def test_safe_text_is_printable_and_encodable(text: str) -> None:
    assert safe(text).isprintable()
    safe(text).encode()


def test_what_is_printable_stays() -> None:
    assert safe("größe [red]/x") == "größe [red]/x"


def test_what_is_not_is_told_apart() -> None:
    assert safe("a\x1b[2J\n\u202e") == "a\\x1b[2J\\n\\u202e"
    assert safe(os.fsdecode(b"\xff")) == "\\xff"


def test_counts_are_worded() -> None:
    assert [entries(0), entries(1), entries(2)] == ["0 entries", "1 entry", "2 entries"]
    assert [directories(0), directories(1)] == ["0 directories", "1 directory"]
    assert [counted(1, "file"), counted(2, "file")] == ["1 file", "2 files"]


def test_complaints_name_place_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    complain(NotFound("no \x1b[31msuch\nentry", path="a\nb", stage="mount", hint="look [bold]elsewhere"))
    assert capsys.readouterr().err == (
        "tvixbuild-nb: mount: a\\nb: no \\x1b[31msuch\nentry\n  hint: look [bold]elsewhere\n"
    )


def test_system_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain(FileNotFoundError(2, "No such file or directory", "x\ny"))
    assert capsys.readouterr().err == "tvixbuild-nb: x\\ny: No such file or directory\n"
