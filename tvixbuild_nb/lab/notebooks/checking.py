"""check_notebooks(): execute notebooks and tell which cells show another thing than is stored; nothing is written."""

from __future__ import annotations

import os
from functools import partial

from tvixbuild_nb.lab.notebooks.drift import drifts
from tvixbuild_nb.lab.notebooks.files import DEFAULT, Source, find, read
from tvixbuild_nb.lab.notebooks.reports import Checked, CheckReport, Drift
from tvixbuild_nb.lab.notebooks.running import TIMEOUT, Unwatched, Watcher, executed
from tvixbuild_nb.lab.notebooks.together import all_of, default_jobs
from tvixbuild_nb.lab.scrub import scrub_notebook


def check_notebooks(
    *paths: str | os.PathLike[str],
    jobs: int | None = None,
    timeout: float = TIMEOUT,
    watcher: Watcher | None = None,
) -> CheckReport:
    """Execute notebooks and compare what they show with what is stored, both without what is another every time.

    Parameters as of :func:`run_notebooks`. Of a cell that is tagged ``volatile`` the kinds of its outputs are compared
    (streams, MIME types), not what they say.
    """
    watching = watcher or Unwatched()
    works = [partial(_check, source, timeout, watching) for source in find(paths or (DEFAULT,))]
    return CheckReport(tuple(all_of(works, default_jobs() if jobs is None else jobs)))


async def _check(source: Source, timeout: float, watcher: Watcher) -> Checked:
    stored = read(source.path)
    done = await executed(source.path, timeout, partial(watcher.cell, source.path))
    found: tuple[Drift, ...] = ()
    if done.failure is None:
        found = drifts(scrub_notebook(stored, done.rules), scrub_notebook(done.notebook, done.rules))
    watcher.over(source.path, done.failure is None and not found)
    return Checked(source.path, done.seconds, done.failure, found)
