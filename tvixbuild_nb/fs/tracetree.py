"""What a build touched of its inputs as a tree, each entry by its use; coloured on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.escaping import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tvixbuild_nb.fs.trace import InputAccess

Use = Literal["read", "opened", "listed", "looked up", "not found", "never used", "on the way"]
MAX_ROWS = 200
_STYLES: Mapping[Use, str] = {
    "read": "green", "opened": "green", "listed": "cyan", "looked up": "yellow", "not found": "red",
    "never used": "dim", "on the way": "",
}  # fmt: skip


class Traced(Protocol):
    """What the tree is made of: accesses by the input's name."""

    @property
    def inputs(self) -> Mapping[str, InputAccess]: ...


@dataclass(frozen=True, slots=True)
class AccessRow:
    """One entry: how many directories it lies below (0: an input), its name, its use, bytes that were read of it."""

    depth: int
    name: str
    use: Use
    read: int = 0

    @property
    def words(self) -> str:
        """Its use in words, to stand behind the name; nothing for a directory that was only walked through."""
        if self.use == "on the way":
            return ""
        return f"  ({self.use} {self.read:,} bytes)" if self.use == "read" else f"  ({self.use})"


@dataclass(frozen=True, slots=True)
class AccessTree:
    """Rows from the top down, inputs in order, what is below each by name; ``left_out``: how many more there are."""

    rows: tuple[AccessRow, ...]
    left_out: int = 0

    def __str__(self) -> str:
        return "\n".join([f"{'  ' * row.depth}{visible(row.name)}{row.words}" for row in self.rows] + self._end())

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        lines = []
        for row in self.rows:
            style = _STYLES[row.use]
            line = Text("  " * row.depth).append(visible(row.name), style)
            lines.append(line.append(row.words, f"dim {style}".rstrip()))
        return Text("\n").join(lines + [Text(line) for line in self._end()])

    def _end(self) -> list[str]:
        if self.left_out:
            return [f"and {self.left_out:,} more, not shown"]
        return [] if self.rows else ["no inputs"]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(AccessTree, plain)


def access_tree(trace: Traced, most: int = MAX_ROWS) -> AccessTree:
    """The tree of ``trace``, its first ``most`` entries; what was not touched below an input is not in it."""
    rows: list[AccessRow] = []
    count = 0
    for name, access in trace.inputs.items():
        for row in _rows(name, access):
            count += 1
            if len(rows) < most:
                rows.append(row)
    return AccessTree(tuple(rows), count - len(rows))


def _rows(name: str, access: InputAccess) -> Iterator[AccessRow]:
    uses: dict[str, Use] = dict.fromkeys(access.looked_up, "looked up")
    uses.update(dict.fromkeys(access.listed, "listed"))
    uses.update(dict.fromkeys(access.opened, "opened"))
    uses.update(dict.fromkeys((path for path, count in access.read.items() if count), "read"))
    uses.update(dict.fromkeys(access.missing, "not found"))
    uses.setdefault("", "looked up")
    # A directory with something below it was at least passed.
    passed = {path.rpartition("/")[0] for path in uses if path}
    for path in sorted(uses, key=lambda path: path.split("/") if path else []):
        use = uses[path]
        if use == "looked up" and path in passed:
            use = "on the way"
        if not path and not access.used:
            use = "never used"
        parts = path.split("/") if path else []
        yield AccessRow(len(parts), parts[-1] if parts else name, use, access.read.get(path, 0))
