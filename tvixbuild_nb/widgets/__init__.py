"""Everything seen in a notebook: views of the rooms' values, each live, as static HTML and as text.

A view takes a value, turns it into plain data by pure functions, and draws that data in three ways: a live widget
(``widget.py``, thin, its front end an ES module under ``front/``), HTML without scripts for notebooks that are read
without a kernel, and rich text for terminals. Nothing here decides anything about builds.
"""

from tvixbuild_nb.widgets.registry import register_views

__all__ = ["register_views"]
