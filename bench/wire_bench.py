"""Blobs over loopback beside the local store: one of 1 GiB and 10 000 of 4 KiB, there and back.

The server is a process of its own. ``rows()`` measures and returns the table; run as a program it prints it. Everything
lands on one freshly made file system (needs root), see ``castore_bench``.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from castore_bench import fresh_file_system, settle

from tvixbuild_nb.castore import Castore, Digest, Directory, DirectoryNode, FileNode, Node, copy_closure, open_castore
from tvixbuild_nb.castore.progress import Silent
from tvixbuild_nb.castore.remote import upload

LARGE = 1 << 30
COUNT, SMALL = 10_000, 4096
ROUNDS = 3


@contextmanager
def served(store: Path) -> Iterator[str]:
    """A server over the store; its address."""
    command = [sys.executable, "-m", "tvixbuild_nb", "serve", "--builder", "none", "--store", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r" at (\S+)$", process.stdout.readline())
        assert found is not None
        try:
            yield found[1]
        finally:
            process.terminate()


def make(castore: Castore) -> dict[str, Node]:
    """The large blob, and a directory of the small ones."""
    with castore.blobs.open_write() as writer:
        for _ in range(LARGE >> 20):
            writer.write(os.urandom(1 << 20))
        large = FileNode(writer.close(), LARGE)
    with castore.batch() as batch:
        contents = [os.urandom(SMALL) for _ in range(COUNT)]
        batch.put_blobs([(Digest.of(data), data) for data in contents])
        files = {b"%d" % number: FileNode(Digest.of(data), SMALL) for number, data in enumerate(contents)}
        directory = Directory(files)
        many = DirectoryNode(batch.put_directory(directory), directory.size)
        batch.commit(large, many)
    return {"1 GiB": large, "10 000 of 4 KiB": many}


def rows() -> list[tuple[str, float, float]]:
    """(what, seconds there, seconds back as files), medians of :data:`ROUNDS`."""
    found: dict[str, list[tuple[float, float]]] = {}
    with fresh_file_system() as place, open_castore(place / "source") as source:
        nodes = make(source)
        for _ in range(ROUNDS):
            for what, node in nodes.items():
                with served(place / "far") as address, open_castore(address) as far:
                    there = partial(upload, source, far, [node], Silent())
                    found.setdefault(f"over gRPC, {what}", []).append(_measured(there, far, node, place / "back"))
                with open_castore(place / "near") as near:
                    there = partial(copy_closure, source, near, node)
                    found.setdefault(f"local store, {what}", []).append(_measured(there, near, node, place / "back"))
                for store in ("far", "near"):
                    shutil.rmtree(place / store)
    return [
        (what, statistics.median(there for there, _ in times), statistics.median(back for _, back in times))
        for what, times in sorted(found.items())
    ]


def _measured(there: Callable[[], object], castore: Castore, node: Node, back: Path) -> tuple[float, float]:
    """Seconds there, and seconds of an export from there."""
    settle()
    seconds = _seconds(there)
    settle()
    exported = _seconds(lambda: castore.export(node, back, progress=Silent()))
    if back.is_dir():
        shutil.rmtree(back)
    else:
        back.unlink()
    return seconds, exported


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    print(f"{'blobs, beside each other':32} {'there':>9} {'back':>9} {'MB/s':>8} {'MB/s':>8}")
    for what, there, back in rows():
        size = (LARGE if "GiB" in what else COUNT * SMALL) / 1e6
        print(f"{what:32} {there:7.2f} s {back:7.2f} s {size / there:8.0f} {size / back:8.0f}")


if __name__ == "__main__":
    main()
