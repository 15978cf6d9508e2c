"""Where things lie in a local store's directory, its version, and the errors of the system about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.errors import NoStore, StoreError

VERSION: Final = 1
_TITLE: Final = "tvixbuild-nb castore"

# Blobs from this size on are files of their own. Measured: below it, appending to a pack is several
# times cheaper than a new file; above it copying dominates, and a file can be linked, mapped and deleted.
LARGE: Final = 128 * 1024

# A pack is closed at this size: small enough to rewrite in a collection, large enough to be few.
PACK_LIMIT: Final = 128 * 1024 * 1024


class Layout:
    """The paths of one store; :meth:`prepare` makes what is missing and checks the version."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.version = root / "version"
        self.index = root / "index.sqlite"
        self.gc_lock = root / "gc.lock"
        self.packs = root / "packs"
        self.blobs = root / "blobs"
        self.tmp = root / "tmp"
        self.live = root / "live"

    def pack(self, number: int) -> Path:
        return self.packs / f"{number}.pack"

    def blob(self, digest: Digest) -> Path:
        text = digest.hex()
        return self.blobs / text[:2] / text

    def prepare(self, *, create: bool) -> None:
        """Check the version, and with ``create`` make a store where there is none; :class:`StoreError` otherwise."""
        with system_errors(self.root):
            if not self._check_version():
                if not create:
                    raise NoStore("there is no store here", path=self.root)
                self._claim()
            if create:
                for directory in (self.packs, self.blobs, self.tmp, self.live):
                    directory.mkdir(exist_ok=True)
                self.gc_lock.touch()

    def _claim(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        # Somebody else may be making the same store: then its version file is here by now, or a draft of it.
        strangers = [name for name in sorted(os.listdir(self.root)) if not name.startswith("version.")]
        if strangers and not self._check_version():
            raise StoreError(
                f"this directory is no store and not empty: it holds {strangers[0]!r}",
                path=self.root,
                hint="name another directory, or an empty one",
            )
        draft = self.root / f"version.{os.getpid()}.{os.urandom(4).hex()}"
        draft.write_text(f"{_TITLE} {VERSION}\n")
        try:
            # Never in the place of another one: the file is also the lock under which the index is made.
            os.link(draft, self.version)
        except FileExistsError:
            self._check_version()
        finally:
            draft.unlink()

    def _check_version(self) -> bool:
        try:
            text = self.version.read_text(errors="replace").strip()
        except FileNotFoundError:
            return False
        title, _, number = text.rpartition(" ")
        if title != _TITLE or not number.isdecimal():
            raise StoreError(f"not a store's version file: {text[:80]!r}", path=self.version)
        if int(number) > VERSION:
            raise StoreError(
                f"the store has format {number}, this program knows formats up to {VERSION}",
                path=self.root,
                hint="use a newer tvixbuild-nb, or another store",
            )
        return True


def boot_id() -> str:
    """A name of this boot of the machine, or an empty string where the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


@contextmanager
def system_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a :class:`StoreError` with a hint; ``path`` is the default place."""
    try:
        yield
    except OSError as error:
        raise store_error(error, path) from error


def store_error(error: OSError, path: Path) -> StoreError:
    """The StoreError that says what the system said and what to do about it."""
    hint = _HINTS.get(error.errno or 0)
    where = error.filename if isinstance(error.filename, str | bytes) else path
    return StoreError(error.strerror or str(error), path=where, hint=hint)


_FULL = "free some space: `tvixbuild-nb gc` deletes what nothing needs, or name a store on another disk"
_HINTS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: "the store belongs to somebody else: name another one in TVIXBUILD_NB_STORE",
    errno.EROFS: "the store lies on a read-only file system: name another one in TVIXBUILD_NB_STORE",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def fsync_path(path: Path) -> bool:
    """Sync the file or directory at ``path``; False when it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return True
