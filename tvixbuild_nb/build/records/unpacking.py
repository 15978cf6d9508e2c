"""Unpacking a record: into a directory that looks like a run's own, and castore content into a store."""

from __future__ import annotations

import os
from pathlib import Path

from tvixbuild_nb.build.recorded import Recorded
from tvixbuild_nb.build.records.checking import check_documents
from tvixbuild_nb.build.records.content import take_content
from tvixbuild_nb.build.records.manifest import BLOBS, DIRECTORIES
from tvixbuild_nb.build.records.reading import RecordFile
from tvixbuild_nb.build.records.writing import input_nodes, output_nodes
from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.castore import Castore, Node
from tvixbuild_nb.errors import HostRefused, InvalidRecord, InvalidValue, TvixBuildError
from tvixbuild_nb.request import BuildRequest

_OWN = ("result.json", "events.jsonl")


def check_record(file: RecordFile) -> tuple[BuildRequest, BuildResult]:
    """The request and the result, after all members but castore content were looked at."""
    found = check_documents(file)
    if file.has("log"):
        file.verify("log")
    return found


def unpack_files(file: RecordFile, directory: Path, *, without: tuple[str, ...] = ()) -> None:
    """Write the members into ``directory`` but the result, the events, castore content and ``without``."""
    for name in file.manifest.members:
        if "/" in name or name in _OWN or name in without:
            continue
        with (directory / name).open("xb") as out:
            for piece in file.pieces(name):
                out.write(piece)


def unpack_content(file: RecordFile, request: BuildRequest, result: BuildResult, castore: Castore) -> None:
    """Put castore content into ``castore``, all or nothing; :class:`InvalidRecord` when it is not what it should be."""
    roots = content_roots(file, request, result)
    if roots is None:
        return
    for name in (DIRECTORIES, BLOBS):
        file.verify(name)
    try:
        with file.stream(DIRECTORIES) as directories, file.stream(BLOBS) as blobs, castore.batch() as batch:
            take_content(directories, blobs, roots, batch)
            batch.commit(*roots)
    except InvalidRecord:
        raise
    except (InvalidValue, TvixBuildError) as error:
        raise InvalidRecord(f"its contents are damaged: {error}", path=str(file.path)) from error


def content_roots(file: RecordFile, request: BuildRequest, result: BuildResult) -> list[Node] | None:
    """The nodes whose contents are inside; None where none are."""
    content = file.manifest.content
    has = [file.has(name) for name in (DIRECTORIES, BLOBS)]
    if not (content.outputs or content.inputs):
        if any(has):
            raise InvalidRecord("it has contents of nothing", path=str(file.path))
        return None
    if not all(has):
        raise InvalidRecord("its contents are missing", path=str(file.path))
    return [*(output_nodes(result) if content.outputs else ()), *(input_nodes(request) if content.inputs else ())]


def marked(result: BuildResult, recorded: Recorded) -> BuildResult:
    """The result, saying that it is a recorded one."""
    return result.model_copy(update={"recorded": recorded, "bundle": None})


def check_room(directory: Path, size: int) -> None:
    """:class:`HostRefused` where a record of ``size`` bytes would fill the disk."""
    if not hasattr(os, "statvfs"):
        return
    status = os.statvfs(directory)
    if status.f_bavail * status.f_frsize < size:
        raise HostRefused(f"no room for the {size} bytes of a record", path=str(directory), hint="free some space")
