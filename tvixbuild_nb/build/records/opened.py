"""Records opened to be looked at: unpacked once by content, below the state directory, where gc takes them away."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tvixbuild_nb.build import locks
from tvixbuild_nb.build.record import RunRecord, state_directory
from tvixbuild_nb.build.records.manifest import Manifest
from tvixbuild_nb.build.records.reading import RecordFile
from tvixbuild_nb.build.records.saved import SavedStore
from tvixbuild_nb.build.records.unpacking import check_record, check_room, marked, unpack_content, unpack_files
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.castore.local import LocalStore
from tvixbuild_nb.castore.memory import MemoryStore

_STORE = "castore"


@dataclass(frozen=True, slots=True)
class Opened:
    """A record that can be read like a run: ``record`` its directory, ``castore`` what contents it has.

    As long as this lives nobody takes the directory away.
    """

    path: Path
    manifest: Manifest
    record: RunRecord
    castore: Castore
    _hold: _Hold = field(repr=False)


class _Hold:
    """Tells other processes that somebody reads here; let go of with the object, or with the process."""

    def __init__(self, place: Path) -> None:
        self._path = place / f"{secrets.token_hex(6)}.lock"
        self._fd = locks.take(self._path)

    def __del__(self) -> None:
        if (fd := getattr(self, "_fd", None)) is not None:
            os.close(fd)


def open_record(path: str | os.PathLike[str]) -> Opened:
    """Check the record at ``path`` whole, and unpack it unless that was done before.

    :class:`InvalidRecord` when it is damaged, foreign or newer; nothing of it stays then.
    """
    home = state_directory() / "records"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with RecordFile(path) as file:
        place = home / file.digest()
        hold: _Hold | None = None
        while hold is None:
            if not place.exists():
                _unpack(file, place)
            with _nobody_sweeps(home):
                hold = _Hold(place) if place.exists() else None
        store = place / _STORE
        backend = LocalStore(str(store)) if store.exists() else MemoryStore()
        castore = Castore(SavedStore(backend))
        return Opened(Path(path), file.manifest, RunRecord(place / file.manifest.run), castore, hold)


def _unpack(file: RecordFile, place: Path) -> None:
    request, result = check_record(file)
    check_room(place.parent, file.manifest.size)
    temporary = place.with_name(f".{secrets.token_hex(6)}")
    with _nobody_sweeps(place.parent):
        temporary.mkdir(mode=0o700)
        hold = _Hold(temporary)
    try:
        directory = temporary / file.manifest.run
        directory.mkdir(mode=0o700)
        unpack_files(file, directory)
        record = RunRecord(directory)
        record.write_result(marked(result, file.manifest.recorded))
        if file.has("events.jsonl"):
            (directory / "events.jsonl").write_bytes(file.read("events.jsonl"))
        if file.manifest.content.outputs or file.manifest.content.inputs:
            with open_castore(temporary / _STORE) as castore:
                unpack_content(file, request, result, castore)
        try:
            temporary.rename(place)
        except OSError:
            if not place.exists():  # else somebody was faster with the same
                raise
        del hold
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep_opened(*, dry_run: bool = False) -> list[Path]:
    """Take away what was unpacked and nobody looks at now; the paths. What is needed again is unpacked again."""
    swept = []
    home = state_directory() / "records"
    for place in _unpacked(home):
        # Out of the way whole, so that nobody finds half of it.
        gone = place.with_name(f".{secrets.token_hex(6)}")
        with _nobody_sweeps(home):
            if not place.exists() or any(map(locks.is_taken, place.glob("*.lock"))):
                continue
            if not dry_run:
                place.rename(gone)
        swept.append(place)
        if not dry_run:
            # What resists is swept the next time.
            shutil.rmtree(gone, ignore_errors=True)
    return swept


@contextmanager
def _nobody_sweeps(home: Path) -> Iterator[None]:
    """During the block nobody else in any process takes away, or begins to hold, what is in ``home``."""
    while (fd := locks.take(home / "lock")) is None:
        time.sleep(0.001)
    try:
        yield
    finally:
        os.close(fd)


def _unpacked(home: Path) -> Iterator[Path]:
    try:
        yield from sorted(Path(entry.path) for entry in os.scandir(home) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return
