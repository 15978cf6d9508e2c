"""What changed from one request to another, field by field, in few words. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tvixbuild_nb.castore.nodes import DirectoryNode, Node, SymlinkNode
from tvixbuild_nb.request.buildrequest import BuildRequest
from tvixbuild_nb.request.redactor import NOTHING_SECRET, Redactor

# Characters of a shown value; of a longer one the part around the first difference.
WIDTH = 48
_BEFORE = 12

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: ``field`` such as ``environment_vars[PATH]``; ``old``, ``new`` short texts that are safe to show.

    None as ``old``: it is new; None as ``new``: it is gone.
    """

    field: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.field}: + {self.new}"
        if self.new is None:
            return f"{self.field}: - {self.old}"
        return f"{self.field}: {self.old} -> {self.new}"


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
        yield from self._mapping("inputs", old.inputs, new.inputs, lambda _, node: _node(node))
        yield from self._mapping("environment_vars", old.environment_vars, new.environment_vars, self._variable)
        yield from self._mapping("additional_files", old.additional_files, new.additional_files, _contents)
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
            yield Change(field, *shortened(self._hidden(old), self._hidden(new)))

    def _list(self, field: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
        for text in old:
            if text not in new:
                yield Change(field, shortened(self._hidden(text))[0], None)
        for text in new:
            if text not in old:
                yield Change(field, None, shortened(self._hidden(text))[0])
        if old != new and sorted(old) == sorted(new):
            yield Change(field, "one order", "another")

    def _mapping(
        self,
        field: str,
        old: Mapping[str, Entry],
        new: Mapping[str, Entry],
        words: Callable[[str, Entry], str],
    ) -> Iterator[Change]:
        for name in sorted(old.keys() | new.keys()):
            before, after = old.get(name), new.get(name)
            if before == after:
                continue
            shown = [None if entry is None else self._hidden(words(name, entry)) for entry in (before, after)]
            known = [text for text in shown if text is not None]
            short = iter(shortened(*known))
            texts = [None if text is None else next(short) for text in shown]
            yield Change(f"{field}[{shortened(self._hidden(name))[0]}]", texts[0], texts[1])

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
