"""Ingest of tar streams."""

from __future__ import annotations

import os
import tarfile
import zlib
from contextlib import AbstractContextManager, nullcontext
from lzma import LZMAError
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.intake import CHUNK, SMALL, Intake
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node, SymlinkNode, check_name
from tvixbuild_nb.castore.progress import Progress, Shown
from tvixbuild_nb.castore.refscan import Scanner
from tvixbuild_nb.castore.services import Batch
from tvixbuild_nb.errors import IngestError, InvalidNode

if TYPE_CHECKING:
    from tvixbuild_nb.castore.castore import Castore

_Entries: TypeAlias = "dict[bytes, Node | _Entries]"


def ingest_tar(castore: Castore, fileobj: BinaryIO, *, progress: Progress | None = None) -> DirectoryNode:
    """Store the members of a tar stream, plain or compressed with gzip, bzip2 or xz, as one directory.

    The stream is read once from where it stands.  Missing parents are made; of two members with one name the later
    one counts; a hard link is the file it names.  :class:`IngestError` names the member: a name that is absolute or
    holds ``..``, something below a member that is no directory, a device or FIFO, a link to what is not there; or it
    says how the stream is damaged.
    """
    shown: AbstractContextManager[Progress] = Shown("ingest") if progress is None else nullcontext(progress)
    with shown as progress, castore.batch() as batch:
        with Intake(batch, Scanner(()), progress) as intake:
            tree = _read(fileobj, batch, intake, progress)
        node = _store(tree, batch)
        batch.commit(node)
    return node


def _read(fileobj: BinaryIO, batch: Batch, intake: Intake, progress: Progress) -> _Entries:
    root: _Entries = {}
    member: tarfile.TarInfo | None = None
    try:
        with tarfile.open(fileobj=fileobj, mode="r|*", encoding="utf-8", errors="surrogateescape") as tar:
            for member in tar:
                _take(root, tar, member, batch, intake, progress)
    except (tarfile.TarError, EOFError, zlib.error, LZMAError) as error:
        where = None if member is None else member.name
        raise IngestError(f"the tar stream is damaged: {error}", path=where) from error
    return root


def _take(
    root: _Entries, tar: tarfile.TarFile, member: tarfile.TarInfo, batch: Batch, intake: Intake, progress: Progress
) -> None:
    parts = _parts(member.name, member)
    if not parts:
        if not member.isdir():
            raise IngestError("a member without a name is no directory", path=member.name)
        return
    directory = _descend(root, parts[:-1], member)
    name = parts[-1]
    if member.isdir():
        if not isinstance(directory.get(name), dict):
            directory[name] = {}
        return
    node: Node
    if member.issym():
        try:
            node = SymlinkNode(os.fsencode(member.linkname))
        except InvalidNode as error:
            raise IngestError(error.message, path=member.name) from error
    elif member.islnk():
        node = _linked(root, member)
    elif member.isreg():
        node = _contents(tar, member, batch, intake, progress)
    else:
        raise IngestError("a device, FIFO or unknown member: only files, directories and links", path=member.name)
    directory[name] = node


def _parts(text: str, member: tarfile.TarInfo) -> list[bytes]:
    name = os.fsencode(text)
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if name.startswith(b"/") or b".." in parts:
        raise IngestError("an absolute name, or one with '..', leads out of the archive", path=member.name)
    for part in parts:
        try:
            check_name(part)
        except InvalidNode as error:
            raise IngestError(error.message, path=member.name) from error
    return parts


def _descend(root: _Entries, parts: list[bytes], member: tarfile.TarInfo) -> _Entries:
    directory = root
    for part in parts:
        below = directory.setdefault(part, {})
        if not isinstance(below, dict):
            raise IngestError(f"its parent {os.fsdecode(part)!r} is no directory", path=member.name)
        directory = below
    return directory


def _linked(root: _Entries, member: tarfile.TarInfo) -> Node:
    found: Node | _Entries | None = root
    for part in _parts(member.linkname, member):
        found = found.get(part) if isinstance(found, dict) else None
    if found is None or isinstance(found, dict):
        raise IngestError(f"a hard link to {member.linkname!r}, which is no file before it", path=member.name)
    return found


def _contents(
    tar: tarfile.TarFile, member: tarfile.TarInfo, batch: Batch, intake: Intake, progress: Progress
) -> FileNode:
    executable = bool(member.mode & 0o100)
    stream = tar.extractfile(member)
    if stream is None:
        raise IngestError("a file without contents", path=member.name)
    if member.size < SMALL:
        data = stream.read()
        if len(data) != member.size:
            raise tarfile.ReadError("it ends in the middle of a file")
        return intake.small(data, executable)
    total = 0
    with batch.open_write() as writer:
        while chunk := stream.read(CHUNK):
            writer.write(chunk)
            total += len(chunk)
            progress.advance(0, len(chunk))
        if total != member.size:
            raise tarfile.ReadError("it ends in the middle of a file")
        digest: Digest = writer.close()
    progress.advance(1, 0)
    return FileNode(digest, total, executable)


def _store(root: _Entries, batch: Batch) -> DirectoryNode:
    """Make directories of the nested tables, leaves first, without recursion: archives may be deep."""
    done: dict[int, DirectoryNode] = {}
    stack: list[tuple[_Entries, bool]] = [(root, False)]
    while stack:
        entries, children_done = stack.pop()
        below = [entry for entry in entries.values() if isinstance(entry, dict)]
        if not children_done:
            stack.append((entries, True))
            stack.extend((entry, False) for entry in below)
            continue
        directory = Directory(
            {name: done[id(entry)] if isinstance(entry, dict) else entry for name, entry in entries.items()}
        )
        done[id(entries)] = DirectoryNode(batch.put_directory(directory), directory.size)
    return done[id(root)]
