"""The local store among many processes, killed ones, full disks, power cuts; and its appetite for memory."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tvixbuild_nb.castore import Castore, Digest, DirectoryNode, FileNode, open_castore
from tvixbuild_nb.errors import ExportError, StoreError

pytestmark = pytest.mark.integration

PACKAGE = str(Path(__file__).parents[3])


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of this Python with the package in its path."""
    environment = os.environ | {"PYTHONPATH": PACKAGE}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def make_tree(at: Path, seed: int, files: int = 200) -> Path:
    noise = random.Random(seed)
    for number in range(files):
        path = at / f"d{number % 7}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise.randbytes(noise.choice([0, 10, 5000, 5000, 150_000])))
    (at / "link").symlink_to("nowhere")
    return at


def contents(store: Path) -> dict[str, int]:
    """Sizes of all files that hold blobs."""
    found = [path for name in ("packs", "blobs", "tmp") for path in (store / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(store)): path.stat().st_size for path in found}


def whole(castore: Castore) -> None:
    """Every blob the index names is what its digest says."""
    rows = sqlite3.connect(castore.local_path / "index.sqlite").execute("SELECT digest FROM blobs")
    for (digest,) in rows:
        stream = castore.blobs.open_read(Digest(digest))
        assert stream is not None
        with stream:
            while stream.read(1 << 20):
                pass


INGEST = """
import sys
from tvixbuild_nb.castore import open_castore
with open_castore(sys.argv[1]) as castore:
    for path in sys.argv[2:]:
        print(castore.ingest(path).digest, flush=True)
"""


def test_many_processes_write_one_store(tmp_path: Path) -> None:
    same = make_tree(tmp_path / "same", 0)
    trees = [make_tree(tmp_path / f"t{number}", number) for number in range(1, 5)]
    running = [python(INGEST, tmp_path / "store", same, tree, same) for tree in trees]
    digests = [process.communicate(timeout=120)[0].split() for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert {answer[0] for answer in digests} == {answer[2] for answer in digests} == {digests[0][0]}
    with open_castore(tmp_path / "store") as castore, open_castore("memory:") as memory:
        for tree, answer in zip(trees, digests, strict=True):
            node = memory.ingest(tree)
            assert isinstance(node, DirectoryNode)
            assert str(node.digest) == answer[1]
            assert castore.has_closure(node)
        whole(castore)


def test_a_reader_sees_what_is_written_meanwhile(tmp_path: Path) -> None:
    with open_castore(tmp_path / "store") as writer, open_castore(tmp_path / "store", read_only=True) as reader:
        for size in (10, 500_000):
            node = writer.ingest_bytes(random.Random(size).randbytes(size))
            assert reader.tree(node).read_bytes() == writer.tree(node).read_bytes()
            found = reader.blobs.reader(node.digest)
            assert found is not None
            assert len(found.pread(0, size + 1)) == size
        with pytest.raises(StoreError, match="read-only"):
            reader.ingest_bytes(b"x")
        before = writer.ingest_bytes(b"kept")
        found = reader.blobs.reader(before.digest)
        writer.gc([])  # everything is held by the writer
        assert reader.blobs.has(before.digest)


def test_threads_share_a_castore(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    trees = [make_tree(tmp_path / f"t{number}", number, 60) for number in range(4)] * 2
    with open_castore(tmp_path / "store") as castore:
        with ThreadPoolExecutor(8) as pool:
            nodes = list(pool.map(castore.ingest, trees))
        assert nodes[:4] == nodes[4:] == [open_castore("memory:").ingest(tree) for tree in trees[:4]]
        assert all(castore.has_closure(node) for node in nodes)
        whole(castore)


ENDLESS = """
import os, random, sys
from tvixbuild_nb.castore import open_castore
castore = open_castore(sys.argv[1])
noise = random.Random(int(sys.argv[2]))
print("started", flush=True)
while True:
    with castore.batch() as batch:
        for size in (100, 30_000, 100_000, 900_000):
            with batch.open_write() as writer:
                for _ in range(0, size, 100):
                    writer.write(noise.randbytes(100))
        batch.commit()
"""


def test_killed_processes_leave_no_half_blob_and_no_debris(tmp_path: Path) -> None:
    store = tmp_path / "store"
    noise = random.Random(3)
    with open_castore(store) as castore:
        kept = castore.ingest(make_tree(tmp_path / "tree", 5))
        castore.pin("kept", kept)
        for round_number in range(6):
            running = [python(ENDLESS, store, 100 * round_number + number) for number in range(2)]
            for process in running:
                assert process.stdout is not None
                assert process.stdout.readline() == "started\n"
            time.sleep(noise.uniform(0.02, 0.4))
            for process in running:
                process.send_signal(signal.SIGKILL)
                process.communicate()
        whole(castore)
        castore.gc()
        assert not list((store / "tmp").iterdir())
        assert len(list((store / "live").iterdir())) == 1
        assert castore.has_closure(kept)
        whole(castore)
        held = sum(contents(store).values())
        tree = sum(path.stat().st_size for path in (tmp_path / "tree").rglob("*") if path.is_file())
        assert held <= tree * 1.4


def test_gc_beside_writers_keeps_what_they_rely_on(tmp_path: Path) -> None:
    store = tmp_path / "store"
    trees = [make_tree(tmp_path / f"t{number}", number, 80) for number in range(3)]
    repeat = INGEST.replace("for path in sys.argv[2:]:", "for path in sys.argv[2:] * 6:") + (
        "    sys.stdin.readline()\n    assert castore.has_closure(castore.ingest(sys.argv[2]))\n"
    )
    running = [python(repeat, store, tree) for tree in trees]
    with open_castore(store) as castore:
        for _ in range(15):
            castore.gc()
            time.sleep(0.05)
        answers = []
        for process in running:
            assert process.stdout is not None
            answers.append(process.stdout.readline().strip())
        for _ in range(5):
            castore.gc()
        for process in running:
            process.communicate("go\n", timeout=60)
        assert [process.returncode for process in running] == [0] * 3
        assert len(set(answers)) == 3
        report = castore.gc()  # they have gone, and nobody holds anything now
        assert report.blobs_kept == report.directories_kept == 0
        assert contents(store) == {}


def test_gc_gives_back_space_and_moves_what_lives(tmp_path: Path) -> None:
    store = tmp_path / "store"
    process = python(INGEST, store, make_tree(tmp_path / "a", 1), make_tree(tmp_path / "b", 2))
    process.communicate(timeout=60)
    with open_castore("memory:") as memory:
        wanted = memory.ingest(tmp_path / "b")
    with open_castore(store, read_only=True) as reader, open_castore(store) as castore:
        tree = reader.tree(wanted)
        before = sum(contents(store).values())
        report = castore.gc([wanted])
        assert report.blobs_deleted > 50
        assert sum(contents(store).values()) < before * 0.7
        # A reader that was there before finds moved blobs as well.
        assert [len((tree / "d1" / name).read_bytes()) for name in ("f1", "f8")] == [
            (tmp_path / "b" / "d1" / name).stat().st_size for name in ("f1", "f8")
        ]
        castore.export(wanted, tmp_path / "out")
        assert castore.ingest(tmp_path / "out") == wanted


class TestPowerCut:
    """Another boot is played by another boot id in the index: what was not synced is then looked at."""

    def other_boot(self, store: Path) -> None:
        db = sqlite3.connect(store / "index.sqlite")
        db.execute("UPDATE packs SET boot = 'before'")
        db.execute("UPDATE unsynced SET boot = 'before'")
        db.commit()
        db.close()

    @pytest.mark.parametrize("size", [1000, 500_000])
    @pytest.mark.parametrize("damage", ["zeros", "short", "gone", "nothing"])
    def test_only_what_was_not_synced_may_be_lost(self, tmp_path: Path, size: int, damage: str) -> None:
        store = tmp_path / "store"
        first, second = random.Random(1).randbytes(size), random.Random(2).randbytes(size)
        with open_castore(store) as castore:
            kept = castore.ingest_bytes(first)
            castore.sync()
            synced = contents(store)
            lost = castore.ingest_bytes(second)
        for name, length in contents(store).items():
            start = synced.get(name, 0)
            if start == length or damage == "nothing":
                continue
            path = store / name
            path.chmod(0o644)
            if damage == "gone" and start == 0:
                path.unlink()
                continue
            with open(path, "r+b") as file:
                file.truncate(start)
                if damage == "zeros":
                    file.truncate(length)
        self.other_boot(store)
        with open_castore(store) as castore:
            assert castore.tree(kept).read_bytes() == first
            assert castore.has_closure(lost) == (damage == "nothing")
            assert castore.ingest_bytes(second) == lost
            assert castore.tree(lost).read_bytes() == second
            whole(castore)

    def test_what_was_written_is_synced_after_a_while(self, tmp_path: Path) -> None:
        with open_castore(tmp_path / "store") as castore:
            castore.ingest_bytes(b"small")
            castore.ingest_bytes(bytes(range(256)) * 1000)
            db = sqlite3.connect(tmp_path / "store" / "index.sqlite")
            deadline = time.monotonic() + 30
            query = "SELECT (SELECT count(*) FROM packs WHERE synced < length) + (SELECT count(*) FROM unsynced)"
            assert db.execute(query).fetchone() == (2,)
            while db.execute(query).fetchone() != (0,):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            db.close()


@pytest.fixture
def small_disk(root: None, passable_tmp: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    mount = passable_tmp / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "castore-test", mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


class TestFullDisk:
    @pytest.mark.parametrize(("count", "size"), [(400, 50_000), (6, 2_000_000)])
    def test_nothing_half_and_nothing_more(self, small_disk: Path, tmp_path: Path, count: int, size: int) -> None:
        noise = random.Random(4)
        (tmp_path / "tree").mkdir()
        for number in range(count):
            (tmp_path / "tree" / str(number)).write_bytes(noise.randbytes(size))
        with open_castore(small_disk / "store") as castore:
            before = castore.ingest_bytes(b"before")
            held = contents(small_disk / "store")
            with pytest.raises(StoreError, match="No space left") as caught:
                castore.ingest(tmp_path / "tree")
            assert caught.value.hint is not None
            assert contents(small_disk / "store") == held
            whole(castore)
            after = castore.ingest_bytes(noise.randbytes(1_000_000))
            assert castore.has_closure(before) and castore.has_closure(after)

    def test_an_export_leaves_nothing(self, small_disk: Path, tmp_path: Path) -> None:
        with open_castore(tmp_path / "store") as castore:
            node = castore.ingest_bytes(random.Random(5).randbytes(9_000_000))
            with pytest.raises(ExportError, match="No space left"):
                castore.export(node, small_disk / "out")
            assert list(small_disk.iterdir()) == []


HUGE = """
import sys, threading, time
from tvixbuild_nb.castore import open_castore, ingest_path
import tvixbuild_nb.castore.export, ahocorasick_rs, rich.progress

def rss():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

castore = open_castore(sys.argv[1])
castore.ingest_bytes(b"warm up")
start = rss()
found = ingest_path(castore, sys.argv[2], needles=[b"needle", b"absent" * 5])
print(found.needles == {0}, found.node.size)
again = ingest_path(castore, sys.argv[2])
castore.export(found.node, sys.argv[3])
total = 0
with castore.tree(found.node).open() as stream:
    while chunk := stream.read(1 << 20):
        total += len(chunk)
print(again.node == found.node, total, rss() - start)
"""


def test_four_gibibytes_cost_little_memory_and_stay_sparse(tmp_path: Path) -> None:
    size = 4 << 30
    with open(tmp_path / "huge", "wb") as file:
        file.seek((3 << 30) - 3)
        file.write(b"needle")
        file.truncate(size)
    process = python(HUGE, tmp_path / "store", tmp_path / "huge", tmp_path / "out")
    lines = process.communicate(timeout=150)[0].splitlines()
    assert process.returncode == 0
    assert lines[0] == f"True {size}"
    same, total, kilobytes = lines[1].split()
    assert (same, int(total)) == ("True", size)
    assert int(kilobytes) < 64 * 1024
    assert (tmp_path / "out").stat().st_blocks * 512 < 4 << 20
    assert sum(path.stat().st_blocks for path in (tmp_path / "store").rglob("*")) * 512 < 4 << 20


def test_an_unreadable_file_is_named(passable_tmp: Path, root: None) -> None:
    tree = passable_tmp / "tree"
    tree.mkdir(mode=0o755)
    (tree / "secret").write_bytes(b"x")
    (tree / "secret").chmod(0o600)
    code = (
        "import sys; from tvixbuild_nb.castore import open_castore\n"
        "try: open_castore('memory:').ingest(sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__, error.path, bool(error.hint))"
    )
    user = 65534
    done = subprocess.run(
        [sys.executable, "-c", code, tree],
        env=os.environ | {"PYTHONPATH": PACKAGE},
        user=user,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["IngestError", str(tree / "secret"), "True"]


def test_importing_is_cheap() -> None:
    code = (
        "import sys, tvixbuild_nb.castore\n"
        "heavy = {'rich', 'tarfile', 'ahocorasick_rs', 'platformdirs', 'concurrent.futures', 'sqlite3'}\n"
        "heavy |= {'obstore', 'fsspec'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert python(code).communicate(timeout=60)[0].strip() == "[]"


def test_two_first_openings_at_once(tmp_path: Path) -> None:
    for round_number in range(3):
        store = tmp_path / str(round_number)
        code = (
            "import sys; from tvixbuild_nb.castore import *; print(open_castore(sys.argv[1]).ingest_bytes(b'x').digest)"
        )
        running = [python(code, store) for _ in range(6)]
        answers = {process.communicate(timeout=60)[0].strip() for process in running}
        assert answers == {str(Digest.of(b"x"))}
        with open_castore(store) as castore:
            assert castore.has_closure(FileNode(Digest.of(b"x"), 1))
