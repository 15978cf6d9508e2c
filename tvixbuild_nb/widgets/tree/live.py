"""A tree in a running notebook: rows by pages, contents when looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import traitlets

from tvixbuild_nb.castore import DirectoryNode, FileNode
from tvixbuild_nb.castore.progress import Silent
from tvixbuild_nb.errors import InvalidValue, NotFound, TvixBuildError
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front, lean
from tvixbuild_nb.widgets.tree.content import HEX_PAGE, details, preview, read
from tvixbuild_nb.widgets.tree.data import Place, Places, Root, first_data, page_data, row_data
from tvixbuild_nb.widgets.tree.sums import Search, Totals

# Seconds that one call may work.
PATIENCE = 0.05
MAX_HITS = 200
MAX_DOWNLOAD = 64 * 1024 * 1024
PIECE = 1024 * 1024


class TreeView(LiveView):
    """The rows of one or more trees, asked for as they come into sight."""

    _esm = lean(front("js", "treerows", "treegrid", "treepane", "tree"))
    _css = lean(front("css", "tree"))
    first = traitlets.Dict().tag(sync=True)
    compared = traitlets.Bool().tag(sync=True)
    marked = traitlets.Bool().tag(sync=True)
    everything = traitlets.Bool().tag(sync=True)

    def __init__(self, roots: Sequence[Root], places: Places | None = None) -> None:
        self._places = Places(roots) if places is None else places
        self._totals = Totals()
        self._search: tuple[str, Search] | None = None
        self._download: tuple[tuple[int, ...], BinaryIO] | None = None
        super().__init__(
            first=first_data(self._places),
            compared=any(root.compared for root in roots),
            marked=any(root.compared or root.needles or root.accesses is not None for root in roots),
        )

    @callable_from_front
    def show(self, everything: bool) -> None:
        """In a comparison, show also what is the same, or not; every displayed view follows."""
        self._places = Places(self._places.roots, everything=bool(everything))
        self._search = None
        self.everything = bool(everything)

    @callable_from_front
    def page(self, at: list[int], start: int) -> dict[str, Any]:
        """A page of rows of the directory at this place; of the roots where ``at`` is empty."""
        if not at:
            return first_data(self._places)
        place = self._place(at)
        if not place.is_directory:
            raise InvalidValue(f"no directory: {at}", path="at")
        return page_data(self._places, place, max(0, start))

    @callable_from_front
    def jump(self, at: list[int], prefix: str, after: int) -> int | None:
        """The next entry behind position ``after`` whose name begins so, in either case, round the end; or None."""
        wanted = prefix.casefold()
        names: Iterable[str | bytes] = [root.name for root in self._places.roots]
        if at:
            names = self._places.entries(self._place(at)).names()
        first = None
        for index, name in enumerate(names):
            if visible(name).casefold().startswith(wanted):
                if index > after:
                    return index
                first = index if first is None else first
        return first

    @callable_from_front
    def find(self, text: str, go_on: bool) -> dict[str, Any]:
        """Entries whose names match, some at a time: ``go_on`` continues the last search for the same text."""
        if self._search is None or self._search[0] != text or not go_on:
            self._search = (text, Search(self._places, text))
        search = self._search[1]
        hits = search.step(PATIENCE, MAX_HITS)
        rows = [{**row_data(hit), "at": list(hit.at), "name": visible(b"/".join(hit.path))} for hit in hits]
        return {"rows": rows, "looked": search.looked_at, "done": search.done}

    @callable_from_front
    def total(self, at: list[int]) -> int | None:
        """Bytes of everything below; None when it takes longer: ask again."""
        place = self._place(at)
        node = place.shown
        return self._totals.step(place.castore, node, PATIENCE) if isinstance(node, DirectoryNode) else None

    @callable_from_front
    def look(self, at: list[int]) -> tuple[dict[str, Any], list[bytes]]:
        """An entry's facts and what to show of its contents."""
        place = self._place(at)
        facts = details(place)
        try:
            shown, buffers = preview(place)
        except TvixBuildError as error:
            shown, buffers = {"form": "none", "problem": visible(str(error))}, []
        return {**facts, **shown}, buffers

    @callable_from_front
    def hex(self, at: list[int], offset: int) -> tuple[dict[str, Any], list[bytes]]:
        """A page of bytes for a hex dump."""
        place, node = self._file(at)
        offset = max(0, min(offset, node.size))
        return {"offset": offset, "size": node.size}, [read(place.castore, node, offset, HEX_PAGE)]

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
                self.tell("exported", {"at": at, "dest": visible(dest)})
            except (TvixBuildError, OSError) as error:
                self.tell("exported", {"at": at, "error": visible(str(error))})

        threading.Thread(target=work, name="export", daemon=True).start()

    def _place(self, at: list[int]) -> Place:
        return self._places.place(at)

    def _file(self, at: list[int]) -> tuple[Place, FileNode]:
        place = self._place(at)
        node = place.shown
        if not isinstance(node, FileNode):
            raise InvalidValue(f"no file: {at}", path="at")
        return place, node
