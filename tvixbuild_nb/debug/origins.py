"""Where two runs parted: the first file in their scratch directories that is not the same, by when it was written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path

from tvixbuild_nb.castore import Castore, TreeDiff, tree_diff
from tvixbuild_nb.errors import IngestError


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that was written first of those that differ.

    ``path``: inside the sandbox; ``output``: whether it lies in an output; ``seconds``: after the start of the run;
    ``diff``: how it differs, None when only one run wrote it; ``others``: how many more files differ.
    """

    path: str
    output: bool
    seconds: float
    diff: TreeDiff | None
    others: int

    @property
    def headline(self) -> str:
        """It in one line."""
        kind = "a file of an output" if self.output else "an intermediate file"
        alone = " by one of the runs only" if self.diff is None else ""
        more = f"; {self.others} more differ" if self.others else ""
        return f"the first that differs is {self.path}, {kind}, written{alone} after {self.seconds:.2f} s{more}"


@dataclass(frozen=True, slots=True)
class ScratchPlace:
    """One scratch directory of two runs: its path inside, and where each run left it on the host."""

    inside: str
    before: Path
    after: Path


def first_difference(
    castore: Castore, places: Sequence[ScratchPlace], outputs: Sequence[str], started: tuple[float, float]
) -> Origin | None:
    """What differs and was written first in the later run, None when nothing does.

    Parameters: ``started``, seconds since the epoch when each run began. What has a time that was set by hand
    counts as written when that was done. Files are put into ``castore`` to be compared. OSError for what cannot be
    read.
    """
    found = sorted(
        (_when(before, after, started), inside, before, after)
        for place in places
        for inside, before, after in _differing(place)
    )
    if not found:
        return None
    seconds, inside, before, after = found[0]
    return Origin(
        f"/{inside}",
        any(inside == output or inside.startswith(f"{output}/") for output in outputs),
        seconds,
        None if before is None or after is None else _compared(castore, before, after),
        len(found) - 1,
    )


def _when(before: str | None, after: str | None, started: tuple[float, float]) -> float:
    """Seconds from a run's start to when it was written, or its time was set to one before that or ahead of it."""
    begun, path = (started[0], before) if after is None else (started[1], after)
    assert path is not None
    status = os.lstat(path)
    # A file system's clock may be a tick behind.
    written = begun - 0.1 <= status.st_mtime <= status.st_ctime
    return max((status.st_mtime if written else status.st_ctime) - begun, 0.0)


def _compared(castore: Castore, before: str, after: str) -> TreeDiff | None:
    try:
        nodes = [castore.ingest(path) for path in (before, after)]
    except IngestError:
        return None  # it is no file that could be stored
    return tree_diff(castore.tree(nodes[0]), castore.tree(nodes[1]))


def _differing(place: ScratchPlace) -> Iterator[tuple[str, str | None, str | None]]:
    """(path inside, path before, path after) of what is no directory and not the same in both; None where it is not.

    Only what a walk came to is ever opened: a directory of one run may be a symlink to the host's files in the other.
    """
    names = set(_entries(place.before)), set(_entries(place.after))
    for name in sorted(names[0] | names[1]):
        before = os.path.join(place.before, name) if name in names[0] else None
        after = os.path.join(place.after, name) if name in names[1] else None
        if before is None or after is None or not _same(before, after):
            yield f"{place.inside}/{name}", before, after


def _entries(top: Path) -> Iterator[str]:
    for directory, names, files in os.walk(top):
        links = [name for name in names if os.path.islink(os.path.join(directory, name))]
        for name in (*files, *links):
            yield os.path.relpath(os.path.join(directory, name), top)


def _same(before: str, after: str) -> bool:
    modes = [os.lstat(path).st_mode for path in (before, after)]
    if stat.S_IFMT(modes[0]) != stat.S_IFMT(modes[1]) or (modes[0] ^ modes[1]) & stat.S_IXUSR:
        return False
    if stat.S_ISLNK(modes[0]):
        return os.readlink(before) == os.readlink(after)
    return not stat.S_ISREG(modes[0]) or cmp(before, after, shallow=False)
