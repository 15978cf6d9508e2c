"""One tree of a view, and what is known of it beyond its bytes: needles, accesses, what must not be shown."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from tvixbuild_nb.build import Recorded
from tvixbuild_nb.castore import Tree
from tvixbuild_nb.castore.below import Needles
from tvixbuild_nb.fs import InputAccess
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.sandbox import Origin, RunTree
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.tree.marks import Touched

MAX_NEEDLE = 60
MAX_NEEDLES = 20


@dataclass(frozen=True)
class Root:
    """One tree of a view. ``before``: what it is compared with.

    ``needles``: those found in all of it; ``finder``: finds out which entries hold them. ``accesses`` are relative to
    what lies ``above``. ``hides``: values of secrets are in no text of the view. ``recorded``: when and where, of a
    recorded run's.
    """

    name: str
    tree: Tree | None
    before: Tree | None = None
    needles: tuple[str, ...] = ()
    finder: Needles | None = None
    accesses: InputAccess | None = None
    above: tuple[bytes, ...] = ()
    hides: tuple[Redactor, ...] = ()
    recorded: Recorded | None = None

    @classmethod
    def of(cls, tree: Tree, before: Tree | None = None, *, name: str | None = None) -> Root:
        """A tree with what the run knows of it, if it is one of a run's."""
        name = os.fsdecode(tree.name_bytes) or "." if name is None else name
        origin = tree.origin if isinstance(tree, RunTree) else Origin()
        hides = tuple(known.origin.redactor for known in (tree, before) if isinstance(known, RunTree))
        return cls(
            name,
            tree,
            before,
            origin.needles,
            origin.finder if origin.needles else None,
            origin.accesses,
            tuple(map(os.fsencode, tree.parts)),
            tuple(hide for hide in hides if hide),
            origin.recorded,
        )

    @cached_property
    def touched(self) -> Touched | None:
        """What a build did with the entries; None where nobody took it down."""
        return None if self.accesses is None else Touched(self.accesses, self.above, self.shown)

    @property
    def compared(self) -> bool:
        """Whether there is another tree to tell the differences from."""
        return self.before is not None

    @property
    def marked(self) -> bool:
        """Whether there is anything to be said of an entry but what it is."""
        return self.compared or self.finder is not None or self.accesses is not None

    def hidden(self, text: str) -> str:
        """``text`` without the values of secrets."""
        for redactor in self.hides:
            text = redactor.text(text)
        return text

    def shown(self, text: str | bytes, keep: str = "") -> str:
        """``text`` as it may be looked at: without secrets, and harmless."""
        if self.hides:
            text = self.hidden(text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text)
        return visible(text, keep=keep)

    def shown_beginning(self, text: str, keep: str = "") -> str:
        """The beginning of something longer, see :meth:`shown`: up to where a secret may have been cut."""
        for redactor in self.hides:
            text = redactor.stream().feed(text)
        return visible(text, keep=keep)

    @property
    def hidden_reach(self) -> int:
        """Bytes of the longest secret."""
        return 4 * max((redactor.longest for redactor in self.hides), default=0)

    def hidden_places(self, data: bytes) -> list[tuple[int, int]]:
        """Where secrets stand in ``data``: first byte and end of each."""
        if not self.hides:
            return []
        text = data.decode("utf-8", "surrogateescape")
        ends = (place[:2] for redactor in self.hides for place in redactor.places(text))
        return [(_bytes(text[:begin]), _bytes(text[:end])) for begin, end in ends]

    def needle_names(self, found: Collection[int]) -> list[str]:
        """The needles of these indices, the first twenty, shortened."""
        names = [shortened(self.shown(self.needles[index]), MAX_NEEDLE) for index in sorted(found)[:MAX_NEEDLES]]
        return names + [f"and {len(found) - MAX_NEEDLES} more"] * (len(found) > MAX_NEEDLES)


def shortened(text: str, length: int) -> str:
    """``text``, or its beginning with an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
