"""Views of /usr/share through FUSE beside the same tree on a freshly made loop-mounted ext4 (needs root).

``rows()`` measures and returns the table; run as a program it prints it. Everything is measured twice: with the two
processes where the scheduler puts them, and with both on one processor. The difference is what the machine asks for
waking an idle processor (on some virtual machines several times the work itself); the row "pipe" shows that alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from castore_bench import fresh_file_system

from tvixbuild_nb.castore import Castore, Node, open_castore
from tvixbuild_nb.fs import ViewServer, view_description

TREE = Path("/usr/share")
SMALL = 16 << 10
COUNT = 20_000
MOUNTS = 30
BIG_BYTES = 1 << 30

# In a process of their own, as a build would: print seconds.
_SMALL_FILES = """
import os, sys, time
files = open(sys.argv[1], "rb").read().split(b"\\0")
root = os.fsencode(sys.argv[2])
start = time.perf_counter()
for name in files:
    fd = os.open(root + name, os.O_RDONLY)
    os.read(fd, 65536)
    os.close(fd)
print(time.perf_counter() - start)
"""
_PIPE = """
import os, time
a, b = os.pipe(); c, d = os.pipe()
if os.fork() == 0:
    for _ in range(2000):
        os.write(d, os.read(a, 1))
    os._exit(0)
start = time.perf_counter()
for _ in range(2000):
    os.write(b, b"x"); os.read(c, 1)
print((time.perf_counter() - start) / 2000)
"""


def rows() -> list[dict[str, Any]]:
    """One row per figure: what, where, seconds or rate, and the target where there is one."""
    table: list[dict[str, Any]] = []
    with fresh_file_system() as place:
        native = place / "native"
        subprocess.run(["cp", "-a", TREE, native], check=True)
        with open_castore(f"file:{place}/store") as castore:
            node = castore.ingest(TREE)
            big = castore.ingest(_big_file(place))
            entries = int(subprocess.run(["find", native, "-printf", "x"], stdout=subprocess.PIPE).stdout.count(b"x"))
            names = place / "names"
            count = _small_files(native, names)
            for processors in (None, {min(os.sched_getaffinity(0))}):
                where = "anywhere" if processors is None else "one processor"
                with _on(processors):
                    table.append(_row("pipe round trip", where, f"{float(_python(_PIPE)) * 1e6:.0f} us", ""))
                    table += _native(native, names, entries, count, where)
                    table += _views(castore, node, big, place, names, entries, count, where)
            table += _mounts(castore, node, place)
    return table


def _native(tree: Path, names: Path, entries: int, count: int, where: str) -> list[dict[str, Any]]:
    Path("/proc/sys/vm/drop_caches").write_text("2")
    where = f"native ext4, {where}"
    return [
        *(_row(f"find, {heat}", where, _rate(entries, _find(tree)), "") for heat in ("cold", "warm")),
        _row("find -size, warm", where, _rate(entries, _find(tree, "-size", "+1000G")), ""),
        *(_row(f"small files, {heat}", where, _rate(count, _read(names, tree)), "") for heat in ("cold", "warm")),
    ]


def _views(
    castore: Castore, node: Node, big: Node, place: Path, names: Path, entries: int, count: int, where: str
) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = []
    view, mountpoint = place / "view.json", place / "mnt"
    mountpoint.mkdir(exist_ok=True)
    view.write_text(view_description(castore.address, {b"tree": node, b"big": big}))
    tree = mountpoint / "tree"
    for transport, kind, trace in (
        ("direct", "with a trace", place / "trace.json"),
        ("fusepy", "with a trace", place / "trace.json"),
        ("direct", "shared", None),
        ("fusepy", "shared", None),
    ):
        label = f"{transport}, {kind}, {where}"
        with ViewServer(transport) as server:
            with server.mount(view, mountpoint, trace=trace):
                result.append(_row("find, cold", label, _rate(entries, _find(tree)), ">= 15 000/s"))
                result.append(_row("find, warm", label, _rate(entries, _find(tree)), ">= 80 000/s"))
                result.append(_row("small files, cold", label, _rate(count, _read(names, tree)), ">= 20 000/s"))
                result.append(_row("small files, warm", label, _rate(count, _read(names, tree)), ">= 20 000/s"))
                for heat in ("cold", "warm"):
                    seconds = _seconds(lambda: _cat(mountpoint / "big"))
                    result.append(_row(f"1 GiB file, {heat}", label, f"{BIG_BYTES / seconds / 1e9:.1f} GB/s", ""))
            with server.mount(view, mountpoint, trace=trace):
                result.append(_row("find -size, cold", label, _rate(entries, _find(tree, "-size", "+1000G")), ""))
                result.append(_row("find -size, warm", label, _rate(entries, _find(tree, "-size", "+1000G")), ""))
    return result


def _mounts(castore: Castore, node: Node, place: Path) -> list[dict[str, Any]]:
    """From the request to the answer that the view is ready, with pauses between, as runs have them."""
    view, mountpoint = place / "view.json", place / "mnt"
    view.write_text(view_description(castore.address, {b"tree": node}))
    result = []
    for transport in ("direct", "fusepy"):
        times = []
        with ViewServer(transport) as server:
            for _ in range(MOUNTS):
                time.sleep(0.05)
                start = time.perf_counter()
                with server.mount(view, mountpoint, trace=place / "trace.json", store=castore.address):
                    times.append(time.perf_counter() - start)
        # For the first views nothing was made ahead.
        result.append(_row("mount to ready", transport, f"{statistics.median(times[2:]) * 1e3:.1f} ms", ""))
    return result


def _big_file(place: Path) -> Path:
    path = place / "big"
    block = os.urandom(1 << 20)
    with open(path, "wb") as file:
        for number in range(BIG_BYTES >> 20):
            file.write(number.to_bytes(8, "big") + block[8:])
    return path


def _small_files(tree: Path, names: Path) -> int:
    found: list[bytes] = []
    for directory, _, files in os.walk(os.fsencode(tree)):
        for name in files:
            path = os.path.join(directory, name)
            if not os.path.islink(path) and os.lstat(path).st_size <= SMALL:
                found.append(path.removeprefix(os.fsencode(tree)))
    names.write_bytes(b"\0".join(found[:COUNT]))
    return len(found[:COUNT])


@contextmanager
def _on(processors: set[int] | None) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    if processors is not None:
        os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _find(path: Path, *arguments: str) -> float:
    return _seconds(lambda: subprocess.run(["find", path, *arguments], check=True, stdout=subprocess.DEVNULL))


def _cat(path: Path) -> None:
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(1 << 20)
        while file.readinto(buffer):
            pass


def _read(names: Path, tree: Path) -> float:
    return float(_python(_SMALL_FILES, str(names), str(tree)))


def _python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-I", "-S", "-c", code, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}/s".replace(",", " ")


def _row(what: str, where: str, value: str, wanted: str) -> dict[str, Any]:
    return {"what": what, "where": where, "value": value, "wanted": wanted}


def main() -> None:
    """Print the table."""
    for row in rows():
        print(f"{row['what']:20} {row['where']:38} {row['value']:>14} {row['wanted']}")


if __name__ == "__main__":
    main()
