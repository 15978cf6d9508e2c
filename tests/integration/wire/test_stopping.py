"""Uploads are ended by whoever asks, whatever the other side does; several go at once and tell how far they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.served import PACKAGE, Served
from tvixbuild_nb.build import CancelToken
from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, FileNode, open_castore, sync
from tvixbuild_nb.castore.encoding import encode_node
from tvixbuild_nb.castore.progress import Silent
from tvixbuild_nb.castore.remote import upload
from tvixbuild_nb.errors import Cancelled
from tvixbuild_nb.sandbox import Sandbox

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

# Seconds in which whoever asks for an end has it; keepalive alone would take thirty.
SOON = 5.0
LARGE, COUNT = 192 << 20, 4


@contextmanager
def asleep(server: Served) -> Iterator[None]:
    """A server that neither takes nor answers anything, and is not gone."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


@pytest.fixture
def large(near: Castore) -> DirectoryNode:
    """A directory of a few large files, and many small ones."""
    files = {}
    for number in range(COUNT):
        with near.blobs.open_write() as writer:
            for part in range(LARGE >> 20):
                writer.write((number * 1000 + part).to_bytes(8, "big") * (1 << 17))
            files[b"large%d" % number] = FileNode(writer.close(), LARGE)
    for number in range(300):
        files[b"small%d" % number] = near.ingest_bytes(b"%d" % number)
    directory = Directory(files)
    return DirectoryNode(near.directories.put(directory), directory.size)


class Meanwhile(Silent):
    """Progress that does something once, when so many bytes were sent."""

    def __init__(self, count: int, event: threading.Event) -> None:
        super().__init__()
        self._count = count
        self._event = event

    def advance(self, files: int = 0, bytes: int = 0) -> None:
        super().advance(files, bytes)
        if self.bytes >= self._count:
            self._event.set()


@pytest.mark.parametrize("when", ["at the first question", "in the middle"])
def test_a_server_that_does_nothing_any_more(server: Served, near: Castore, large: DirectoryNode, when: str) -> None:
    with open_castore(server.address) as far:
        assert not far.has(large)
        cancel, under_way, ended = CancelToken(), threading.Event(), threading.Event()
        errors: list[BaseException] = []

        def work() -> None:
            try:
                upload(near, far, [large], Meanwhile(8 << 20, under_way), cancel=cancel)
            except BaseException as error:
                errors.append(error)
            ended.set()

        thread = threading.Thread(target=work)
        if when == "in the middle":
            thread.start()
            assert under_way.wait(60)
        with asleep(server):
            if not thread.is_alive():
                thread.start()
            assert not ended.wait(1.0)
            cancel.cancel()
            assert ended.wait(SOON)
        thread.join()
        (error,) = errors
        assert isinstance(error, Cancelled)
        assert not far.has(large)
        # The connection is as good as before.
        assert upload(near, far, [large], Silent()) and far.has_closure(large)
        assert not upload(near, far, [large], Silent()), "there was nothing left to send"


def test_it_is_part_of_the_run(server: Served, near: Castore, large: DirectoryNode) -> None:
    sb = Sandbox("ls /nix/store/in | wc -l", store=near, builder=server.address)
    sb.add_input("in", large)
    # Known by now, as in a notebook that has built there before.
    assert Sandbox("true", store=near, builder=sb.builder).run(show=False).ok
    with asleep(server):
        begun = time.monotonic()
        run = sb.start()
        assert time.monotonic() - begun < SOON and run.running
        time.sleep(1.0)
        assert run.running and run.bringing is not None and server.address in run.bringing.title
        run.cancel()
        run.wait(SOON)
        assert run.bringing is None and run.status == "cancelled" and [event.type for event in run.events][-1] == "end"
    assert sb.run(show=False).log.text() == f"{COUNT + 300}\n"


CLIENT = """
import sys
from tvixbuild_nb.castore import open_castore, sync
from tvixbuild_nb.castore.encoding import decode_node
from tvixbuild_nb.castore.progress import Silent
from tvixbuild_nb.castore.remote import upload

class Telling(Silent):
    told = False
    def advance(self, files=0, bytes=0):
        super().advance(files, bytes)
        if self.bytes > 8 << 20 and not self.told:
            self.told = True
            print("under way", flush=True)

node = decode_node(bytes.fromhex(sys.argv[3]), named=False)[1]
with open_castore(sys.argv[1]) as near, open_castore(sys.argv[2]) as far:
    try:
        match sys.argv[4]:
            case "upload":
                upload(near, far, [node], Telling())
            case "sync":
                sync(near, far, [node], progress=Telling())
            case "export":
                far.export(node, sys.argv[5], progress=Telling())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    ("how", "sleeping"), [("upload", True), ("upload", False), ("sync", True), ("sync", False), ("export", True)]
)
def test_who_presses_stop_is_heard(
    server: Served, near: Castore, large: DirectoryNode, tmp_path: Path, how: str, sleeping: bool
) -> None:
    if how == "export":
        assert sync(near, server.address, [large]).blobs == COUNT + 300
    exported = tmp_path / "exported"
    node = encode_node(b"x", large).hex()
    command = [sys.executable, "-c", CLIENT, near.address, server.address, node, how, str(exported)]
    environment = os.environ | {"PYTHONPATH": PACKAGE}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as client:
        assert client.stdout is not None and client.stdout.readline() == "under way\n"
        if sleeping:
            server.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(0.2)
            client.send_signal(signal.SIGINT)
            asked = time.monotonic()
            assert client.stdout.readline() == "interrupted\n"
            assert client.wait(30) == 0
            assert time.monotonic() - asked < SOON
        finally:
            server.process.send_signal(signal.SIGCONT)
    with open_castore(server.address) as far:
        assert far.has(large) == (how == "export") and not exported.exists()


def test_several_go_at_once_and_it_tells_how_far_it_is(server: Served, near: Castore, large: DirectoryNode) -> None:
    class Watching(Silent):
        """Who told of what, in order."""

        def __init__(self) -> None:
            super().__init__()
            self.told: list[tuple[int, int, int]] = []

        def advance(self, files: int = 0, bytes: int = 0) -> None:
            super().advance(files, bytes)
            self.told.append((threading.get_ident(), files, bytes))

    watching = Watching()
    with open_castore(server.address) as far:
        assert upload(near, far, [large], watching)
    assert (watching.files, watching.bytes) == (COUNT + 300, COUNT * LARGE + sum(len(b"%d" % n) for n in range(300)))
    # The large ones by three threads whose chunks are mixed: no one waits for another one's last.
    large_ones = [thread for thread, _, size in watching.told if size == 1 << 20]
    threads = list(dict.fromkeys(large_ones))
    assert len(threads) == 3 and max(size for _, _, size in watching.told) == 1 << 20
    firsts, lasts = (
        [order.index(thread) for thread in threads] for order in (large_ones, large_ones[::-1])
    )  # fmt: skip
    assert max(firsts) < len(large_ones) - 1 - max(lasts)
