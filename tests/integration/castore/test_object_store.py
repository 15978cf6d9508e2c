"""The store on S3's API, with moto's server in a process of its own; what dies, is damaged, or refuses."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas
import pytest
from obstore.store import S3Store

from support.s3 import keys
from tvixbuild_nb import Sandbox
from tvixbuild_nb.castore import Castore, Digest, Directory, DirectoryNode, SymlinkNode, open_castore, sync
from tvixbuild_nb.errors import DigestMismatch, StoreError

pytestmark = pytest.mark.integration

PACKAGE = str(Path(__file__).parents[3])
CHUNK = 4 << 20


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": PACKAGE}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def store(castore: Castore, data: bytes) -> Digest:
    with castore.blobs.open_write() as writer:
        writer.write(data)
        return writer.close()


class TestStoring:
    @pytest.mark.parametrize("size", [0, 5, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 17])
    def test_blobs_of_all_sizes(self, castore: Castore, size: int) -> None:
        data = random.Random(size).randbytes(size)
        digest = store(castore, data)
        assert castore.blobs.size(digest) == size
        stream, reader = castore.blobs.open_read(digest), castore.blobs.reader(digest)
        assert stream is not None and reader is not None
        assert stream.read() == data
        assert reader.pread(max(0, CHUNK - 3), 9) == data[max(0, CHUNK - 3) :][:9]
        assert reader.pread(size - 1 if size else 0, 100) == data[-1:]

    def test_a_tree_there_and_back(self, castore: Castore, objects: S3Store, tmp_path: Path) -> None:
        noise = random.Random(3)
        for number in range(40):
            path = tmp_path / "tree" / f"d{number % 5}" / f"f{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(noise.randbytes(noise.choice([0, 100, 9000])))
        (tmp_path / "tree/big").write_bytes(noise.randbytes(2 * CHUNK + 5))
        (tmp_path / "tree/link").symlink_to("big")
        node = castore.ingest(tmp_path / "tree")
        assert isinstance(node, DirectoryNode)
        # A second process of another machine: it knows the address and the environment.
        with open_castore(castore.address, read_only=True) as other:
            assert other.has_closure(node)
            assert len(list(other.directories.get_closure(node.digest))) == 6
            other.export(node, tmp_path / "copy")
            with pytest.raises(StoreError, match="read-only"):
                other.ingest_bytes(b"x")
            with pytest.raises(StoreError, match="read-only"):
                other.directories.put(Directory({}))
        with open_castore("memory:") as memory:
            assert memory.ingest(tmp_path / "copy") == memory.ingest(tmp_path / "tree") == node
        assert {key.split("/")[2] for key in keys(objects)} == {"version", "blobs", "chunks", "directories"}

    def test_many_processes_and_two_first_openings(self, bucket: str, tmp_path: Path) -> None:
        (tmp_path / "big").write_bytes(random.Random(1).randbytes(3 * CHUNK))
        code = (
            "import sys; from tvixbuild_nb.castore import open_castore\n"
            "with open_castore(sys.argv[1]) as c: print(c.ingest(sys.argv[2]).digest, c.ingest_bytes(b'x').digest)"
        )
        running = [python(code, f"objectstore+s3://{bucket}", tmp_path / "big") for _ in range(3)]
        answers = {process.communicate(timeout=120)[0] for process in running}
        assert [process.returncode for process in running] == [0] * 3
        (answer,) = answers
        with open_castore(f"objectstore+s3://{bucket}") as castore:
            assert castore.blobs.missing(map(Digest.from_hex, answer.split())) == set()

    @pytest.mark.slow
    def test_two_thousand_small_blobs_are_quick(self, castore: Castore) -> None:
        blobs = [b"blob %d" % number for number in range(2000)]
        start = time.monotonic()
        with castore.batch() as batch:
            batch.put_blobs([(Digest.of(data), data) for data in blobs])
            batch.commit()
        stored = time.monotonic()
        absent = Digest.of(b"absent")
        assert castore.blobs.missing([absent, *map(Digest.of, blobs)]) == {absent}
        asked = time.monotonic()
        # One after another they take 2000 ways there and back: many times as long, on a line that deserves the name.
        print(f"2000 blobs: stored in {stored - start:.1f} s, asked for in {asked - stored:.1f} s")
        assert stored - start < 60
        assert asked - stored < 20


UPLOAD = """
import sys, random
from tvixbuild_nb.castore import open_castore
with open_castore(sys.argv[1]) as castore, castore.blobs.open_write() as writer:
    noise = random.Random(7)
    for number in range(16):
        writer.write(noise.randbytes(4 << 20))
        print(number, flush=True)
        if number == 9:
            sys.stdin.read()
"""


class TestDying:
    def test_a_killed_upload_leaves_nothing_and_is_continued(self, castore: Castore, objects: S3Store) -> None:
        noise = random.Random(7)
        data = b"".join(noise.randbytes(CHUNK) for _ in range(16))
        digest = Digest.of(data)
        process = python(UPLOAD, castore.address)
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "9":
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not castore.blobs.has(digest)
        assert castore.blobs.reader(digest) is None
        kinds = [key.split("/")[2] for key in keys(objects)]
        assert "blobs" not in kinds
        assert 4 <= kinds.count("chunks") <= 10
        assert store(castore, data) == digest
        stream = castore.blobs.open_read(digest)
        assert stream is not None and stream.read() == data

    def test_an_aborted_ingest_shows_no_directory(self, castore: Castore, tmp_path: Path) -> None:
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree/a").write_bytes(b"a")
        os.mkfifo(tmp_path / "tree/b")
        with pytest.raises(Exception, match="FIFO|pipe"):
            castore.ingest(tmp_path / "tree")
        found = castore.everything()
        assert found is not None
        assert list(found[0]) == []


SYNC = """
import sys
from tvixbuild_nb.castore import sync
print(sync(sys.argv[1], sys.argv[2]).blobs)
"""


# Dies when it has read 700 blobs, of which at most 12 groups of 32 are not yet written.
DYING = """
import os, signal, sys
from tvixbuild_nb.castore import sync
from tvixbuild_nb.castore.progress import Silent

class Dying(Silent):
    def advance(self, files=0, bytes=0):
        super().advance(files, bytes)
        if self.files > 700:
            os.kill(os.getpid(), signal.SIGKILL)

sync(sys.argv[1], sys.argv[2], progress=Dying())
"""


class TestSync:
    @pytest.mark.slow
    def test_a_killed_one_is_continued(self, castore: Castore, tmp_path: Path) -> None:
        noise = random.Random(11)
        with open_castore(tmp_path / "source") as source:
            contents = [noise.randbytes(20_000) for _ in range(1200)]
            files = {b"f%d" % number: source.ingest_bytes(data) for number, data in enumerate(contents)}
            top = Directory(dict(files))
            node = DirectoryNode(source.directories.put(top), top.size)
            process = python(DYING, tmp_path / "source", castore.address)
            assert process.wait(timeout=120) == -signal.SIGKILL
            assert castore.directories.get(node.digest) is None
            left = sync(source, castore, dry_run=True)
            assert 0 < left.blobs < 900 and left.blobs + left.blobs_there == 1200
            assert sync(source, castore) == left
            assert castore.has_closure(node)

    def test_two_at_once(self, castore: Castore, tmp_path: Path) -> None:
        with open_castore(tmp_path / "source") as source:
            for number in range(300):
                source.ingest_bytes(b"%d" % number)
            large = source.ingest_bytes(random.Random(2).randbytes(3 * CHUNK))
        running = [python(SYNC, tmp_path / "source", castore.address) for _ in range(2)]
        assert all(int(process.communicate(timeout=120)[0]) <= 301 for process in running)
        assert sync(str(tmp_path / "source"), castore).blobs == 0
        stream = castore.blobs.open_read(large.digest)
        assert stream is not None and Digest.of(stream.read()) == large.digest


def test_a_build_with_such_a_store(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVIXBUILD_NB_STORE", f"objectstore+s3://{bucket}/builds")
    sandbox = Sandbox(command="tr a-z A-Z < /nix/store/src > /nix/store/loud", outputs=["nix/store/loud"])
    sandbox.add_input("src", b"name,count\nalpha,1\n")
    run = sandbox.run(timeout=60, check=True)
    assert run.outputs["nix/store/loud"].read_text() == "NAME,COUNT\nALPHA,1\n"
    assert list(pandas.read_csv(run.outputs["nix/store/loud"].url)["COUNT"]) == [1]


@pytest.mark.slow
def test_a_gibibyte_takes_little_memory(castore: Castore, tmp_path: Path) -> None:
    noise = random.Random(4).randbytes(1 << 20)
    with open(tmp_path / "big", "wb") as file:
        for number in range(1024):
            file.write(number.to_bytes(4) + noise[4:])
    process = python(BIG, castore.address, tmp_path / "big")
    answer = process.communicate(timeout=170)[0].split()
    assert process.returncode == 0
    size, storing, reading = map(int, answer)
    print(f"1 GiB: {storing / 1024:.0f} MiB while storing, {reading / 1024:.0f} MiB with reading it again")
    assert size == 1 << 30
    assert storing < 160 * 1024 and reading < 256 * 1024


BIG = """
import sys
from tvixbuild_nb.castore import open_castore

def rss():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])

with open_castore(sys.argv[1]) as castore:
    castore.ingest_bytes(b"warm up")
    start = rss()
    node = castore.ingest(sys.argv[2])
    storing = rss() - start
    total = 0
    with castore.tree(node).open() as stream:
        while data := stream.read(1 << 20):
            total += len(data)
    print(total, storing, rss() - start)
"""


def test_without_the_library_it_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['obstore'] = sys.modules['fsspec'] = None\n"
        "from tvixbuild_nb.castore import open_castore\n"
        "castore = open_castore('memory:')\n"
        "for call in (lambda: open_castore('objectstore+memory:'), castore.tree(castore.ingest_bytes(b'')).fsspec):\n"
        "    try: call()\n"
        "    except Exception as error: print(type(error).__name__, error.hint)\n"
    )
    hint = "pip install 'tvixbuild-nb[stores]'"
    assert python(code).communicate(timeout=60)[0].splitlines() == [f"StoreError {hint}", f"CastoreError {hint}"]


class TestDamage:
    @pytest.mark.parametrize("damage", [b"other bytes", b"", None])
    @pytest.mark.parametrize("size", [100, 2 * CHUNK])
    def test_it_names_the_digest_and_is_mended(
        self, castore: Castore, objects: S3Store, size: int, damage: bytes | None
    ) -> None:
        data = random.Random(size).randbytes(size)
        digest = store(castore, data)
        kind = "blobs" if size < CHUNK else "chunks"
        place = next(key for key in keys(objects) if f"/{kind}/" in key)
        if damage is None:
            if kind == "blobs":
                return  # what is not there is not damaged
            objects.delete(place)
        else:
            objects.put(place, damage)
        with pytest.raises(DigestMismatch, match=str(digest)):
            stream = castore.blobs.open_read(digest)
            assert stream is not None
            stream.read()
        # From now on it counts as absent, so that storing it again mends it.
        assert castore.blobs.missing([digest]) == {digest}
        assert store(castore, data) == digest
        with open_castore(castore.address) as other:
            stream = other.blobs.open_read(digest)
            assert stream is not None and stream.read() == data

    def test_of_a_part_of_a_large_blob(self, castore: Castore, objects: S3Store) -> None:
        data = random.Random(0).randbytes(3 * CHUNK)
        digest = store(castore, data)
        middle = Digest.of(data[CHUNK : 2 * CHUNK])
        place = next(key for key in keys(objects) if key.endswith(str(middle)))
        objects.put(place, bytes(CHUNK))
        reader = castore.blobs.reader(digest)
        assert reader is not None
        assert reader.pread(0, 10) == data[:10]
        with pytest.raises(DigestMismatch, match=f"(?s){digest}.*chunk 1 of 3"):
            reader.pread(CHUNK + 5, 10)

    def test_of_a_list_of_chunks(self, castore: Castore, objects: S3Store) -> None:
        digest = store(castore, bytes(range(256)) * (CHUNK // 128))
        (place,) = (key for key in keys(objects) if "/blobs/" in key)
        whole = bytes(objects.get(place).bytes())
        objects.put(place, whole[:-32])
        with pytest.raises(DigestMismatch, match=f"(?s){digest}.*list of chunks is damaged"):
            castore.blobs.open_read(digest)

    def test_of_a_list_that_is_another_blobs(self, castore: Castore, objects: S3Store) -> None:
        digests = [store(castore, bytes([number]) * 2 * CHUNK) for number in (1, 2)]
        places = [next(key for key in keys(objects) if key.endswith(f"/{digest}")) for digest in digests]
        objects.put(places[0], bytes(objects.get(places[1]).bytes()))
        with pytest.raises(DigestMismatch, match=f"(?s){digests[0]}.*another blob's"):
            castore.blobs.reader(digests[0])

    def test_of_a_forged_list(self, castore: Castore, objects: S3Store) -> None:
        digests = [store(castore, bytes([number]) * 2 * CHUNK) for number in (1, 2)]
        places = [next(key for key in keys(objects) if key.endswith(f"/{digest}")) for digest in digests]
        forged = bytes(objects.get(places[1]).bytes()).replace(digests[1], digests[0])[:-32]
        objects.put(places[0], forged + Digest.of(forged))
        stream = castore.blobs.open_read(digests[0])
        assert stream is not None
        with pytest.raises(DigestMismatch, match=str(digests[0])):
            stream.read()

    def test_of_a_directory(self, castore: Castore, objects: S3Store) -> None:
        digest = castore.directories.put(Directory({b"a": SymlinkNode(b"b")}))
        (place,) = (key for key in keys(objects) if "/directories/" in key)
        objects.put(place, b"")
        with pytest.raises(DigestMismatch, match=str(digest)):
            castore.directories.get(digest)

    def test_a_blob_that_looks_like_a_list_of_chunks(self, castore: Castore, objects: S3Store) -> None:
        large = store(castore, bytes(2 * CHUNK))
        (place,) = (key for key in keys(objects) if key.endswith(f"/{large}"))
        data = bytes(objects.get(place).bytes())
        node = castore.ingest_bytes(data)
        stream = castore.blobs.open_read(node.digest)
        assert stream is not None and stream.read() == data
        assert castore.blobs.size(node.digest) == len(data)
