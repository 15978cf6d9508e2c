"""Gathering: small blobs that come at the same time are stored together.

A store makes each blob that is put alone safe by itself, which takes it longer than all the rest of such a call.
Whoever comes while another one is storing waits, and the next one stores for all who wait.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future

from tvixbuild_nb.castore import Castore, Digest, FileNode

# Bytes of a blob that is gathered.
SMALL = 64 << 10


class Gathering:
    """Stores small blobs in ``castore``, many in one batch."""

    def __init__(self, castore: Castore) -> None:
        self._castore = castore
        self._lock = threading.Lock()
        self._storing = threading.Lock()
        self._waiting: list[tuple[Digest, bytes, Future[None]]] = []

    def put(self, data: bytes) -> Digest:
        """Store ``data``; it is there when this returns. Raises what the store raises."""
        digest: Digest = Digest.of(data)
        stored: Future[None] = Future()
        with self._lock:
            self._waiting.append((digest, data, stored))
        with self._storing:
            with self._lock:
                gathered, self._waiting = self._waiting, []
            # None when another one stored this one, too, meanwhile.
            if gathered:
                self._store(gathered)
        stored.result()
        return digest

    def _store(self, gathered: list[tuple[Digest, bytes, Future[None]]]) -> None:
        try:
            with self._castore.batch() as batch:
                batch.put_blobs([(digest, data) for digest, data, _ in gathered])
                batch.commit(*(FileNode(digest, len(data)) for digest, data, _ in gathered))
        except BaseException as error:
            for _, _, stored in gathered:
                stored.set_exception(error)
            return
        for _, _, stored in gathered:
            stored.set_result(None)
