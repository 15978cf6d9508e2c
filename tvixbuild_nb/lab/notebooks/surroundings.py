"""What a notebook is executed in: a state and a store of its own, and nothing that differs from time to time."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tvixbuild_nb
from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.build.record import STATE_VARIABLE
from tvixbuild_nb.castore.castore import STORE_VARIABLE
from tvixbuild_nb.lab.scrub import Place
from tvixbuild_nb.sandbox import Run
from tvixbuild_nb.widgets.kit.host import VIEWS_VARIABLE

# They decide how wide, in which colours and for which editor something is printed.
_OF_A_TERMINAL = (
    "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS",
    "VSCODE_PID", "VSCODE_CWD", "MPLBACKEND",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``home``: a directory that goes afterwards; ``environment`` for a kernel; ``state``: where its runs are recorded;
    ``places``: what is where on this host."""

    home: Path
    environment: Mapping[str, str]
    state: Path
    places: tuple[Place, ...]


@contextmanager
def surroundings(notebook: Path, *, own_state: bool = False) -> Iterator[Surroundings]:
    """A temporary state directory, store and IPython profile; they go at the end, with bundles that were kept.

    A state or a store that somebody names in the environment (``TVIXBUILD_NB_STATE``, ``TVIXBUILD_NB_STORE``) is used
    as it is, unless it has to be the notebook's ``own_state``. Sets are iterated in the same order each time, the clock shows UTC, views are static.
    """
    with tempfile.TemporaryDirectory(prefix="tvixbuild-nb-notebook-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        environment = {name: value for name, value in os.environ.items() if name not in _OF_A_TERMINAL}
        if own_state:
            environment.pop(STATE_VARIABLE, None)
        state = environment.setdefault(STATE_VARIABLE, str(home / "state"))
        store = environment.setdefault(STORE_VARIABLE, str(home / "castore"))
        environment |= {
            "IPYTHONDIR": str(home / "ipython"),
            "PYTHONHASHSEED": "0",
            "TZ": "UTC",
            VIEWS_VARIABLE: "static",
        }
        places = (
            Place(state, "~/.local/state/tvixbuild-nb"),
            Place(store.removeprefix("file:"), "~/.local/share/tvixbuild-nb/castore"),
            Place(directory, "~"),
            Place(str(Path(tvixbuild_nb.__file__).parent.parent), "…"),
            Place(sys.prefix, "…"),
            Place(str(notebook.resolve().parent), "."),
        )
        try:
            yield Surroundings(home, environment, Path(state), places)
        finally:
            if Path(state).is_relative_to(home):
                _forget_runs(Path(state))


def _forget_runs(state: Path) -> None:
    """Delete the runs, and with them the bundles that are kept elsewhere, or belong to subordinate ids."""
    for record in RunRecord.all(state / "runs"):
        Run(record).delete()
    shutil.rmtree(state, ignore_errors=True)
