"""Kept: the directories last looked at, as messages; they never change, and what is looked at is looked at again."""

from __future__ import annotations

import threading
from collections import OrderedDict

from tvixbuild_nb.castore.digest import Digest

# Bytes of messages.
MOST = 16 << 20


class Kept:
    """Some messages by digest, those longest not asked for dropped first; safe for several threads."""

    def __init__(self) -> None:
        self._messages: OrderedDict[Digest, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, digest: Digest) -> bytes | None:
        with self._lock:
            data = self._messages.get(digest)
            if data is not None:
                self._messages.move_to_end(digest)
            return data

    def keep(self, digest: Digest, data: bytes) -> None:
        with self._lock:
            if digest in self._messages:
                return
            self._messages[digest] = data
            self._bytes += len(data)
            while self._bytes > MOST:
                self._bytes -= len(self._messages.popitem(last=False)[1])
