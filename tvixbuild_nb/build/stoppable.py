"""Progress of work for a build, which ends when the build is cancelled."""

from __future__ import annotations

from tvixbuild_nb.build.service import CancelToken
from tvixbuild_nb.castore.progress import Shown


class Stoppable(Shown):
    """As Shown; :class:`Cancelled` leaves the work at the next step it tells of, once ``cancel`` is asked for."""

    def __init__(self, title: str, cancel: CancelToken) -> None:
        super().__init__(title)
        self._cancel = cancel

    def advance(self, files: int = 0, bytes: int = 0) -> None:
        self._cancel.check()
        super().advance(files, bytes)
