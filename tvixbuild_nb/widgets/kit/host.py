"""Which forms a notebook's page is given to paint, as far as the kernel can know the page.

JupyterLab and Notebook have anywidget's front end from this host. VS Code and Colab fetch it from elsewhere, and show
an error where they cannot: ipywidgets' own controls, which both bring along, show the static form there meanwhile.
"""

from __future__ import annotations

import warnings
from collections.abc import Container, Mapping
from typing import Literal, cast, get_args

VIEWS_VARIABLE = "TVIXBUILD_NB_VIEWS"
# VS Code takes the first two out of its terminals' environment: a server started in one of those is no VS Code kernel.
_VSCODE = ("VSCODE_PID", "VSCODE_CWD", "VSCODE_HANDLES_UNCAUGHT_ERRORS")
_VSCODE_NAME = "__vsc_ipynb_file__"
_COLAB = "google.colab"

Painted = Literal["live", "both", "static"]


def painted(environ: Mapping[str, str], modules: Container[str], names: Container[str]) -> Painted:
    """What the page paints: the live form, the static form until the live one is there, or the static form alone.

    ``TVIXBUILD_NB_VIEWS`` says so, or else (``auto``) it follows from the kernel's environment, its ``modules`` and
    the ``names`` that cells see.
    """
    asked = environ.get(VIEWS_VARIABLE, "auto")
    if asked in get_args(Painted):
        return cast(Painted, asked)
    if asked not in ("", "auto"):
        warnings.warn(f"{VIEWS_VARIABLE}={asked}: not one of auto, {', '.join(get_args(Painted))}", stacklevel=2)
    fetches = any(name in environ for name in _VSCODE) or _VSCODE_NAME in names or _COLAB in modules
    return "both" if fetches else "live"
