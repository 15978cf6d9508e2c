"""lab: for who teaches with notebooks: they are executed and checked here, exercises are, and cells become sandboxes.

``notebooks`` executes notebooks and tells where they drifted from what is stored, ``scrub`` takes out what is another
every time; ``magics`` are ``%%sandbox`` and ``%sandbox`` (``%load_ext tvixbuild_nb.lab``); ``exercises`` are questions
with a hint, a solution and a check that helps; ``starting`` is a notebook's first cell. Nothing of Jupyter is imported
before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.errors import CheckFailed as CheckFailed
from tvixbuild_nb.lazy import imported_when_asked_for

if TYPE_CHECKING:
    from tvixbuild_nb.lab.exercises import Exercise as Exercise
    from tvixbuild_nb.lab.exercises import Feedback as Feedback
    from tvixbuild_nb.lab.exercises import check as check
    from tvixbuild_nb.lab.exercises import exercise as exercise
    from tvixbuild_nb.lab.exercises import hint as hint
    from tvixbuild_nb.lab.exercises import register as register
    from tvixbuild_nb.lab.exercises import solution as solution
    from tvixbuild_nb.lab.magics import load_ipython_extension as load_ipython_extension
    from tvixbuild_nb.lab.magics import unload_ipython_extension as unload_ipython_extension
    from tvixbuild_nb.lab.notebooks import check_notebooks as check_notebooks
    from tvixbuild_nb.lab.notebooks import run_notebooks as run_notebooks
    from tvixbuild_nb.lab.starting import setup as setup

_LATER = {
    "Exercise": "exercises",
    "Feedback": "exercises",
    "check": "exercises",
    "check_notebooks": "notebooks",
    "exercise": "exercises",
    "hint": "exercises",
    "load_ipython_extension": "magics",
    "register": "exercises",
    "run_notebooks": "notebooks",
    "setup": "starting",
    "solution": "exercises",
    "unload_ipython_extension": "magics",
}

__all__ = sorted([*_LATER, "CheckFailed"])

__getattr__ = imported_when_asked_for(__name__, _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
