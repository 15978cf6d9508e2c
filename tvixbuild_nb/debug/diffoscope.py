"""What diffoscope says of two trees, where it is installed: it knows what archives, binaries and documents hold."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tvixbuild_nb.castore import Change, DirectoryNode, TreeDiff

TIMEOUT = 60.0
MAX_TEXT = 64 << 10
# What is compared has to be written out first, and large files take longer than anybody waits.
MAX_FILES = 20
MAX_BYTES = 64 << 20
_OPTIONS = ("--text", "-", "--text-color", "never", "--no-progress", "--exclude-directory-metadata", "recursive")


@dataclass(frozen=True, slots=True)
class Said:
    """``text``: what diffoscope printed, empty when that is nothing; ``note``: why it is not all, None when it is."""

    text: str
    note: str | None = None

    def lines(self) -> Iterator[str]:
        """It as lines; they may hold anything, so they are not yet fit to be shown."""
        yield from self.text.splitlines()
        if self.note is not None:
            yield f"diffoscope {self.note}"


def diffoscope_path() -> str | None:
    """The program diffoscope on PATH, None where it is not installed."""
    return shutil.which("diffoscope")


def diffoscope(program: str, diff: TreeDiff, *, timeout: float = TIMEOUT, most: int = MAX_TEXT) -> Said:
    """What ``program`` says of the 20 smallest changed files and symlinks, 64 MiB of them at most.

    Parameters: ``timeout``, seconds after which it is ended; ``most``, bytes of its text. Raises NotFound for contents
    that a store does not hold, OSError for what cannot be written or started.
    """
    with tempfile.TemporaryDirectory(prefix="tvixbuild-nb-") as scratch:
        top = Path(scratch)
        if not _written(diff, top):
            return Said("", "was given nothing: what differs is too large, or no file on both sides")
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": scratch,
            "TMPDIR": scratch,
            "LC_ALL": "C.UTF-8",
        }
        process = subprocess.Popen(
            [program, *_OPTIONS, "before", "after"],
            cwd=top,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return _heard(process, timeout, most)
        finally:
            _end(process)


def _written(diff: TreeDiff, top: Path) -> bool:
    left = MAX_BYTES
    found = False
    for change in diff.smallest(MAX_FILES):
        if _comparable(change) and change.size[1] <= left:
            left -= change.size[1]
            found = True
            for name, tree, node in (("before", diff.before, change.before), ("after", diff.after, change.after)):
                place = top.joinpath(name, *map(os.fsdecode, change.path))
                place.parent.mkdir(parents=True, exist_ok=True)
                if node is not None:
                    tree.castore.export(node, place)
    return found


def _comparable(change: Change) -> bool:
    nodes = change.before, change.after
    return None not in nodes and not any(isinstance(node, DirectoryNode) for node in nodes)


def _heard(process: subprocess.Popen[bytes], timeout: float, most: int) -> Said:
    assert process.stdout is not None
    until = time.monotonic() + timeout
    text = bytearray()
    note = None
    while True:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            note = f"was ended after {timeout:g} s"
            break
        piece = os.read(process.stdout.fileno(), 1 << 16)
        if not piece:
            break
        text += piece
        if len(text) > most:
            del text[most:]
            note = f"said more: these are its first {most:,} bytes"
            break
    if note is None:
        try:
            status = process.wait(max(1.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            note = f"was ended after {timeout:g} s"
        else:
            # 0: no difference that it knows of, 1: these.
            note = None if status == 1 else "found no difference" if status == 0 else f"ended with status {status}"
    return Said(text.decode(errors="replace"), note)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with the programs it started."""
    with suppress(ProcessLookupError):  # all of them are gone
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
