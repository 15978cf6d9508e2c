"""Notebooks on disk: found, read, written whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tvixbuild_nb.errors import InvalidValue, NotebookError

SUFFIX = ".ipynb"
DEFAULT = "notebooks"


class Source(NamedTuple):
    """A notebook's ``path``, and its ``name`` below what was asked for, which is its name elsewhere, too."""

    path: Path
    name: Path


def find(paths: Iterable[str | os.PathLike[str]]) -> list[Source]:
    """The notebooks that ``paths`` mean, in order: files, and whatever is in directories but for hidden places.

    :class:`InvalidValue` for a path where there is none, :class:`NotebookError` for a file that is none.
    """
    found: dict[Path, Source] = {}
    for given in map(Path, paths):
        for source in _in(given):
            found.setdefault(source.path.resolve(), source)
    for source in found.values():
        # What cannot be read is told before anything is executed.
        read(source.path)
    return list(found.values())


def _in(path: Path) -> list[Source]:
    if path.is_dir():
        inside = [Source(each, each.relative_to(path)) for each in sorted(path.rglob(f"*{SUFFIX}"))]
        found = [each for each in inside if not any(part.startswith(".") for part in each.name.parts)]
        if not found:
            raise InvalidValue(f"no notebooks (*{SUFFIX}) in this directory", path=path)
        return found
    if not path.exists():
        raise InvalidValue("no such file or directory", path=path, hint=f"notebooks are named, or are in {DEFAULT}/")
    return [Source(path, Path(path.name))]


def read(path: Path) -> Any:
    """The notebook as nbformat has it; :class:`NotebookError` when it is none."""
    import nbformat

    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except (nbformat.ValidationError, ValueError, KeyError, AttributeError, TypeError) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise NotebookError(f"no notebook: {said}", path=path) from error


def write(notebook: Any, path: Path) -> bool:
    """Write it whole or not at all, with the mode of what it replaces; False when that was the same already."""
    import nbformat

    text = nbformat.writes(notebook) + "\n"
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if text == before:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        beside.write_text(text, encoding="utf-8")
        if before is not None:
            beside.chmod(path.stat().st_mode & 0o777)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return True
