"""Stores on object storage beside the local one: 2 000 small blobs and one of 1 GiB, there and back.

``rows()`` measures and returns the table; run as a program it prints it. S3's API is that of moto's server, a Python
program in a process of its own: its figures tell more about it than about us. Needs no root.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.s3 import s3_server
from tvixbuild_nb.castore import Castore, Digest, FileNode, open_castore, sync

ROUNDS = 3
SMALL = 2000
SMALL_BYTES = 4096
BIG_BYTES = 1 << 30
_CHUNK = 1 << 20


@contextmanager
def stores() -> Iterator[dict[str, Callable[[], Castore]]]:
    """By name, what opens a fresh store of each kind."""
    with ExitStack() as stack:
        at = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="objects-bench-")))
        s3 = stack.enter_context(s3_server())
        os.environ |= s3.environment

        def fresh(form: str) -> Callable[[], Castore]:
            return lambda: open_castore(form.format(tempfile.mkdtemp(dir=at), s3.make_bucket()))

        yield {
            "local": fresh("file:{0}/s"),
            "objectstore+file": fresh("objectstore+file:{0}"),
            "objectstore+s3 (moto)": fresh("objectstore+s3://{1}"),
        }


def small_blobs(castore: Castore, seconds: Callable[[str, float], None]) -> None:
    noise = random.Random(1)
    blobs = [(Digest.of(data), data) for data in (noise.randbytes(SMALL_BYTES) for _ in range(SMALL))]
    start = time.perf_counter()
    with castore.batch() as batch:
        batch.put_blobs(blobs)
        batch.commit()
    seconds("2 000 blobs of 4 KiB: store", time.perf_counter() - start)
    start = time.perf_counter()
    assert not castore.blobs.missing(digest for digest, _ in blobs)
    seconds("2 000 blobs of 4 KiB: are they there", time.perf_counter() - start)
    start = time.perf_counter()
    with open_castore("memory:") as target:
        assert sync(castore, target).blobs == SMALL
    seconds("2 000 blobs of 4 KiB: sync to memory", time.perf_counter() - start)


def big_blob(castore: Castore, path: Path, seconds: Callable[[str, float], None]) -> None:
    start = time.perf_counter()
    node = castore.ingest(path)
    seconds("1 GiB: ingest", time.perf_counter() - start)
    assert isinstance(node, FileNode)
    start = time.perf_counter()
    stream = castore.blobs.open_read(node.digest)
    assert stream is not None
    with stream:
        while stream.read(_CHUNK):
            pass
    seconds("1 GiB: read, checked", time.perf_counter() - start)


def rows(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """One dict for each thing measured: what, who, seconds (median)."""
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.NamedTemporaryFile(prefix="objects-bench-big-") as big, stores() as kinds:
        for _ in range(BIG_BYTES >> 24):
            big.write(os.urandom(1 << 24))
        big.flush()
        for _ in range(rounds):
            for who, fresh in kinds.items():

                def note(what: str, value: float, who: str = who) -> None:
                    found.setdefault((what, who), []).append(value)

                with fresh() as castore:
                    small_blobs(castore, note)
                    big_blob(castore, Path(big.name), note)
    return [
        {"what": what, "who": who, "seconds": round(statistics.median(values), 3)}
        for (what, who), values in sorted(found.items())
    ]


if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS):
        print(f"{row['what']:40} {row['who']:24} {row['seconds']:8.3f} s")
