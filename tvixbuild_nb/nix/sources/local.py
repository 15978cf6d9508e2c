"""The Nix store of this host: its database read-only, or without one by looking for references in its files."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from tvixbuild_nb.castore import Castore, Node, ingest_path
from tvixbuild_nb.castore.refscan import Scanner
from tvixbuild_nb.errors import InvalidStorePath, PathSourceError
from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.nar import Summing, nar_of_path, sum_of_path
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.sources.protocol import ClosingSource, not_found
from tvixbuild_nb.nix.storepath import StoreDir, StorePath

_BUSY_SECONDS = 60.0
_INFO = "SELECT id, hash, narSize, deriver, sigs, ca FROM ValidPaths WHERE path = ?"
_REFERENCES = "SELECT path FROM ValidPaths JOIN Refs ON reference = id WHERE referrer = ?"
_OUTPUTS = """
SELECT o.id, o.path FROM DerivationOutputs o JOIN ValidPaths v ON o.drv = v.id WHERE v.path = ? ORDER BY o.id
"""
_DERIVERS = "SELECT v.path FROM DerivationOutputs o JOIN ValidPaths v ON o.drv = v.id WHERE o.path = ? ORDER BY v.path"


class LocalStore(ClosingSource):
    """A Nix store with its database, also while Nix has it open; nothing is ever written.

    Parameters: ``store``, the directory that paths are for; ``state``, the directory with ``db/db.sqlite``; ``real``,
    where the store's files are when that is not ``store``.  What the database says of a path is believed, as Nix does.
    """

    def __init__(
        self,
        store: StoreDir | None = None,
        *,
        state: str | os.PathLike[str] = "/nix/var/nix",
        real: str | os.PathLike[str] | None = None,
    ) -> None:
        self.store = store or StoreDir()
        self.real = Path(real or self.store.path)
        self.address = f"local store {self.real}"
        self.parallel = 1
        self._database = Path(state) / "db" / "db.sqlite"
        self._lock = threading.Lock()
        self._db = self._connect()

    def _connect(self) -> sqlite3.Connection:
        if not self._database.exists():
            raise PathSourceError(
                "there is no database of Nix here", path=self._database, hint="without one, a ScannedStore finds out"
            )
        name = f"file:{quote(str(self._database))}?mode=ro"
        try:
            return _opened(name)
        except sqlite3.OperationalError as error:
            # Somebody who may not write there cannot make the shared memory of WAL. When no log waits, nobody has the
            # database open, and it can be read as it lies.
            if _waiting(self._database):
                raise self._failure(error) from error
        except sqlite3.Error as error:
            raise self._failure(error) from error
        try:
            return _opened(f"{name}&immutable=1")
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> PathSourceError:
        return PathSourceError(f"the database of Nix cannot be read: {error}", path=self._database)

    def _query(self, sql: str, parameter: object) -> list[tuple[object, ...]]:
        try:
            with self._lock:
                return self._db.execute(sql, (parameter,)).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def info(self, path: StorePath) -> PathInfo | None:
        rows = self._query(_INFO, self.store.join(path))
        if not rows:
            return None
        number, digits, size, deriver, signatures, ca = rows[0]
        if not size:  # written by a Nix of before there were sizes
            size = sum_of_path(self.real / str(path)).size
        assert isinstance(size, int)
        return PathInfo(
            path,
            NixHash.parse(str(digits)),
            size,
            tuple(self.store.parse(str(row[0])) for row in self._query(_REFERENCES, number)),
            self.store.parse(str(deriver)) if deriver else None,
            tuple(str(signatures or "").split()),
            str(ca) if ca else None,
        )

    def node(self, path: StorePath, castore: Castore) -> Node:
        if not self._query(_INFO, self.store.join(path)):
            raise not_found(self, path)
        return ingest_path(castore, self.real / str(path)).node

    def witness(self, path: StorePath) -> str | None:
        return None

    def outputs(self, derivation: StorePath) -> dict[str, StorePath]:
        """The outputs of a derivation in the store, by their names."""
        rows = self._query(_OUTPUTS, self.store.join(derivation))
        return {str(name): self.store.parse(str(path)) for name, path in rows}

    def derivers(self, path: StorePath) -> list[StorePath]:
        """The derivations in the store that have ``path`` as an output."""
        return [self.store.parse(str(row[0])) for row in self._query(_DERIVERS, self.store.join(path))]

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _opened(name: str) -> sqlite3.Connection:
    db = sqlite3.connect(name, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("SELECT 1 FROM ValidPaths LIMIT 1")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _waiting(database: Path) -> bool:
    """Whether a write-ahead log with something in it lies beside the database."""
    try:
        return os.stat(f"{database}-wal").st_size > 0
    except FileNotFoundError:
        return False


class ScannedStore(ClosingSource):
    """A directory of store paths without a database: what is there is valid, and refers to what its files name.

    ``store`` and ``real`` as for :class:`LocalStore`. A path is read once for its :meth:`info`, which is remembered
    as long as the path's own inode stays as it is: what is in a store does not change.
    """

    def __init__(self, store: StoreDir | None = None, *, real: str | os.PathLike[str] | None = None) -> None:
        self.store = store or StoreDir()
        self.real = Path(real or self.store.path)
        self.address = f"store without database {self.real}"
        self.parallel = 1
        self._lock = threading.Lock()
        self._known: dict[StorePath, tuple[str, PathInfo]] = {}
        self._candidates: list[StorePath] = []

    def info(self, path: StorePath) -> PathInfo | None:
        witness = self.witness(path)
        if witness is None:
            return None
        with self._lock:
            known = self._known.get(path)
            if known is not None and known[0] == witness:
                return known[1]
            if path not in self._candidates:
                self._candidates = self._list()
            candidates = self._candidates
        found = scanned_info(path, nar_of_path(self.real / str(path)), candidates)
        with self._lock:
            self._known[path] = (witness, found)
        return found

    def _list(self) -> list[StorePath]:
        try:
            names = os.listdir(self.real)
        except OSError as error:
            raise PathSourceError(error.strerror or str(error), path=self.real) from error
        found: list[StorePath] = []
        for name in sorted(names):
            try:
                found.append(StorePath.parse(name))
            except InvalidStorePath:
                continue  # .links, locks and drafts lie in a store, too
        return found

    def node(self, path: StorePath, castore: Castore) -> Node:
        if self.witness(path) is None:
            raise not_found(self, path)
        return ingest_path(castore, self.real / str(path)).node

    def witness(self, path: StorePath) -> str | None:
        try:
            status = os.lstat(self.real / str(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PathSourceError(error.strerror or str(error), path=self.real / str(path)) from error
        return f"{status.st_dev}.{status.st_ino}.{status.st_ctime_ns}"


def scanned_info(path: StorePath, chunks: Iterable[bytes | memoryview], candidates: Sequence[StorePath]) -> PathInfo:
    """What can be known of ``path`` from its NAR alone: hash, size, and which ``candidates`` it names."""
    scanner = Scanner([candidate.hash_part.encode() for candidate in candidates])
    stream = scanner.stream()
    with Summing() as summing:
        for chunk in chunks:
            summing.update(chunk)
            stream.feed(chunk)
        total = summing.result()
    return PathInfo(path, total.hash, total.size, tuple(candidates[index] for index in scanner.found))
