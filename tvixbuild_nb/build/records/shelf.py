"""Shelf: a directory of records, looked up by request; a file's manifest is read once while it stays the same."""

from __future__ import annotations

import stat
import threading
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tvixbuild_nb.build.recorded import RecordedPolicy
from tvixbuild_nb.build.records.manifest import SUFFIX, Choice, Manifest
from tvixbuild_nb.build.records.reading import RecordFile
from tvixbuild_nb.castore import Digest
from tvixbuild_nb.errors import HostRefused, InvalidRecord
from tvixbuild_nb.oci import SpecOptions, deviations

_Stamp: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for beside the request: the user's choices, the policy, the runtime (None: any)."""

    choices: frozenset[Choice] = frozenset()
    policy: RecordedPolicy = RecordedPolicy()
    runtime: str | None = None

    @classmethod
    def of(cls, options: SpecOptions | None, policy: RecordedPolicy, runtime: str | None = None) -> Wanted:
        """From what a run is started with."""
        asked = () if options is None else (each for each in deviations(options) if each.asked_by == "user")
        return cls(frozenset(Choice(name=each.name, asked=each.ours) for each in asked), policy, runtime)

    def distance(self, manifest: Manifest) -> tuple[bool, ...]:
        """How far a record is from what is wanted; the first difference weighs most."""
        policy, theirs = self.policy, manifest.policy or RecordedPolicy()
        host = manifest.recorded.host
        return (
            self.choices != frozenset(manifest.choices),
            self.runtime is not None and (host is None or host.runtime != self.runtime),
            (policy.listing, policy.processors) != (theirs.listing, theirs.processors),
            (policy.timeout, policy.silent_timeout) != (theirs.timeout, theirs.silent_timeout),
            policy.observe != theirs.observe,
            policy.trace != theirs.trace,
            policy.in_memory != theirs.in_memory,
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """One record of a shelf."""

    path: Path
    manifest: Manifest


class Shelf:
    """The records in ``directory`` and below it. Safe for several threads.

    Files that come and go are seen at the next look.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[_Stamp, Manifest | InvalidRecord]] = {}
        self._served: Counter[tuple[Digest, tuple[Path, ...]]] = Counter()

    def look_up(self, request: Digest, wanted: Wanted) -> list[Kept]:
        """The records of ``request``, to be tried in this order: first those nearest to what is ``wanted``.

        Among equals each look begins with the one after the last one, in the order in which they were recorded.
        Raises :class:`HostRefused` when the directory cannot be read; warns, once, of what is no record.
        """
        with self._lock:
            self._read()
            found = [
                Kept(path, each)
                for path, (_, each) in self._known.items()
                if isinstance(each, Manifest) and each.request == request
            ]
            if not found:
                return []
            ranked = sorted(found, key=lambda kept: (*wanted.distance(kept.manifest), *_recorded(kept)))
            nearest = wanted.distance(ranked[0].manifest)
            equals = [kept for kept in ranked if wanted.distance(kept.manifest) == nearest]
            key = request, tuple(kept.path for kept in equals)
            turn = self._served[key] % len(equals)
            self._served[key] += 1
            return [*equals[turn:], *equals[:turn], *ranked[len(equals) :]]

    def _read(self) -> None:
        try:
            paths = sorted(self.directory.rglob(f"*{SUFFIX}")) if self.directory.is_dir() else None
        except OSError as error:
            raise HostRefused(f"cannot be read: {error.strerror}", path=str(self.directory)) from error
        if paths is None:
            raise HostRefused("there is no such directory with records", path=str(self.directory))
        known = {}
        for path in paths:
            try:
                status = path.stat()
            except OSError:
                continue  # taken away just now, or a link to nowhere
            if not stat.S_ISREG(status.st_mode):
                continue
            stamp = status.st_mtime_ns, status.st_size
            before = self._known.get(path)
            known[path] = before if before is not None and before[0] == stamp else (stamp, _manifest(path))
        self._known = known


def _manifest(path: Path) -> Manifest | InvalidRecord:
    try:
        with RecordFile(path) as file:
            return file.manifest
    except (InvalidRecord, OSError) as error:
        if isinstance(error, OSError):
            error = InvalidRecord(f"cannot be read: {error.strerror}", path=str(path))
        warnings.warn(f"a record that cannot be used: {error}", stacklevel=2)
        return error


def _recorded(kept: Kept) -> Sequence[object]:
    return kept.manifest.recorded.when, kept.manifest.run, str(kept.path)
