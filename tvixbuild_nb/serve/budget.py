"""Budget: bytes of memory that all calls of a kind may hold together; who asks for more is refused, not the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tvixbuild_nb.errors import RemoteStoreError

_CODE = "RESOURCE_EXHAUSTED"


class Budget:
    """``most`` bytes of ``what``, for any number of threads."""

    def __init__(self, most: int, what: str) -> None:
        self.what = what
        self._most = most
        self._taken = 0
        self._lock = threading.Lock()

    @contextmanager
    def share(self, most: int) -> Iterator[Share]:
        """What one call takes of it, at most ``most`` bytes; it is given back with the block."""
        share = Share(self, most)
        try:
            yield share
        finally:
            with self._lock:
                self._taken -= share.taken

    def take(self, count: int) -> None:
        """:class:`RemoteStoreError` when all together would be too large."""
        with self._lock:
            if self._taken + count > self._most:
                raise RemoteStoreError(
                    f"the server holds {self._taken:,} bytes of {self.what}, and takes at most {self._most:,}",
                    code=_CODE, hint="try again when others are through",
                )  # fmt: skip
            self._taken += count


class Share:
    """One call's part of ``budget``, at most ``most`` bytes."""

    def __init__(self, budget: Budget, most: int) -> None:
        self._budget = budget
        self._most = most
        self.taken = 0

    def take(self, count: int) -> None:
        """Take ``count`` bytes more; :class:`RemoteStoreError` when that is too much for one, or for all."""
        if self.taken + count > self._most:
            raise RemoteStoreError(f"one call brings at most {self._most:,} bytes of {self._budget.what}", code=_CODE)
        self._budget.take(count)
        self.taken += count
