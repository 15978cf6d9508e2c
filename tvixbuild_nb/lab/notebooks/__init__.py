"""notebooks: executes notebooks, several at once, and compares what they show now with what they show stored.

``files`` finds them, ``surroundings`` gives each a state and a store of its own, ``kernel`` executes one, ``together``
several; ``running`` writes what came out, ``checking`` compares, ``drift`` says how two notebooks differ; ``reports``
holds the answers.
"""

from tvixbuild_nb.lab.notebooks.checking import check_notebooks
from tvixbuild_nb.lab.notebooks.reports import CheckReport, Drift, NotebookFailure, RunReport
from tvixbuild_nb.lab.notebooks.running import run_notebooks

__all__ = ["CheckReport", "Drift", "NotebookFailure", "RunReport", "check_notebooks", "run_notebooks"]
