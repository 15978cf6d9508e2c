"""What a build touched of its inputs, and what it looked for in vain.

The kernel asks a view once for each name and caches the answer, so on a view of its own a run's
trace is complete: every path looked up, opened, listed and read at least once, and every name that
was asked for and is not there. How often it cannot tell; ``read`` counts the bytes handed to the
kernel, its read-ahead included.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.escaping import visible
from tvixbuild_nb.fs import tracetree
from tvixbuild_nb.fs.inodes import ROOT, View
from tvixbuild_nb.fs.tracetree import AccessTree

if TYPE_CHECKING:
    from rich.console import RenderableType

MAX_MISSING = 200_000
MAX_FAULTS = 100
MAX_SHOWN = 10
MAX_ROWS = 100


@dataclass(frozen=True, slots=True)
class InputAccess:
    """What was touched of one input. Paths are relative to it, ``""`` is the input itself.

    Bytes that are not UTF-8 stand as ``os.fsdecode`` shows them. ``looked_up``, ``opened`` (files),
    ``listed`` (directories) and ``missing`` are sorted; ``read`` gives bytes per file.
    """

    looked_up: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    read: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def bytes_read(self) -> int:
        """Bytes read from this input, read-ahead included."""
        return sum(self.read.values())

    @property
    def used(self) -> bool:
        """Whether anything but the input's own name was looked at (the runtime looks that up to mount it)."""
        return bool(self.opened or self.listed or self.read or self.missing or any(self.looked_up))


@dataclass(frozen=True, slots=True)
class Search:
    """A file that was looked for in several places, or in vain: a library, a header, a program on PATH.

    ``name``: of the file; ``tried``: directories below the inputs' one where it is not, in the order in which the
    kernel first asked (``""`` is that directory itself); ``found``: the path where one of that name was looked up.
    """

    name: str
    tried: tuple[str, ...]
    found: str | None = None

    def __str__(self) -> str:
        places = ", ".join(place or "beside the inputs" for place in self.tried)
        return f"{self.name}: not in {places}; {'nowhere else' if self.found is None else f'found as {self.found}'}"


@dataclass(frozen=True, slots=True)
class AccessTrace:
    """Accesses per input, by the input's name; a value, also as JSON.

    ``inputs`` names every input of the view, touched or not. ``missing`` are names looked for
    beside the inputs, ``dropped`` counts misses beyond the bound, ``faults`` are failures of the
    view itself (a blob missing in the store), one text each. ``searches`` are all misses again, by what was
    looked for, in the order of the first miss; empty in traces of before there were any.
    """

    inputs: Mapping[str, InputAccess] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    dropped: int = 0
    searches: tuple[Search, ...] = ()

    @property
    def unused(self) -> tuple[str, ...]:
        """Inputs of which nothing was looked at."""
        return tuple(name for name, access in self.inputs.items() if not access.used)

    @property
    def bytes_read(self) -> int:
        """Bytes read from all inputs, read-ahead included."""
        return sum(access.bytes_read for access in self.inputs.values())

    def tree(self, most: int = tracetree.MAX_ROWS) -> AccessTree:
        """What was touched as a tree, each entry by its use, of ``most`` entries; coloured on a terminal."""
        return tracetree.access_tree(self, most)

    def summary(self) -> str:
        """A few lines for a terminal: one per input that was used, up to a bound, with counts."""
        used = [(name, access) for name, access in self.inputs.items() if access.used]
        lines = [
            f"{visible(name)}: looked up {len(a.looked_up):,}, opened {len(a.opened):,}, listed {len(a.listed):,}, "
            f"read {a.bytes_read:,} bytes, not found {len(a.missing):,}"
            for name, a in used[:MAX_ROWS]
        ]
        if len(used) > MAX_ROWS:
            lines.append(f"{len(used) - MAX_ROWS:,} more inputs were used")
        if self.missing:
            lines.append(f"beside the inputs, not found: {len(self.missing):,}")
        lines.extend(self._notes())
        return "\n".join(lines) or ("nothing was looked at" if self.inputs else "no inputs")

    def __str__(self) -> str:
        """The summary, the inputs that were not used, and the first searches that found nothing, then the others."""
        lines = [self.summary()]
        if self.unused:
            more = len(self.unused) - MAX_ROWS
            names = ", ".join(map(visible, self.unused[:MAX_ROWS]))
            lines.append(f"never used: {names}{f' and {more:,} more' if more > 0 else ''}")
        searches = sorted(self.searches, key=lambda search: search.found is not None)
        lines.extend(f"looked for {visible(str(search))}" for search in searches[:MAX_SHOWN])
        if len(searches) > MAX_SHOWN:
            lines.append(f"{len(searches) - MAX_SHOWN:,} more searches")
        return "\n".join(lines)

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        inputs = Table("input", "use", "files opened", "listed", "read", "not found", title="inputs")
        found = sorted(self.inputs.items(), key=lambda pair: pair[1].used)
        for name, each in found[:MAX_ROWS]:
            counts = (len(each.opened), len(each.listed), each.bytes_read, len(each.missing))
            cells = [Text(visible(name)), Text("used" if each.used else "never used")]
            inputs.add_row(*cells, *(f"{count:,}" for count in counts), style="" if each.used else "dim")
        searches = Table("looked for", "not in", "found as", title="searches")
        for search in sorted(self.searches, key=lambda search: search.found is not None)[:MAX_ROWS]:
            tried = "\n".join(visible(place) or "beside the inputs" for place in search.tried[:MAX_SHOWN])
            searches.add_row(Text(visible(search.name)), Text(tried), Text(visible(search.found or "nowhere")))
        parts: list[RenderableType] = [inputs, searches] if self.searches else [inputs]
        left = max(len(self.inputs) - MAX_ROWS, 0), max(len(self.searches) - MAX_ROWS, 0)
        if any(left):
            parts.append(Text(f"not shown: {left[0]:,} more inputs, {left[1]:,} more searches"))
        parts += [Text(line) for line in self._notes()]
        return Group(*parts)

    def _notes(self) -> Iterator[str]:
        if self.dropped:
            yield f"misses beyond the bound, not listed: {self.dropped:,}"
        yield from (f"fault: {visible(fault)}" for fault in self.faults)

    def to_json(self) -> str:
        """One JSON object; bytes that are not UTF-8 are escaped and come back the same."""
        return json.dumps(
            {
                "inputs": {
                    name: {
                        "looked_up": a.looked_up,
                        "opened": a.opened,
                        "listed": a.listed,
                        "read": dict(a.read),
                        "missing": a.missing,
                    }
                    for name, a in self.inputs.items()
                },
                "missing": self.missing,
                "faults": self.faults,
                "dropped": self.dropped,
                "searches": [[search.name, search.tried, search.found] for search in self.searches],
            }
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> AccessTrace:
        """Read what :meth:`to_json` wrote; :class:`InvalidValue` when it is something else."""
        try:
            data = json.loads(text)
            inputs = {name: _input_access(access) for name, access in data.pop("inputs").items()}
            missing, faults = _strings(data.pop("missing")), _strings(data.pop("faults"))
            dropped = int(data.pop("dropped"))
            searches = tuple(map(_search, data.pop("searches", [])))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidValue(f"not an access trace: {error!r}", path="trace") from error
        if data:
            raise InvalidValue(f"unknown fields: {', '.join(sorted(data))}", path="trace")
        return cls(inputs, missing, faults, dropped, searches)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


class Recorder:
    """Takes down accesses by inode number while a view is served; :meth:`trace` makes the value.

    What exists is bounded by the inodes the view knows anyway, misses by ``max_missing``. The
    sets are open to the transport: one ``add`` per request is all it costs.
    """

    __slots__ = ("_max_missing", "_missing", "_view", "dropped", "faults", "listed", "looked_up", "opened", "read")

    def __init__(self, view: View, max_missing: int = MAX_MISSING) -> None:
        self._view = view
        self._max_missing = max_missing
        # Ordered, for the order is what a search consists of.
        self._missing: dict[tuple[int, bytes], None] = {}
        self.looked_up: set[int] = set()
        self.opened: set[int] = set()
        self.listed: set[int] = set()
        self.read: dict[int, int] = {}
        self.faults: list[str] = []
        self.dropped = 0

    def miss(self, parent: int, name: bytes) -> None:
        """``name`` was looked for in the directory ``parent`` and is not there."""
        key = (parent, name)
        if key in self._missing:
            return
        if len(self._missing) >= self._max_missing:
            self.dropped += 1
            return
        self._missing[key] = None

    def fault(self, text: str) -> None:
        """The view itself failed to answer; kept once, up to a bound."""
        if len(self.faults) < MAX_FAULTS and text not in self.faults:
            self.faults.append(text)

    def trace(self) -> AccessTrace:
        """Everything so far as a value."""
        names = [entry.name for entry in self._view.readdir(ROOT)][2:]
        looked_up, opened, listed = (self._by_input(s) for s in (self.looked_up, self.opened, self.listed))
        read: dict[bytes, dict[str, int]] = {}
        for ino, count in self.read.items():
            name, path = self._split(self._view.path(ino))
            read.setdefault(name, {})[path] = count
        missing: dict[bytes, list[str]] = {}
        beside: list[str] = []
        for parent, name in self._missing:
            if parent == ROOT:
                beside.append(_text(name))
            else:
                top, path = self._split((*self._view.path(parent), name))
                missing.setdefault(top, []).append(path)
        inputs = {
            _text(name): InputAccess(
                looked_up=tuple(looked_up.get(name, ())),
                opened=tuple(opened.get(name, ())),
                listed=tuple(listed.get(name, ())),
                read=dict(sorted(read.get(name, {}).items())),
                missing=tuple(sorted(missing.get(name, ()))),
            )
            for name in names
        }
        return AccessTrace(inputs, tuple(sorted(beside)), tuple(self.faults), self.dropped, self._searches())

    def _searches(self) -> tuple[Search, ...]:
        tried: dict[bytes, list[str]] = {}
        for parent, name in self._missing:
            tried.setdefault(name, []).append(_text(b"/".join(self._view.path(parent))))
        found: dict[bytes, str] = {}
        for path in map(self._view.path, sorted(self.looked_up)):
            if path and path[-1] in tried:
                found.setdefault(path[-1], _text(b"/".join(path)))
        return tuple(Search(_text(name), tuple(places), found.get(name)) for name, places in tried.items())

    def _by_input(self, inodes: set[int]) -> dict[bytes, list[str]]:
        table: dict[bytes, list[str]] = {}
        for ino in inodes:
            if ino != ROOT:
                name, path = self._split(self._view.path(ino))
                table.setdefault(name, []).append(path)
        for paths in table.values():
            paths.sort()
        return table

    @staticmethod
    def _split(names: tuple[bytes, ...]) -> tuple[bytes, str]:
        return names[0], _text(b"/".join(names[1:]))


def write_trace(trace: AccessTrace, path: str) -> None:
    """Write the JSON form to ``path`` in one step: readers see nothing or all of it."""
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(trace.to_json())
    os.replace(temporary, path)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _input_access(data: dict[str, Any]) -> InputAccess:
    access = InputAccess(
        looked_up=_strings(data.pop("looked_up")),
        opened=_strings(data.pop("opened")),
        listed=_strings(data.pop("listed")),
        read={str(path): int(count) for path, count in data.pop("read").items()},
        missing=_strings(data.pop("missing")),
    )
    if data:
        raise ValueError(f"unknown fields {sorted(data)}")
    return access


def _search(data: Any) -> Search:
    name, tried, found = data
    if not isinstance(name, str) or not isinstance(found, str | None):
        raise TypeError("a search is a name, the places, and where it was found or null")
    return Search(name, _strings(tried), found)


def _strings(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("a list of strings is expected")
    return tuple(values)


register(AccessTrace, plain)
