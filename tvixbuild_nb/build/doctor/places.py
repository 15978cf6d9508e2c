"""The store's and the bundles' places: whether they can be written, reached by the sandbox, and have room."""

from __future__ import annotations

import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvixbuild_nb.build.doctor.facts import Facts
from tvixbuild_nb.build.doctor.report import Check

# Bytes. A small build fits into the first; a compiler's closure does not fit into the second.
TOO_LITTLE, LITTLE = 64 << 20, 1 << 30
# Seconds.
PATIENCE = 5.0


def room(name: str, path: Path) -> Check:
    """Whether ``path``, or where it will be made, can be written and has room."""
    did = "wrote a file there" if path.is_dir() else "looked at where it will be made"
    there = nearest(path)
    reason = writable(there)
    if reason is not None:
        variable = "TVIXBUILD_NB_STORE" if name == "store" else "TVIXBUILD_NB_STATE"
        return Check(name, "fail", did, f"{path}: {reason}", f"chmod u+rwx {there}, or set {variable} to another place")
    free = shutil.disk_usage(there).free
    words = f"{path}, {_size(free)} free"
    if free < LITTLE:
        status = "fail" if free < TOO_LITTLE else "warn"
        return Check(name, "fail" if status == "fail" else "warn", did, words, "make room, or choose another place")
    return Check(name, "ok", did, words)


def bundle_root(facts: Facts, path: Path) -> Check:
    """As :func:`room`; and for root, whether the sandbox's root (nobody out here) can get there."""
    check = room("bundle root", path)
    if check.status == "fail" or not facts.is_root:
        return check
    there = nearest(path)
    for directory in (there, *there.parents):
        if not directory.stat().st_mode & stat.S_IXOTH:
            reason = f"{path} cannot be reached by the sandbox's root: {directory} is closed"
            return Check(check.name, "fail", "looked at every directory above", reason, f"chmod o+x {directory}")
    return check


def nearest(path: Path) -> Path:
    """``path``, or the closest directory above it that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.is_dir() or place == place.parent)


def writable(directory: Path) -> str | None:
    """None when a file can be written in ``directory`` (it is gone again), else the reason."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None


@contextmanager
def trial_directory(path: Path) -> Iterator[Path]:
    """A directory beside the bundles-to-be for the trial builds, passable as the bundles are; gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix=".tvixbuild-nb-doctor-", dir=nearest(path)))
    try:
        directory.chmod(0o711)
        yield directory
    finally:
        # The keeper of a trial that had to be ended may still be tidying up what only it may remove.
        deadline = time.monotonic() + PATIENCE
        shutil.rmtree(directory, ignore_errors=True)
        while directory.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
            shutil.rmtree(directory, ignore_errors=True)


def _size(number: int) -> str:
    return f"{number / (1 << 30):.1f} GiB" if number >= 1 << 30 else f"{number / (1 << 20):.0f} MiB"
