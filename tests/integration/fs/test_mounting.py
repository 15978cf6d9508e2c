"""mount() for people, and the probe, on the real FUSE."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.fs_trees import File, plant
from support.users import AsUser
from tvixbuild_nb.castore import Digest, DirectoryNode, open_castore
from tvixbuild_nb.errors import FuseError, NotFound
from tvixbuild_nb.fs import mount, probe_fuse

pytestmark = pytest.mark.integration

PROGRAM = """
import sys
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.fs import mount
castore = open_castore(sys.argv[1])
node = castore.ingest(sys.argv[2])
mount(castore, node, sys.argv[3], on_ready=lambda _: print("mounted", flush=True))
print("unmounted", flush=True)
"""


def start(tmp_path: Path) -> tuple[subprocess.Popen[str], Path]:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/hello").write_text("hello")
    mountpoint = tmp_path / "mnt"
    mountpoint.mkdir()
    package = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, f"file:{tmp_path}/store", str(tmp_path / "src"), str(mountpoint)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(package)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "mounted\n"
    return process, mountpoint


def is_mounted(path: Path) -> bool:
    # os.path.ismount also says no where a mount is there and its process is dead.
    return f" {path} " in Path("/proc/self/mountinfo").read_text()


def test_in_the_foreground_until_interrupted(tmp_path: Path) -> None:
    process, mountpoint = start(tmp_path)
    assert (mountpoint / "hello").read_text() == "hello"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "unmounted\n"
    assert process.returncode == 0
    assert not is_mounted(mountpoint)


def test_in_the_foreground_until_unmounted(tmp_path: Path) -> None:
    process, mountpoint = start(tmp_path)
    subprocess.run(["umount", mountpoint], check=True)
    assert process.communicate(timeout=20)[0] == "unmounted\n"


def test_a_killed_owner_leaves_no_mount(tmp_path: Path) -> None:
    process, mountpoint = start(tmp_path)
    process.kill()
    process.wait()
    for _ in range(1000):
        if not is_mounted(mountpoint):
            break
        signal.sigtimedwait([], 0.01)
    assert not is_mounted(mountpoint)
    assert os.listdir(mountpoint) == []


def test_in_the_background_as_a_context_manager(tmp_path: Path) -> None:
    with open_castore(f"file:{tmp_path}/store") as castore:
        node = plant(castore, {b"a": File(b"x")})
        (tmp_path / "mnt").mkdir()
        with mount(castore, node, tmp_path / "mnt", foreground=False) as mounted:
            assert (mounted.mountpoint / "a").read_bytes() == b"x"
            assert os.getxattr(mounted.mountpoint / "a", "user.tvix.castore.blob.digest").startswith(b"b3:")
        assert os.listdir(tmp_path / "mnt") == []
        mounted.unmount()


def test_what_cannot_be_mounted_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(FuseError, match="cannot see the store memory:"):
        mount(open_castore("memory:"), {}, tmp_path)
    with open_castore(f"file:{tmp_path}/store") as castore:
        with pytest.raises(FuseError, match="not a directory"):
            mount(castore, {}, tmp_path / "nowhere")
        with pytest.raises(FuseError, match="only a directory"):
            mount(castore, castore.ingest_bytes(b""), tmp_path)
        with pytest.raises(NotFound):
            mount(castore, DirectoryNode(Digest.of(b"?"), 0), tmp_path)


def test_the_probe_mounts() -> None:
    probe = probe_fuse()
    assert probe.works, probe.error
    assert probe.by_binding is None
    assert probe.binding is not None and probe.binding in str(probe.through)
    assert (probe.direct is None) == str(probe.through).startswith("/dev/fuse")


AS_USER = """
import os, tempfile
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.fs import mount, probe_fuse
probe = probe_fuse()
print(probe.works, probe.direct.message, probe.through == probe.binding)
with tempfile.TemporaryDirectory() as place, open_castore(f"file:{place}/store") as castore:
    os.mkdir(f"{place}/mnt")
    with mount(castore, {b"f": castore.ingest_bytes(b"inside")}, f"{place}/mnt", foreground=False):
        print(open(f"{place}/mnt/f").read())
"""


def test_who_may_not_mount_directly_mounts_through_the_binding(as_user: AsUser) -> None:
    result = as_user(AS_USER, check=True)
    first, second = result.stdout.splitlines()
    assert first.startswith("True mounting is not allowed here")
    assert first.endswith("True")
    assert second == "inside"


IN_NAMESPACES = """
import os, sys
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.fs import mount
castore = open_castore(sys.argv[1])
with mount(castore, {b"f": castore.ingest_bytes(b"inside")}, sys.argv[2], foreground=False, allow_other=True):
    print(open(sys.argv[2] + "/f").read(), os.stat(sys.argv[2] + "/f").st_uid)
"""


def test_in_a_user_and_mount_namespace_of_its_own(tmp_path: Path, root: None) -> None:
    (tmp_path / "mnt").mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"]
    result = subprocess.run(
        [*command, sys.executable, "-c", IN_NAMESPACES, f"file:{tmp_path}/store", str(tmp_path / "mnt")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        timeout=60,
    )
    assert (result.returncode, result.stdout) == (0, "inside 0\n")
    assert os.listdir(tmp_path / "mnt") == []
