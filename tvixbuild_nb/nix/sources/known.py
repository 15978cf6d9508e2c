"""Store paths that were put into a castore before, in a small database beside it.

A node is taken from here only for the very NAR hash its source tells now, and only while the castore still has it. A
store path never changes, so what a source told of one is remembered as well, as long as its ``witness`` is the same.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

from tvixbuild_nb.castore import Castore, Node, decode_node, encode_node
from tvixbuild_nb.errors import PathSourceError
from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.sources.protocol import ClosingSource, PathSource
from tvixbuild_nb.nix.storepath import StoreDir, StorePath

FILE_NAME = "nix-paths.sqlite"
_BUSY_SECONDS = 60.0
_VERSION = 1
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS known (source TEXT NOT NULL, path TEXT NOT NULL, witness TEXT, nar_hash TEXT NOT NULL,
    info TEXT NOT NULL, node BLOB, PRIMARY KEY (source, path)) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""


class KnownPaths(ClosingSource):
    """The database; safe for several threads and processes. Losing it loses nothing but time."""

    def __init__(self, file: Path | str = ":memory:") -> None:
        self._file = file
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise PathSourceError(f"written by a newer version ({version})", path=str(file))
            if version < _VERSION:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.executescript(_SCHEMA)
            self._db.execute("PRAGMA synchronous = OFF")
        except sqlite3.Error as error:
            raise self._failure(error) from error

    @classmethod
    def beside(cls, castore: Castore) -> KnownPaths:
        """That of ``castore``; of one without a directory, a new one that ends with this process."""
        return cls() if castore.local_path is None else cls(castore.local_path / FILE_NAME)

    def _failure(self, error: sqlite3.Error) -> PathSourceError:
        return PathSourceError(str(error), path=str(self._file), hint="it may be deleted; it is made again")

    def _row(self, sql: str, *parameters: object) -> tuple[object, ...] | None:
        try:
            with self._lock:
                row: tuple[object, ...] | None = self._db.execute(sql, parameters).fetchone()
                return row
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def info(self, source: PathSource, path: StorePath, witness: str) -> PathInfo | None:
        """What ``source`` told of ``path`` when its witness was the same."""
        row = self._row(
            "SELECT info FROM known WHERE source = ? AND path = ? AND witness = ?", *_key(source, path), witness
        )
        return None if row is None else _read(path, source.store, str(row[0]))

    def node(self, source: PathSource, info: PathInfo, castore: Castore) -> Node | None:
        """The node that ``source`` once gave for this NAR, when ``castore`` still has it: held, so that it stays."""
        row = self._row(
            "SELECT node FROM known WHERE source = ? AND path = ? AND nar_hash = ?",
            *_key(source, info.path),
            str(info.nar_hash),
        )
        if row is None or not isinstance(row[0], bytes):
            return None
        node = decode_node(row[0], named=False)[1]
        castore.hold(node)
        return node if castore.has(node) else None

    def remember(self, source: PathSource, info: PathInfo, witness: str | None, node: Node | None) -> None:
        """Note what ``source`` told, and the node if there is one; an older node of the same NAR stays."""
        data = None if node is None else encode_node(b"", node)
        self._row(
            "INSERT INTO known VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (source, path) DO UPDATE SET "
            "node = coalesce(?6, CASE WHEN nar_hash = ?4 THEN node END), witness = ?3, nar_hash = ?4, info = ?5",
            *_key(source, info.path), witness, str(info.nar_hash), _text(info, source.store), data,
        )  # fmt: skip

    def close(self) -> None:
        with self._lock:
            self._db.close()


class Remembering(ClosingSource):
    """``source``, asked only for what ``known`` cannot tell; closing it closes ``source`` and not ``known``."""

    def __init__(self, source: PathSource, known: KnownPaths) -> None:
        self.store = source.store
        self.address = source.address
        self.parallel = source.parallel
        self._source = source
        self._known = known
        self._told: dict[StorePath, tuple[str | None, PathInfo]] = {}

    def info(self, path: StorePath) -> PathInfo | None:
        return self._info(path, self._source.witness(path))

    def _info(self, path: StorePath, witness: str | None) -> PathInfo | None:
        told = self._told.get(path)
        if told is not None and told[0] == witness:
            return told[1]
        found = None if witness is None else self._known.info(self._source, path, witness)
        if found is None:
            found = self._source.info(path)
            if found is not None and witness is not None:
                self._known.remember(self._source, found, witness, None)
        if found is not None:
            self._told[path] = (witness, found)
        return found

    def node(self, path: StorePath, castore: Castore) -> Node:
        witness = self._source.witness(path)
        info = self._info(path, witness)
        node = None if info is None else self._known.node(self._source, info, castore)
        if node is None:
            node = self._source.node(path, castore)
            if info is not None:
                self._known.remember(self._source, info, witness, node)
        return node

    def witness(self, path: StorePath) -> str | None:
        return self._source.witness(path)

    def close(self) -> None:
        self._source.close()


def _key(source: PathSource, path: StorePath) -> tuple[str, str]:
    return source.address, source.store.join(path)


def _text(info: PathInfo, store: StoreDir) -> str:
    deriver = None if info.deriver is None else str(info.deriver)
    references = list(map(str, info.references))
    return json.dumps([str(info.nar_hash), info.nar_size, references, deriver, info.signatures, info.ca])


def _read(path: StorePath, store: StoreDir, text: str) -> PathInfo:
    nar_hash, nar_size, references, deriver, signatures, ca = json.loads(text)
    return PathInfo(
        path,
        NixHash.parse(nar_hash),
        nar_size,
        tuple(map(StorePath.parse, references)),
        None if deriver is None else StorePath.parse(deriver),
        tuple(signatures),
        ca,
    )
