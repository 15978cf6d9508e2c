"""Progress of long work under a notebook's cell: one line while it goes on, one line in the end."""

from tvixbuild_nb.widgets.progress.present import PresentedProgress

__all__ = ["PresentedProgress"]
