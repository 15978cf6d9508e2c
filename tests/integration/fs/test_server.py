"""The server process on the real FUSE: traces, faults, deaths."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fs_trees import File, Link, plant
from tvixbuild_nb.castore import Castore, Digest, DirectoryNode, FileNode, open_castore
from tvixbuild_nb.errors import FuseError
from tvixbuild_nb.fs import AccessTrace, InputAccess, ViewServer, view_description

pytestmark = pytest.mark.integration


@pytest.fixture
def castore(tmp_path: Path) -> Iterator[Castore]:
    with open_castore(f"file:{tmp_path}/store") as castore:
        yield castore


@pytest.fixture(params=["direct", "fusepy"])
def transport(request: pytest.FixtureRequest) -> str:
    if request.param == "direct" and os.geteuid() != 0:
        pytest.skip("needs root: only root mounts without fusermount")
    return str(request.param)


@pytest.fixture
def server(transport: str) -> Iterator[ViewServer]:
    with ViewServer(transport) as server:
        yield server


@pytest.fixture
def mountpoint(tmp_path: Path) -> Path:
    path = tmp_path / "mnt"
    path.mkdir()
    return path


@pytest.fixture
def view(castore: Castore, tmp_path: Path) -> Path:
    node = plant(
        castore,
        {b"bin": {b"hello": File(b"hello", True), b"\xff": File(b"odd")}, b"empty": File(b""), b"link": Link(b"bin")},
    )
    path = tmp_path / "view.json"
    path.write_text(view_description(castore.address, {b"src": node, b"other": node}, xattrs=True))
    return path


def touch_everything(mountpoint: Path) -> None:
    root = os.fsencode(mountpoint) + b"/src"
    os.listdir(root)
    for name in (b"/bin/hello", b"/bin/\xff", b"/empty"):
        with open(root + name, "rb") as file:
            file.read()
    os.readlink(root + b"/link")
    for name in (b"/nope", b"/bin/nope"):
        assert not os.path.lexists(root + name)
        assert not os.path.lexists(root + name)


def test_the_trace_of_the_tenth_view_is_as_complete_as_the_first(
    server: ViewServer, view: Path, mountpoint: Path, tmp_path: Path
) -> None:
    expected = InputAccess(
        looked_up=("", "bin", "bin/hello", "bin/\udcff", "empty", "link"),
        opened=("bin/hello", "bin/\udcff", "empty"),
        listed=("",),
        read={"bin/hello": 5, "bin/\udcff": 3},
        missing=("bin/nope", "nope"),
    )
    for number in range(10):
        with server.mount(view, mountpoint, trace=tmp_path / f"{number}.json"):
            touch_everything(mountpoint)
        trace = AccessTrace.from_json((tmp_path / f"{number}.json").read_bytes())
        assert trace.inputs["src"] == expected
        assert trace.unused == ("other",)
        assert trace.faults == ()


def test_the_trace_is_there_when_the_end_is_reported_and_not_before(
    server: ViewServer, view: Path, mountpoint: Path, tmp_path: Path
) -> None:
    mounted = server.mount(view, mountpoint, trace=tmp_path / "trace.json")
    assert not (tmp_path / "trace.json").exists()
    assert mounted.wait(0) is False
    mounted.unmount()
    assert (tmp_path / "trace.json").exists()
    mounted.unmount()


def test_without_a_trace_nothing_is_written_and_reading_works(
    server: ViewServer, view: Path, mountpoint: Path, tmp_path: Path
) -> None:
    before = set(tmp_path.iterdir())
    with server.mount(view, mountpoint):
        touch_everything(mountpoint)
        touch_everything(mountpoint)
        assert (mountpoint / "src/bin/hello").read_bytes() == b"hello"
    assert set(tmp_path.iterdir()) == before


def test_extended_attributes(server: ViewServer, view: Path, mountpoint: Path) -> None:
    with server.mount(view, mountpoint):
        name = b"user.tvix.castore.blob.digest"
        path = mountpoint / "src/bin/hello"
        assert os.listxattr(path) == [name.decode()]
        assert os.getxattr(path, name).startswith(b"b3:")
        assert os.listxattr(mountpoint / "src") == ["user.tvix.castore.directory.digest"]
        with pytest.raises(OSError):
            os.getxattr(path, b"user.other")


def test_many_views_at_once_each_with_its_own_trace(server: ViewServer, view: Path, tmp_path: Path) -> None:
    places = [tmp_path / f"m{i}" for i in range(5)]
    for place in places:
        place.mkdir()
    views = [server.mount(view, place, trace=f"{place}.json") for place in places]
    for i, place in enumerate(places):
        os.path.lexists(place / "src" / f"n{i}")
    for mounted in views:
        mounted.unmount()
    for i, place in enumerate(places):
        trace = AccessTrace.from_json(Path(f"{place}.json").read_text())
        assert trace.inputs["src"].missing == (f"n{i}",)


def test_a_missing_blob_or_directory_is_an_error_not_a_hang(
    server: ViewServer, castore: Castore, mountpoint: Path, tmp_path: Path
) -> None:
    lost = Digest.of(b"never stored")
    entries = {b"file": FileNode(lost, 12), b"dir": DirectoryNode(lost, 2)}
    (tmp_path / "view.json").write_text(view_description(castore.address, entries))
    with server.mount(tmp_path / "view.json", mountpoint, trace=tmp_path / "t.json") as mounted:
        for act in (
            lambda: (mountpoint / "file").read_bytes(),
            lambda: os.listdir(mountpoint / "dir"),
            lambda: os.stat(mountpoint / "dir" / "x"),
        ):
            with pytest.raises(OSError, match="Input/output error"):
                act()
        assert sorted(os.listdir(mountpoint)) == ["dir", "file"]
    faults = "\n".join(mounted.faults)
    assert f"open /file: {lost.hex()}: the store does not hold this blob" in faults
    assert "/dir" in faults
    assert AccessTrace.from_json((tmp_path / "t.json").read_text()).faults == mounted.faults


def test_a_killed_view_shows_as_end_of_file_and_leaves_no_mount(
    server: ViewServer, view: Path, mountpoint: Path, tmp_path: Path
) -> None:
    mounted = server.mount(view, mountpoint, trace=tmp_path / "t.json")
    os.kill(mounted.pid, signal.SIGKILL)
    with pytest.raises(FuseError, match="died"):
        mounted.wait(10)
    wait_until(lambda: os.listdir(mountpoint) == [])
    assert not (tmp_path / "t.json").exists()
    with server.mount(view, mountpoint):
        assert (mountpoint / "src").is_dir()


def test_sigterm_ends_a_view_in_good_order_though_a_file_is_open(
    server: ViewServer, view: Path, mountpoint: Path, tmp_path: Path
) -> None:
    mounted = server.mount(view, mountpoint, trace=tmp_path / "t.json")
    fd = os.open(mountpoint / "src/bin/hello", os.O_RDONLY)
    os.kill(mounted.pid, signal.SIGTERM)
    assert mounted.wait(10)
    with contextlib.suppress(OSError):  # its file system is gone
        os.close(fd)
    assert os.listdir(mountpoint) == []
    assert AccessTrace.from_json((tmp_path / "t.json").read_text()).inputs["src"].opened == ("bin/hello",)


def test_the_end_of_the_control_socket_ends_everything(
    transport: str, view: Path, tmp_path: Path, mountpoint: Path
) -> None:
    server = ViewServer(transport)
    mounted = server.mount(view, mountpoint, trace=tmp_path / "t.json")
    server.close()
    assert os.listdir(mountpoint) == []
    assert mounted.wait(10)
    assert not Path(f"/proc/{mounted.pid}").exists()
    with pytest.raises(FuseError, match="server is gone"):
        server.mount(view, mountpoint)


def test_a_killed_server_takes_its_views_along(transport: str, view: Path, mountpoint: Path) -> None:
    server = ViewServer(transport)
    mounted = server.mount(view, mountpoint)
    try:
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(FuseError, match="died"):
            mounted.wait(10)
    finally:
        server.close()
        os.system(f"umount -l '{mountpoint}'")
    assert os.listdir(mountpoint) == []


def test_a_mount_that_fails_says_why(server: ViewServer, view: Path, mountpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(FuseError, match="the mount point does not exist") as caught:
        server.mount(view, tmp_path / "nowhere")
    assert caught.value.hint
    (mountpoint / "full").touch()
    with pytest.raises(FuseError, match="not empty"):
        server.mount(view, mountpoint)
    (mountpoint / "full").unlink()
    with pytest.raises(FuseError, match="no-such-view"):
        server.mount(tmp_path / "no-such-view", mountpoint)
    with server.mount(view, mountpoint):
        assert (mountpoint / "src").is_dir()


def test_a_store_that_is_not_there_is_an_error(server: ViewServer, mountpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "view.json").write_text(view_description(f"file:{tmp_path}/nowhere", {}))
    with pytest.raises(FuseError, match="nowhere"):
        server.mount(tmp_path / "view.json", mountpoint)


def test_a_request_that_is_none_does_not_end_the_server(server: ViewServer, view: Path, mountpoint: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        socket.send_fds(server._control, [b"not json"], [theirs.fileno()])
        theirs.close()
        assert "not a request" in json.loads(ours.recv(4096))["error"]
    with server.mount(view, mountpoint):
        assert (mountpoint / "src").is_dir()


def test_blobs_stored_after_the_mount_can_be_read(castore: Castore, server: ViewServer, tmp_path: Path) -> None:
    node = castore.ingest_bytes(b"first")
    late = FileNode(Digest.of(b"later"), 5)
    mountpoint = tmp_path / "mnt"
    mountpoint.mkdir()
    (tmp_path / "view.json").write_text(view_description(castore.address, {b"a": node, b"b": late}))
    with server.mount(tmp_path / "view.json", mountpoint):
        assert (mountpoint / "a").read_bytes() == b"first"
        assert castore.ingest_bytes(b"later") == late
        assert (mountpoint / "b").read_bytes() == b"later"


def wait_until(condition: object, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
