"""Outputs of a build: found without leaving the scratch directories, stored, scanned for needles."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tvixbuild_nb.build.result import BuildOutput
from tvixbuild_nb.build.service import CancelToken
from tvixbuild_nb.build.stoppable import Stoppable
from tvixbuild_nb.castore.castore import Castore
from tvixbuild_nb.castore.paths import ingest_path
from tvixbuild_nb.errors import IngestError, OutputError
from tvixbuild_nb.keeper.trees import OPEN_DIRECTORY

MAX_WRITTEN = 200


class MissingOutputs(OutputError):
    """Outputs that the build did not write; ``written`` lists what it wrote instead."""

    def __init__(self, paths: Sequence[str], written: tuple[str, ...]) -> None:
        instead = ", ".join(written[:10]) + (", ..." if len(written) > 10 else "")
        super().__init__(
            f"the build ended well but did not write {', '.join(paths)}; it wrote {instead or 'nothing at all'}",
            path=paths[0],
            stage="ingest",
            hint="the paths of outputs are relative to the root inside: nix/store/x is /nix/store/x",
        )
        self.written = written


def ingest_outputs(
    castore: Castore,
    places: Sequence[tuple[str, Path, str]],
    needles: Sequence[str],
    written: Iterable[str],
    cancel: CancelToken,
) -> tuple[BuildOutput, ...]:
    """Store every output; ``places`` are (path in the request, scratch directory on the host, path below it).

    Raises :class:`MissingOutputs` with ``written`` (read only then), :class:`OutputError` for a parent that is
    no directory of the sandbox's own and for entries that cannot be stored, :class:`CastoreError` for the
    store's troubles, :class:`Cancelled` as soon as that is asked for.
    """
    missing = [path for path, scratch, below in places if not _exists(path, scratch, below)]
    if missing:
        raise MissingOutputs(missing, tuple(sorted(written)[:MAX_WRITTEN]))
    encoded = [needle.encode() for needle in needles]
    outputs = []
    for path, scratch, below in places:
        with _parent(path, scratch, below) as (fd, name), Stoppable("ingest", cancel) as progress:
            try:
                ingested = ingest_path(castore, name, needles=encoded, dir_fd=fd, progress=progress)
            except IngestError as error:
                place = PurePosixPath(path).parent / (error.path or "")
                raise OutputError(error.message, path=str(place), stage="ingest", hint=error.hint) from error
        outputs.append(BuildOutput(path=path, node=ingested.node, needles=tuple(sorted(ingested.needles))))
    return tuple(outputs)


def writable_output(places: Sequence[tuple[str, Path, str]]) -> str | None:
    """The first output that its group or others may write, None when there is none; what is below is not looked at."""
    for path, scratch, below in places:
        with _parent(path, scratch, below) as (fd, name):
            mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
        if not stat.S_ISLNK(mode) and mode & (stat.S_IWGRP | stat.S_IWOTH):
            return path
    return None


def _exists(path: str, scratch: Path, below: str) -> bool:
    try:
        with _parent(path, scratch, below) as (fd, name):
            os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _parent(path: str, scratch: Path, below: str) -> Iterator[tuple[int, bytes]]:
    """The output's parent directory, opened one component at a time and never through a link.

    A build may have replaced any directory by a symlink to the host's files; such a component is an
    :class:`OutputError`, an absent one FileNotFoundError.
    """
    *parents, name = os.fsencode(below).split(b"/")
    fd = os.open(scratch, OPEN_DIRECTORY)
    try:
        for depth, component in enumerate(parents):
            try:
                child = os.open(component, OPEN_DIRECTORY, dir_fd=fd)
            except NotADirectoryError as error:
                at = os.fsdecode(b"/".join(parents[: depth + 1]))
                raise OutputError(
                    f"its parent {at!r} is not a directory but a link or a file that the build put there",
                    path=path,
                    stage="ingest",
                    hint="an output's parent directories must be real ones; links there could lead out of the sandbox",
                ) from error
            os.close(fd)
            fd = child
        yield fd, name
    finally:
        os.close(fd)


def written_paths(scratch: Sequence[tuple[str, Path]], mount_points: frozenset[Path]) -> Iterator[str]:
    """What stands in the scratch directories, as paths inside the sandbox, without mount points of ours.

    ``scratch`` are (path inside, directory on the host). Never follows links; stops after a thousand.
    """
    count = 0
    for inside, host in scratch:
        for directory, names, files in os.walk(host, followlinks=False):
            here = Path(directory)
            names[:] = sorted(name for name in names if here / name not in mount_points)
            for name in [*names, *sorted(files)]:
                if here / name in mount_points:
                    continue
                yield str(PurePosixPath("/", inside, (here / name).relative_to(host)))
                count += 1
                if count >= 1000:
                    return
