"""What changed from one request to another, field by field, in few words. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, TypeVar, overload

from tvixbuild_nb.castore.nodes import DirectoryNode, Node, SymlinkNode, change_size
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.request.buildrequest import BuildRequest
from tvixbuild_nb.request.redactor import NOTHING_SECRET, Redactor

# Characters of a shown value; of a longer one the part around the first difference.
WIDTH = 48
_BEFORE = 12

Entry = TypeVar("Entry")
Text = TypeVar("Text", str, bytes)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: ``field`` such as ``environment_vars[PATH]``; ``old``, ``new`` short texts that are safe to show.

    None as ``old``: it is new; None as ``new``: it is gone. ``size`` orders changes, from small to large: the entries
    of trees that it concerns, then the bytes or characters.
    """

    field: str
    old: str | None
    new: str | None
    size: tuple[int, int] = dataclass_field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.field}: + {self.new}"
        if self.new is None:
            return f"{self.field}: - {self.old}"
        return f"{self.field}: {self.old} -> {self.new}"


@dataclass(frozen=True, slots=True)
class Changes(Sequence[Change]):
    """The differences of two values, the smallest first; empty when there are none."""

    rows: tuple[Change, ...]

    @classmethod
    def of(cls, changes: Iterable[Change]) -> Changes:
        """In the order of their sizes; of the same size as they come."""
        return cls(tuple(sorted(changes, key=lambda change: change.size)))

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Change, ...]: ...
    def __getitem__(self, index: int | slice) -> Change | tuple[Change, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def to_dicts(self) -> list[dict[str, str | None]]:
        """The rows as JSON data."""
        return [{"field": row.field, "old": row.old, "new": row.new} for row in self.rows]

    def __str__(self) -> str:
        return "\n".join(map(str, self.rows)) or "no difference"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(Changes, plain)


def compare_requests(
    old: BuildRequest, new: BuildRequest, *, hide: tuple[Redactor, Redactor] = (NOTHING_SECRET, NOTHING_SECRET)
) -> tuple[Change, ...]:
    """The differences in the order of the fields, empty when the requests are equal.

    ``hide``: what takes secrets out of the texts, of the old request and of the new one; both are applied to both.
    """
    return tuple(_Comparison(old, new, hide).changes())


class _Comparison:
    def __init__(self, old: BuildRequest, new: BuildRequest, hide: tuple[Redactor, Redactor]) -> None:
        self._old = old
        self._new = new
        self._hide = hide

    def changes(self) -> Iterator[Change]:
        old, new = self._old, self._new
        yield from self._value("command_args", shlex.join(old.command_args), shlex.join(new.command_args))
        yield from self._mapping("inputs", old.inputs, new.inputs, lambda _, node: _node(node), change_size)
        variables = old.environment_vars, new.environment_vars
        yield from self._mapping("environment_vars", *variables, self._variable, text_size)
        files = old.additional_files, new.additional_files
        yield from self._mapping("additional_files", *files, _contents, text_size)
        for name in ("working_dir", "inputs_dir"):
            yield from self._value(name, f"/{getattr(old, name)}", f"/{getattr(new, name)}")
        for name in ("scratch_paths", "outputs", "refscan_needles"):
            yield from self._list(name, getattr(old, name), getattr(new, name))
        yield from self._constraints()

    def _constraints(self) -> Iterator[Change]:
        old, new = self._old.constraints, self._new.constraints
        if old is None or new is None:
            if old is not new:
                yield Change("constraints", "none" if old is None else "some", "none" if new is None else "some")
            return
        for name in ("system", "min_memory", "network_access", "provide_bin_sh"):
            yield from self._value(f"constraints.{name}", str(getattr(old, name)), str(getattr(new, name)))
        name = "available_ro_paths"
        yield from self._list(f"constraints.{name}", old.available_ro_paths, new.available_ro_paths)

    def _value(self, field: str, old: str, new: str) -> Iterator[Change]:
        if old != new:
            yield text_change(field, self._hidden(old), self._hidden(new))

    def _list(self, field: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
        for text in old:
            if text not in new:
                yield text_change(field, self._hidden(text), None)
        for text in new:
            if text not in old:
                yield text_change(field, None, self._hidden(text))
        if old != new and sorted(old) == sorted(new):
            yield Change(field, "one order", "another")

    def _mapping(
        self,
        field: str,
        old: Mapping[str, Entry],
        new: Mapping[str, Entry],
        words: Callable[[str, Entry], str],
        size: Callable[[Entry | None, Entry | None], tuple[int, int]],
    ) -> Iterator[Change]:
        for name in sorted(old.keys() | new.keys()):
            before, after = old.get(name), new.get(name)
            if before == after:
                continue
            texts = [None if entry is None else self._hidden(words(name, entry)) for entry in (before, after)]
            where = f"{field}[{shortened(self._hidden(name))[0]}]"
            yield text_change(where, texts[0], texts[1], size=size(before, after))

    def _variable(self, name: str, value: bytes) -> str:
        for redactor in self._hide:
            if name in redactor.names:
                return redactor.value(name, value)
        return value.decode("utf-8", "backslashreplace")

    def _hidden(self, text: str) -> str:
        for redactor in self._hide:
            text = redactor.text(text)
        return text


def _node(node: Node) -> str:
    if isinstance(node, SymlinkNode):
        return f"symlink to {node.target.decode('utf-8', 'backslashreplace')}"
    if isinstance(node, DirectoryNode):
        return f"directory {str(node.digest)[:12]}"
    return f"{'executable' if node.executable else 'file'} {str(node.digest)[:12]} ({node.size} bytes)"


def text_change(field: str, old: str | None, new: str | None, size: tuple[int, int] | None = None) -> Change:
    """The change of a text (None: it is not there), cut down to what is around where both part.

    ``size`` None: the characters between their common beginning and their common end.
    """
    shown = iter(shortened(*(text for text in (old, new) if text is not None)))
    before, after = (None if text is None else next(shown) for text in (old, new))
    return Change(field, before, after, text_size(old, new) if size is None else size)


def text_size(old: Text | None, new: Text | None) -> tuple[int, int]:
    """The size of a change of text: what is between the common beginning and the common end of both."""
    if not old or not new:
        return 0, len(old or new or "")
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    return 0, max(len(old), len(new)) - start - end


def _common(old: Text, new: Text) -> int:
    """How much of the beginning of both is the same, found by halving: comparing slices is quicker than a loop."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _contents(_: str, data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def shortened(*texts: str) -> tuple[str, ...]:
    """The texts, one line each and nothing in them that cannot be seen; of long ones what is around where they part."""
    start = 0
    if len(texts) > 1 and any(len(text) > WIDTH for text in texts):
        parting = next((n for n, pair in enumerate(zip(*texts, strict=False)) if len(set(pair)) > 1), None)
        start = max(0, (min(map(len, texts)) if parting is None else parting) - _BEFORE)
    return tuple(_short(text, start) for text in texts)


def _short(text: str, start: int) -> str:
    cut = text[start : start + WIDTH]
    shown = cut if cut.isprintable() else repr(cut)[1:-1]
    return ("…" if start else "") + shown + ("…" if start + WIDTH < len(text) else "")
