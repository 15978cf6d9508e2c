"""The three forms of many builds; while they go on under a cell, the last of them replaces the live one."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tvixbuild_nb.display import in_kernel
from tvixbuild_nb.sandbox import Many
from tvixbuild_nb.sandbox.many.watching import many_table
from tvixbuild_nb.widgets.kit import Bundle, Forms
from tvixbuild_nb.widgets.kit.presenting import Presenting
from tvixbuild_nb.widgets.many.data import many_data
from tvixbuild_nb.widgets.many.static import many_html

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.kit.live import LiveView

_ROWS = 50
# Which cell (its execution count) showed which builds last.
_shown: weakref.WeakKeyDictionary[Many, int] = weakref.WeakKeyDictionary()


def many_forms(many: Many, live: Callable[[], LiveView] | None = None) -> Forms:
    """How they show themselves as they are now; ``live`` makes the widget."""
    return Forms(text=lambda: many_table(many, _ROWS), html=lambda: many_html(many_data(many)), live=live)


def many_bundle(many: Many) -> Bundle:
    """Their display bundle; where the same cell has shown them already, as ``many.wait()`` does, only the counts."""
    if in_kernel() and _shown.get(many) == _cell():
        return {"text/plain": repr(many)}
    return many_forms(many).bundle()


def present_many(many: Many) -> Presenting | None:
    """Show them and follow them until they are over; None where there is no notebook."""
    if not in_kernel():
        return None

    def live() -> LiveView:
        from tvixbuild_nb.widgets.many.live import ManyView

        return ManyView(many)

    _shown[many] = _cell()
    return Presenting(partial(many_forms, many), live)


def _cell() -> int:
    return int(sys.modules["IPython"].get_ipython().execution_count)
