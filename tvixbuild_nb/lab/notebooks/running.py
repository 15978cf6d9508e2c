"""run_notebooks(): execute notebooks and store what they show, without what is another every time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import nbformat

from tvixbuild_nb.lab.notebooks.files import DEFAULT, Source, find, read, write
from tvixbuild_nb.lab.notebooks.kernel import Execution
from tvixbuild_nb.lab.notebooks.recording import record_runs
from tvixbuild_nb.lab.notebooks.reports import NotebookFailure, Ran, RunReport
from tvixbuild_nb.lab.notebooks.surroundings import surroundings
from tvixbuild_nb.lab.notebooks.together import all_of, default_jobs
from tvixbuild_nb.lab.scrub import RULES, Rule, host_rules, scrub_notebook

TIMEOUT = 120.0


class Watcher(Protocol):
    """Is told how it goes on, from another thread."""

    def cell(self, notebook: Path, number: int, total: int) -> None:
        """Code cell ``number`` of ``total`` was begun."""
        ...

    def over(self, notebook: Path, ok: bool) -> None:
        """No more comes of this one."""
        ...


class Unwatched:
    """Nobody looks."""

    def cell(self, notebook: Path, number: int, total: int) -> None:
        return

    def over(self, notebook: Path, ok: bool) -> None:
        return


class Executed(NamedTuple):
    """A notebook after its execution, and the rules that take out what is another every time."""

    notebook: Any
    rules: Sequence[Rule]
    failure: NotebookFailure | None
    seconds: float


def run_notebooks(
    *paths: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    timeout: float = TIMEOUT,
    watcher: Watcher | None = None,
    record: str | os.PathLike[str] | None = None,
) -> RunReport:
    """Execute notebooks, each in a kernel of its own, and write them with what they show.

    Parameters: ``paths``, files and directories, ``notebooks`` unless given; ``output_dir``, where to write them, None:
    in place; ``jobs``, how many at once; ``timeout``, seconds for each cell. One that fails does not stop the others,
    and is not written in place; a file that is no notebook is refused before anything starts. A cell that is to raise
    is tagged ``raises-exception``, as for nbclient. ``record``: a directory in which to keep the runs of each notebook,
    below its name; then it has a state directory of its own in any case.
    """
    sources = find(paths or (DEFAULT,))
    target = None if output_dir is None else Path(output_dir)
    watching = watcher or Unwatched()
    keep = None if record is None else Path(record)
    works = [partial(_run, source, target, timeout, watching, keep) for source in sources]
    return RunReport(tuple(all_of(works, default_jobs() if jobs is None else jobs)))


async def _run(source: Source, target: Path | None, timeout: float, watcher: Watcher, record: Path | None) -> Ran:
    kept = None if record is None else record / source.path.stem
    done = await executed(source.path, timeout, partial(watcher.cell, source.path), kept)
    found = nbformat.from_dict(scrub_notebook(done.notebook, done.rules))
    path = source.path if target is None else target / source.name
    written = (done.failure is None or target is not None) and write(found, path)
    watcher.over(source.path, done.failure is None)
    return Ran(source.path, done.seconds, done.failure, path if written else None)


async def executed(
    path: Path, timeout: float, step: Callable[[int, int], None], record: Path | None = None
) -> Executed:
    """Execute the notebook at ``path``; the file stays as it is. Its runs are kept in ``record``, when it went well."""
    notebook = read(path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    started = time.monotonic()
    with surroundings(path, own_state=record is not None) as around:
        failure = await Execution(notebook, path, timeout, step).execute(around)
        if record is not None and failure is None:
            record_runs(around.state, record)
    release = os.uname().release if hasattr(os, "uname") else ""
    rules = (*host_rules(around.places, release), *RULES)
    return Executed(notebook, rules, failure, time.monotonic() - started)

