"""Ingest beside its peers: /usr/share and one file of 1 GiB, on a freshly made loop-mounted ext4 (needs root).

``rows()`` measures and returns the table; run as a program it prints it.  The loop mount is undone at the end.
"""

from __future__ import annotations

import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TREE = Path("/usr/share")
BIG_BYTES = 1 << 30
ROUNDS = 3
_MEMORY_BYTES = 3 * BIG_BYTES  # 1.25 GiB did not help a write of 1 GiB: the kernel takes other free pages as well

# In a process of its own, like the peers: prints seconds of opening and ingesting, without the interpreter's start.
_OURS = """
import sys, time
from tvixbuild_nb.castore import open_castore
start = time.perf_counter()
with open_castore(sys.argv[1]) as castore:
    castore.ingest(sys.argv[2])
    print(time.perf_counter() - start)
"""


@contextmanager
def fresh_file_system() -> Iterator[Path]:
    """A new ext4 on a loop device; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="castore-bench-") as work:
        image, mount = Path(work, "image"), Path(work, "mount")
        mount.mkdir()
        with open(image, "wb") as file:
            file.truncate(12 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, mount], check=True)
        try:
            yield mount
        finally:
            subprocess.run(["umount", mount], check=True)


def settle() -> None:
    """Write out what is dirty, and have memory at hand for what comes.

    A virtual machine gives free pages back to its host and asks for them again one by one: a first write of 1 GiB, by
    cp too, then takes 4 s instead of 0.5 s. Whoever is measured first would get the pages freed just before.
    """
    os.sync()
    mmap.mmap(-1, _MEMORY_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def timed(command: list[str], env: dict[str, str] | None = None) -> float:
    """Wall seconds of a command, after :func:`settle`."""
    settle()
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)
    return time.perf_counter() - start


def ours(store: Path, path: Path) -> float:
    settle()
    done = subprocess.run([sys.executable, "-c", _OURS, store, path], check=True, capture_output=True, text=True)
    return float(done.stdout)


def nix_add(base: Path, path: Path) -> float | None:
    if shutil.which("nix-store") is None:
        return None
    env = {"NIX_STORE_DIR": f"{base}/store", "NIX_STATE_DIR": f"{base}/var", "NIX_LOG_DIR": f"{base}/log"}
    env |= {"NIX_CONF_DIR": f"{base}/etc", "PATH": os.environ["PATH"], "HOME": str(base)}
    base.mkdir()
    return timed(["nix-store", "--add", str(path)], env)


def rows(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """One dict for each thing measured: what, who, seconds (median), target, and whether it is met."""
    seconds: dict[tuple[str, str], list[float]] = {}

    def note(what: str, who: str, value: float | None) -> None:
        if value is not None:
            seconds.setdefault((what, who), []).append(value)

    with tempfile.TemporaryDirectory(prefix="castore-bench-big-") as work:
        big = Path(work, "big")
        with open(big, "wb") as file:
            for _ in range(BIG_BYTES >> 24):
                file.write(os.urandom(1 << 24))
        _warm(TREE)
        for _ in range(rounds):
            with fresh_file_system() as at:
                note("tree", "cp -a", timed(["cp", "-a", str(TREE), str(at / "cp")]))
                note("tree", "nix-store --add", nix_add(at / "nix", TREE))
                note("tree", "ours", ours(at / "ours", TREE))
                note("tree again", "ours", ours(at / "ours", TREE))
            with fresh_file_system() as at:
                note("1 GiB file", "cp", timed(["cp", str(big), str(at / "cp")]))
                note("1 GiB file", "nix-store --add", nix_add(at / "nix", big))
                note("1 GiB file", "ours", ours(at / "ours", big))
                note("1 GiB file again", "ours", ours(at / "ours", big))
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    return [_row(what, who, value, medians) for (what, who), value in medians.items()]


def _warm(tree: Path) -> None:
    subprocess.run(["tar", "-cPf", "-", str(tree)], check=True, stdout=subprocess.DEVNULL)


def _row(what: str, who: str, value: float, medians: dict[tuple[str, str], float]) -> dict[str, Any]:
    targets: dict[str, Callable[[], tuple[str, float]]] = {
        "tree": lambda: (
            "under cp -a and 0.6 of nix-store --add",
            min(medians["tree", "cp -a"], 0.6 * medians.get(("tree", "nix-store --add"), 1e9)),
        ),
        "tree again": lambda: ("1.3 s", 1.3),
        "1 GiB file": lambda: (
            "under nix-store --add and 2 x cp",
            min(2 * medians["1 GiB file", "cp"], medians.get(("1 GiB file", "nix-store --add"), 1e9)),
        ),
    }
    row: dict[str, Any] = {"what": f"ingest: {what}", "who": who, "seconds": round(value, 3), "target": "", "met": None}
    if who == "ours" and what in targets:
        text, limit = targets[what]()
        row |= {"target": f"{text} ({limit:.2f} s)", "met": value <= limit}
    return row


if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS):
        met = {None: "", True: "met", False: "MISSED"}[row["met"]]
        print(f"{row['what']:28} {row['who']:16} {row['seconds']:8.3f} s  {row['target']}  {met}")
