"""Notebooks are found, read and written whole."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest

from tvixbuild_nb.errors import InvalidValue, NotebookError
from tvixbuild_nb.lab.notebooks.files import find, read, write


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(), path)
    return path


def test_files_and_directories_without_hidden_places(tmp_path: Path) -> None:
    one, two = put(tmp_path / "b" / "1.ipynb"), put(tmp_path / "b" / "deep" / "2.ipynb")
    put(tmp_path / "b" / ".ipynb_checkpoints" / "1-checkpoint.ipynb")
    (tmp_path / "b" / "x.py").touch()
    found = find([two, tmp_path / "b"])
    assert [source.path for source in found] == [two, one]
    assert [str(source.name) for source in found] == ["2.ipynb", "1.ipynb"]
    assert [str(source.name) for source in find([tmp_path / "b"])] == ["1.ipynb", "deep/2.ipynb"]


@pytest.mark.parametrize("name", ["missing.ipynb", "empty"])
def test_where_there_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidValue, match=name):
        find([tmp_path / name])


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json", '{"nbformat": 9, "cells": []}'])
def test_what_is_no_notebook(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(text)
    with pytest.raises(NotebookError, match="a.ipynb: no notebook"):
        read(path)


def test_writing_keeps_the_mode_and_says_whether_it_was_needed(tmp_path: Path) -> None:
    path = put(tmp_path / "a.ipynb")
    notebook = read(path)
    notebook.cells.append(nbformat.v4.new_code_cell("1", id="one"))
    path.chmod(0o640)
    before = path.stat().st_ino
    assert write(notebook, path) and not write(notebook, path)
    assert path.stat().st_mode & 0o777 == 0o640 and path.stat().st_ino != before
    assert os.listdir(tmp_path) == ["a.ipynb"]
