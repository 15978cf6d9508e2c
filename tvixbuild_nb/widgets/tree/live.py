"""A tree in a running notebook: rows by pages, contents when looked at."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import traitlets

from tvixbuild_nb.castore import FileNode
from tvixbuild_nb.castore.progress import Silent
from tvixbuild_nb.errors import InvalidValue, NotFound, TvixBuildError
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front, lean, packed
from tvixbuild_nb.widgets.tree.content import details, hex_page, preview
from tvixbuild_nb.widgets.tree.needles import Marks
from tvixbuild_nb.widgets.tree.orders import STORED, unsummed
from tvixbuild_nb.widgets.tree.places import Place, Places
from tvixbuild_nb.widgets.tree.roots import Root
from tvixbuild_nb.widgets.tree.rows import first_data, page_data, row_data
from tvixbuild_nb.widgets.tree.search import Search

# Seconds that one call may work.
PATIENCE = 0.05
MAX_HITS = 200
MAX_DOWNLOAD = 64 * 1024 * 1024
PIECE = 1024 * 1024


PARTS = ("treerows", "treecells", "treekeys", "treegrid", "treecontents", "treepane", "treefind", "treesort", "tree")


class TreeView(LiveView):
    """The rows of one or more trees, asked for as they come into sight."""

    _esm = packed(front("js", *PARTS))
    _css = lean(front("css", "tree"))
    first = traitlets.Dict().tag(sync=True)
    comparison = traitlets.Unicode().tag(sync=True)
    marked = traitlets.Bool().tag(sync=True)
    everything = traitlets.Bool().tag(sync=True)
    needles = traitlets.Bool().tag(sync=True)

    def __init__(self, roots: Sequence[Root], places: Places | None = None) -> None:
        self._places = Places(roots) if places is None else places
        self._marks = Marks()
        self._search: tuple[tuple[str, bool], Search] | None = None
        self._download: tuple[tuple[int, ...], BinaryIO] | None = None
        super().__init__(
            first=first_data(self._places),
            comparison=self._places.comparison,
            marked=any(root.marked for root in roots),
            needles=any(root.finder is not None for root in roots),
        )

    @callable_from_front
    def show(self, everything: bool) -> None:
        """In a comparison, show also what is the same, or not; every displayed view follows."""
        self._places = Places(self._places.roots, everything=bool(everything), totals=self._places.totals)
        self._search = None
        self.everything = bool(everything)

    @callable_from_front
    def page(self, at: list[int], start: int, order: str = STORED) -> dict[str, Any]:
        """A page of rows of the directory at this place, in that order; of the roots where ``at`` is empty."""
        if not at:
            return first_data(self._places, order)
        return page_data(self._places, self._directory(at), max(0, start), order)

    @callable_from_front
    def sum_for_order(self, at: list[list[int]]) -> int:
        """Go on summing the directories within these, to put them in order by size; how many are left."""
        self._places.forget_orders()
        deadline = time.monotonic() + PATIENCE
        totals, left = self._places.totals, 0
        for place in map(self._directory, at):
            for node in unsummed(self._places.entries(place), totals):
                rest = deadline - time.monotonic()
                # What cannot be read has no sum: it is told of where somebody looks into it.
                with contextlib.suppress(TvixBuildError):
                    left += rest <= 0 or totals.step(place.castore, node, rest) is None
        return left

    @callable_from_front
    def ranks(self, at: list[list[int]], order: str) -> list[int]:
        """Which of its siblings each of these entries is, in that order."""
        return [
            place[-1]
            if len(place) == 1 or order == STORED
            else self._places.order(self._directory(place[:-1]), order).index(place[-1])
            for place in at
        ]

    @callable_from_front
    def jump(self, at: list[int], prefix: str, after: int, order: str = STORED) -> int | None:
        """The next entry behind line ``after`` whose name begins so, in either case, round the end; or None."""
        wanted = prefix.casefold()
        names: Sequence[str | bytes] = [root.name for root in self._places.roots]
        lines: Sequence[int] = range(len(names))
        shown: Callable[[str | bytes], str] = visible
        if at:
            place = self._directory(at)
            names, shown = list(self._places.entries(place).names()), place.root.shown
            lines = self._places.order(place, order)
        first = None
        for line, index in enumerate(lines):
            if shown(names[index]).casefold().startswith(wanted):
                if line > after:
                    return line
                first = line if first is None else first
        return first

    @callable_from_front
    def find(self, text: str, go_on: bool, needles: bool = False) -> dict[str, Any]:
        """Entries whose names match, some at a time: ``go_on`` continues the last search for the same text.

        ``needles``: only files and symlinks that hold one.
        """
        if self._search is None or self._search[0] != (text, needles) or not go_on:
            self._search = ((text, needles), Search(self._places, text, needles=needles))
        search = self._search[1]
        hits = search.step(PATIENCE, MAX_HITS)
        rows = [{**row_data(hit), "at": list(hit.at), "name": hit.root.shown(b"/".join(hit.path))} for hit in hits]
        return {"rows": rows, "looked": search.looked_at, "unread": search.unread, "done": search.done}

    @callable_from_front
    def marks(self, at: list[list[int]]) -> dict[str, Any]:
        """Which needles these entries hold; null for those not looked at yet: ask again, unless ``enough`` was read."""
        return self._marks.step([self._place(place) for place in at], PATIENCE)

    @callable_from_front
    def total(self, at: list[int]) -> int | None:
        """Bytes of everything below; None when it takes longer: ask again."""
        place = self._place(at)
        return self._places.totals.step(place.castore, place.shown, PATIENCE)

    @callable_from_front
    def look(self, at: list[int]) -> tuple[dict[str, Any], list[bytes]]:
        """An entry's facts and what to show of its contents."""
        place = self._place(at)
        facts = details(place)
        try:
            shown, buffers = preview(place)
        except (TvixBuildError, OSError) as error:
            shown, buffers = {"form": "none", "problem": place.root.shown(str(error))}, []
        return {**facts, **shown}, buffers

    @callable_from_front
    def hex(self, at: list[int], offset: int) -> tuple[dict[str, Any], list[bytes]]:
        """A page of bytes for a hex dump."""
        place, node = self._file(at)
        return hex_page(place, node, max(0, min(offset, node.size)))

    @callable_from_front
    def piece(self, at: list[int], offset: int) -> tuple[dict[str, Any], list[bytes]]:
        """A piece of a download, in order from the start; the last one only when all of it is what its digest says."""
        place, node = self._file(at)
        if node.size > MAX_DOWNLOAD:
            raise InvalidValue(
                f"{node.size} bytes are too many for a download", path="size", hint="export it to disk instead"
            )
        if offset == 0 or self._download is None or self._download[0] != place.at:
            stream = place.castore.blobs.open_read(node.digest)
            if stream is None:
                raise NotFound("the store does not hold these contents", path=str(node.digest))
            if self._download is not None:
                self._download[1].close()
            self._download = (place.at, stream)
        stream = self._download[1]
        if stream.tell() != offset:
            stream.seek(offset)
        data = stream.read(PIECE)
        done = offset + len(data) >= node.size
        if done:
            stream.close()
            self._download = None
        return {"done": done}, [data]

    @callable_from_front
    def export(self, at: list[int], dest: str) -> None:
        """Write the entry to ``dest``, as the kernel sees it, beside everything else; then tells ``exported``."""
        if not dest.strip() or "\0" in dest:
            raise InvalidValue("where to? a path that does not exist yet", path="dest")
        place = self._place(at)

        def work() -> None:
            try:
                place.castore.export(place.shown, dest, progress=Silent())
                self.tell("exported", {"at": at, "dest": place.root.shown(dest)})
            except (TvixBuildError, OSError) as error:
                self.tell("exported", {"at": at, "error": place.root.shown(str(error))})

        threading.Thread(target=work, name="export", daemon=True).start()

    def _place(self, at: list[int]) -> Place:
        return self._places.place(at)

    def _directory(self, at: list[int]) -> Place:
        place = self._place(at)
        if not place.is_directory:
            raise InvalidValue(f"no directory: {at}", path="at")
        return place

    def _file(self, at: list[int]) -> tuple[Place, FileNode]:
        place = self._place(at)
        node = place.shown
        if not isinstance(node, FileNode):
            raise InvalidValue(f"no file: {at}", path="at")
        return place, node
