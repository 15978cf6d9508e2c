"""Trees below a form that stays as it is: each opens where it stands, and is made when somebody opens it."""

from __future__ import annotations

from collections.abc import Sequence

import traitlets

from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front
from tvixbuild_nb.widgets.tree.live import TreeView
from tvixbuild_nb.widgets.tree.roots import Root


class TreesBelow(LiveView):
    """One line for each of ``roots``, which opens its tree. Closing this closes the trees."""

    _esm = front("js", "below")
    _css = front("css", "below")
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, roots: Sequence[Root]) -> None:
        self._roots = roots
        self._opened: dict[int, TreeView] = {}
        super().__init__(names=[root.shown(root.name) for root in roots])

    @callable_from_front
    def open_tree(self, number: int) -> str:
        """The model of this tree's view; NotFound when the store does not hold it."""
        if not 0 <= number < len(self._roots):
            raise InvalidValue(f"there is no tree {visible(str(number))}", path="number")
        if number not in self._opened:
            self._opened[number] = TreeView([self._roots[number]])
        return str(self._opened[number].model_id)

    def close(self) -> None:
        """The trees that were opened are closed, too."""
        while self._opened:
            self._opened.popitem()[1].close()
        super().close()
