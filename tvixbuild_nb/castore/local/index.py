"""The index of a local store: an SQLite database in WAL mode, one connection shared by all threads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote

from tvixbuild_nb.castore.digest import DIGEST_SIZE, Digest
from tvixbuild_nb.castore.local.layout import Layout
from tvixbuild_nb.castore.local.locks import FileLock
from tvixbuild_nb.errors import StoreError

# Pack 0: the blob is a file of its own.
OWN_FILE = 0

_SCHEMA = """
CREATE TABLE blobs (digest BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE INDEX large ON blobs (size) WHERE pack = 0;
CREATE TABLE directories (digest BLOB PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE packs (number INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL, synced INTEGER NOT NULL,
    length INTEGER NOT NULL);
CREATE TABLE unsynced (digest BLOB PRIMARY KEY, boot TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pins (name TEXT PRIMARY KEY, node BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE held (lease TEXT NOT NULL, node BLOB NOT NULL, PRIMARY KEY (lease, node)) WITHOUT ROWID;
PRAGMA user_version = 1;
"""

_BUSY_SECONDS = 60.0
_ASK_AT_ONCE = 500
_FIND = "SELECT pack, offset, size FROM blobs WHERE digest = ?"
_MISSING = """
SELECT group_concat(hex(column1), '') FROM (VALUES {})
    WHERE NOT EXISTS (SELECT 1 FROM {} WHERE digest = column1)
"""
_ALL = "SELECT digest FROM {} WHERE digest > ? ORDER BY digest LIMIT 10000"
_BEGINNING = """
SELECT digest FROM blobs WHERE digest BETWEEN ?1 AND ?2
    UNION SELECT digest FROM directories WHERE digest BETWEEN ?1 AND ?2 ORDER BY digest LIMIT ?3
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a blob's bytes are: ``size`` bytes at ``offset`` of pack ``pack``, or a file of its own (pack 0)."""

    pack: int
    offset: int
    size: int


class Index:
    """The database; every method is one statement or one transaction, safe for several threads."""

    def __init__(self, layout: Layout, *, read_only: bool) -> None:
        self._layout = layout
        self._lock = threading.RLock()
        with self._errors():
            self._db = self._connect(read_only)
            if not read_only:
                self._create()
                self._db.execute("PRAGMA synchronous = NORMAL")
                # Digests come in no order: with the usual 2 MB the same pages are read again and again.
                self._db.execute("PRAGMA cache_size = -16384")
                self._db.execute("PRAGMA wal_autocheckpoint = 4000")
                self._db.execute("PRAGMA journal_size_limit = 67108864")

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        name = f"file:{quote(str(self._layout.index))}" + ("?mode=ro" if read_only else "")

        def connect(uri: str) -> sqlite3.Connection:
            return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)

        db = connect(name)
        if read_only:
            try:
                db.execute("SELECT 1 FROM packs LIMIT 1")
            except sqlite3.OperationalError as error:
                # On a read-only medium WAL cannot even be looked at, and nobody writes there.
                if "unable to open" not in str(error) and "readonly" not in str(error):
                    raise
                db.close()
                db = connect(name + "&immutable=1")
        return db

    def _create(self) -> None:
        if self._db.execute("PRAGMA user_version").fetchone()[0]:
            return
        lock = FileLock(self._layout.version)
        try:
            if not self._db.execute("PRAGMA user_version").fetchone()[0]:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        finally:
            lock.release()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> StoreError:
        text = str(error)
        hint = None
        if "full" in text:
            hint = "free some space: `tvixbuild-nb gc` deletes what nothing needs"
        elif "malformed" in text or "not a database" in text:
            hint = "the index is damaged: delete the store and ingest again"
        return StoreError(text, path=self._layout.index, hint=hint)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """All rows of one SELECT."""
        with self._lock, self._errors():
            return self._db.execute(sql, parameters).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction, rolled back when an exception leaves the block."""
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def find(self, digest: Digest) -> Place | None:
        # Asked for every small file that a view reads: without a generator, and with a value sqlite3 needs no adapter
        # for (see missing): a fifth less time.
        try:
            with self._lock:
                row = self._db.execute(_FIND, (bytearray(digest),)).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return None if row is None else Place(*row)

    def missing(self, digests: Iterable[Digest], table: str = "blobs") -> set[Digest]:
        # In order, so that neighbours lie on the same page. As bytearrays, because sqlite3 looks for an adapter
        # for each value that is bytes or of our own type, which takes a quarter of the time.
        asked = map(bytearray, sorted(set(digests)))
        absent: set[Digest] = set()
        while part := list(islice(asked, _ASK_AT_ONCE)):
            # One row with all the answers: sqlite3 lets go of the interpreter's lock at every row, and getting it back
            # beside a busy thread costs far more than reading hex.
            marks = ",".join(["(?)"] * len(part))
            (row,) = self.query(_MISSING.format(marks, table), part)
            text = bytes.fromhex(row[0]) if isinstance(row[0], str) else b""
            absent.update(Digest(text[start : start + DIGEST_SIZE]) for start in range(0, len(text), DIGEST_SIZE))
        return absent

    def beginning_with(self, prefix: str, limit: int) -> list[Digest]:
        """The first ``limit`` digests of blobs and directories whose hex begins with ``prefix``, in order."""
        bounds = [bytes.fromhex(prefix.ljust(2 * DIGEST_SIZE, digit)) for digit in "0f"]
        return [Digest(row[0]) for row in self.query(_BEGINNING, (*bounds, limit)) if isinstance(row[0], bytes)]

    def all(self, table: str) -> Iterator[Digest]:
        """Every digest of ``table``, in order; others may write meanwhile."""
        last = b""
        while rows := self.query(_ALL.format(table), (last,)):
            for (digest,) in rows:
                assert isinstance(digest, bytes)
                yield Digest(digest)
                last = digest

    def has_large(self, size: int) -> bool:
        """Whether some blob in a file of its own has ``size`` bytes."""
        return bool(self.query("SELECT 1 FROM blobs WHERE pack = 0 AND size = ? LIMIT 1", (size,)))

    def directory(self, digest: Digest) -> bytes | None:
        with self._lock, self._errors():
            row = self._db.execute("SELECT data FROM directories WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else bytes(row[0])

    def checkpoint(self, mode: str = "PASSIVE") -> None:
        """Sync the log and copy it into the database, as far as nobody is in the way."""
        with self._lock, self._errors():
            self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

    def close(self) -> None:
        with self._lock:
            self._db.close()
