"""The one door between values and views.

Values call :func:`mimebundle` from ``_repr_mimebundle_``; whoever knows how to draw a type tells :func:`register`.
Without one, a value shows its ``repr``; :func:`plain` is for those whose ``str`` is made to be read. The first call
inside IPython loads the views of :mod:`tvixbuild_nb.widgets`, where they are installed; nobody below imports them.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import singledispatch
from importlib import import_module
from typing import Any, Protocol, TypeVar

Value = TypeVar("Value")
Bundle = dict[str, Any]

VIEWS = "tvixbuild_nb.widgets"
_loading = threading.Lock()
_loaded = False


def mimebundle(value: object) -> Bundle:
    """The display bundle of ``value``: MIME type to data."""
    _load_views()
    return _draw(value)


def register(kind: type[Value], draw: Callable[[Value], Bundle]) -> None:
    """From now on values of this type are drawn by ``draw``; a later call displaces an earlier one."""
    _draw.register(kind, draw)


def plain(value: object) -> Bundle:
    """A display bundle of plain text, the value's ``str``."""
    return {"text/plain": str(value)}


def in_kernel() -> bool:
    """Whether this process is the kernel of a notebook; nothing is imported to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell is not None and getattr(shell, "kernel", None) is not None


class Presented(Protocol):
    """Something that is on display and still changes."""

    def finish(self) -> None:
        """It changes no more: replace what is displayed by its last form. Again is harmless; on any thread."""
        ...


def present(value: object) -> Presented | None:
    """Put a value that still changes on display at once, where somebody knows how; None when nobody does.

    That is the case outside of notebooks: there one prints.
    """
    _load_views()
    return _present(value)


def register_presenter(kind: type[Value], show: Callable[[Value], Presented | None]) -> None:
    """From now on values of this type are presented by ``show``; a later call displaces an earlier one."""
    _present.register(kind, show)


@singledispatch
def _present(value: object) -> Presented | None:
    return None


@singledispatch
def _draw(value: object) -> Bundle:
    return {"text/plain": repr(value)}


def _load_views() -> None:
    global _loaded
    ipython = sys.modules.get("IPython")
    if _loaded or ipython is None or ipython.get_ipython() is None:
        return
    with _loading:
        if not _loaded:
            import_module(VIEWS).register_views()
            _loaded = True
