"""The files that a builder elsewhere took down of a build: which there are, and that they are what they should be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from tvixbuild_nb.build.inside import Inside
from tvixbuild_nb.build.record import RunRecord
from tvixbuild_nb.build.recorded import RunHost
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.fs import AccessTrace
from tvixbuild_nb.oci import Spec

PART = 1 << 20
# A trace of some million accesses.
LARGEST = 256 << 20


def _processes(data: bytes) -> object:
    noted = json.loads(data)
    return float(noted["time"]), [dict(each) for each in noted["processes"]]


_READ: dict[str, Callable[[bytes], object]] = {
    "config.json": lambda data: Spec.from_json(json.loads(data)),
    "host.json": RunHost.model_validate_json,
    "inside.json": lambda data: Inside.from_json(data.decode("utf-8", "surrogateescape")),
    "accesses.json": lambda data: AccessTrace.from_json(data.decode()),
    "processes.json": _processes,
}


def parts_of(record: RunRecord) -> Iterator[tuple[str, bytes]]:
    """(name, a part of its bytes) of each of these files that ``record`` has, in order."""
    for name in _READ:
        try:
            data = (record.path / name).read_bytes()
        except FileNotFoundError:
            continue
        for start in range(0, len(data), PART):
            yield name, data[start : start + PART]


class TakenDown:
    """Collects the parts as they come, and puts the files into ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._parts: dict[str, bytearray] = {}

    def add(self, name: str, data: bytes) -> None:
        """:class:`InvalidValue` for a file that nobody expects, or that is too large."""
        if name not in _READ:
            raise InvalidValue(f"the builder sent a file of the name {name!r}", path="file")
        part = self._parts.setdefault(name, bytearray())
        part += data
        if len(part) > LARGEST:
            raise InvalidValue(f"{name} has more than {LARGEST:,} bytes", path="file")

    def store(self) -> tuple[str, ...]:
        """Write those that can be read; what is said of the others."""
        faults = []
        for name, data in self._parts.items():
            try:
                _READ[name](bytes(data))
            except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
                faults.append(f"{name}: what the builder sent cannot be read ({type(error).__name__})")
                continue
            (self._directory / name).write_bytes(data)
        return tuple(faults)
