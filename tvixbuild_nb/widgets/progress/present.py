"""Progress on display while work goes on, replaced by one line without a widget when it is over."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tvixbuild_nb.castore.progress import Shown
from tvixbuild_nb.display import in_kernel
from tvixbuild_nb.widgets.kit.presenting import Presenting
from tvixbuild_nb.widgets.progress.forms import progress_forms

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.progress.live import ProgressView


class PresentedProgress(Presenting):
    """A line that is followed."""

    def __init__(self, shown: Shown) -> None:
        def live() -> ProgressView:
            from tvixbuild_nb.widgets.progress.live import ProgressView

            return ProgressView(shown)

        super().__init__(partial(progress_forms, shown), live)

    @classmethod
    def in_notebook(cls, shown: Shown) -> PresentedProgress | None:
        """Show it; None where there is no notebook."""
        return cls(shown) if in_kernel() else None
