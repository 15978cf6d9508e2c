"""The way without FUSE: castore nodes as real files, made once per digest and shared by hard links.

A cache directory holds ``files/`` (contents by digest, 0444, or 0555 with the suffix ``.x``) and
``trees/`` (directories by digest, 0555, made of hard links into ``files/``). Everything appears
under its final name in one step, so several processes can fill one cache, and a crash leaves
nothing but a temporary name. What a power cut may have left is found by its sizes: a tree is
checked once after every boot.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

from tvixbuild_nb.castore import Castore, Digest
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node
from tvixbuild_nb.castore.progress import Progress, Silent
from tvixbuild_nb.errors import DigestMismatch, ExportError, NotFound
from tvixbuild_nb.fs.inodes import MTIME

_COPY_SIZE = 1 << 20
_TIMES = (MTIME * 10**9, MTIME * 10**9)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def checkout(castore: Castore, node: Node, cache_dir: str | os.PathLike[str], progress: Progress | None = None) -> Path:
    """The path of a read-only copy of ``node`` below ``cache_dir``; made now unless it is there.

    Must not be written to (hard links share contents). Its mount or use never needs the store.
    Raises :class:`NotFound` when the store lacks a part, :class:`ExportError` when the disk refuses, and what
    ``progress`` raises to end it; what was not finished then is removed.
    """
    cache = Path(cache_dir)
    try:
        for name in ("files", "trees", "links"):
            (cache / name).mkdir(parents=True, exist_ok=True)
        checkouts = _Checkouts(castore, cache, progress or Silent())
        if isinstance(node, DirectoryNode):
            return checkouts.tree(node)
        if isinstance(node, FileNode):
            return checkouts.file(node)
        link = cache / "links" / Digest.of(node.target).hex()
        with contextlib.suppress(FileExistsError):
            os.symlink(node.target, link)
        return link
    except OSError as error:
        if isinstance(error, LookupError):
            raise
        hint = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        raise ExportError(
            f"cannot check out: {error.strerror}", path=error.filename or cache, stage="mount", hint=hint
        ) from error


def remove_checkouts(cache_dir: str | os.PathLike[str], keep: Collection[Digest] = ()) -> int:
    """Remove all checked out trees but those in ``keep``, and the files no tree links to; how many trees went.

    Not while a build is using one of them.
    """
    cache, removed = Path(cache_dir), 0
    names = {digest.hex() for digest in keep}
    for tree in _listing(cache / "trees"):
        if tree.name.removesuffix(".boot") not in names:
            removed += tree.is_dir()
            _remove(tree)
    for file in _listing(cache / "files"):
        if file.name.partition(".")[0] not in names and file.lstat().st_nlink == 1:
            file.unlink()
    return removed


class _Checkouts:
    def __init__(self, castore: Castore, cache: Path, progress: Progress) -> None:
        self._castore = castore
        self._progress = progress
        self._files = cache / "files"
        self._trees = cache / "trees"

    def tree(self, node: DirectoryNode) -> Path:
        final = self._trees / node.digest.hex()
        marker = final.with_suffix(".boot")
        boot = _boot_id()
        if final.is_dir():
            if _read(marker) == boot or self._intact(node, final):
                _write(marker, boot)
                return final
            _remove(final)
        # Beside the final name: a read-only directory cannot be moved into another one.
        temporary = self._trees / f".{secrets.token_hex(8)}"
        try:
            self._fill(node, temporary)
            try:
                os.rename(temporary, final)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                _remove(temporary)  # somebody else was quicker
        except BaseException:
            _remove(temporary)
            raise
        _write(marker, boot)
        return final

    def file(self, node: FileNode) -> Path:
        path = self._files / (node.digest.hex() + (".x" if node.executable else ""))
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_size == node.size:
                return path
        temporary = self._files / f".{secrets.token_hex(8)}"
        try:
            self._write_file(node, temporary)
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        return path

    def _fill(self, node: DirectoryNode, path: Path) -> None:
        path.mkdir(0o755)
        for name, child in self._directory(node).entries.items():
            target = path / os.fsdecode(name)
            if isinstance(child, DirectoryNode):
                self._fill(child, target)
            elif isinstance(child, FileNode):
                self._link(child, target)
                self._progress.advance(1)
            else:
                os.symlink(child.target, os.fsencode(target))
                os.utime(target, ns=_TIMES, follow_symlinks=False)
        path.chmod(0o555)
        os.utime(path, ns=_TIMES)

    def _link(self, node: FileNode, target: Path) -> None:
        try:
            os.link(self.file(node), target)
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.ENOENT):
                raise
            # Too many links to this content, or a file system without: a file of its own.
            self._write_file(node, target)

    def _write_file(self, node: FileNode, path: Path) -> None:
        source = self._castore.blobs.open_read(node.digest)
        if source is None:
            raise NotFound("the store does not hold this blob", path=node.digest.hex(), stage="mount")
        with source, open(path, "xb") as file:
            while chunk := source.read(_COPY_SIZE):
                file.write(chunk)
                self._progress.advance(0, len(chunk))
            if file.tell() != node.size:
                raise DigestMismatch(f"{file.tell()} bytes instead of {node.size}", path=node.digest.hex())
            os.fchmod(file.fileno(), 0o555 if node.executable else 0o444)
        os.utime(path, ns=_TIMES)

    def _intact(self, node: DirectoryNode, path: Path) -> bool:
        """Whether the tree has the entries and sizes it should have."""
        entries = self._directory(node).entries
        with os.scandir(os.fsencode(path)) as scan:
            found = {entry.name: entry.stat(follow_symlinks=False) for entry in scan}
        if found.keys() != entries.keys():
            return False
        for name, child in entries.items():
            if isinstance(child, FileNode) and found[name].st_size != child.size:
                return False
            if isinstance(child, DirectoryNode) and not self._intact(child, path / os.fsdecode(name)):
                return False
        return True

    def _directory(self, node: DirectoryNode) -> Directory:
        directory = self._castore.directories.get(node.digest)
        if directory is None:
            raise NotFound("the store does not hold this directory", path=node.digest.hex(), stage="mount")
        return directory


def _boot_id() -> str:
    return _read(_BOOT_ID) or "unknown"


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _write(path: Path, text: str) -> None:
    if _read(path) != text:
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        temporary.write_text(text)
        os.replace(temporary, path)


def _listing(path: Path) -> list[Path]:
    return list(path.iterdir()) if path.is_dir() else []


def _remove(path: Path) -> None:
    """Remove a tree of read-only directories, or a file; nothing there is fine."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o755)
    shutil.rmtree(path, ignore_errors=True)
