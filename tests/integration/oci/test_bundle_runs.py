"""Rendered bundles really run: the real runc, as root and as an ordinary user, without castore and FUSE.

What the inputs' view would show is copied into the bundle's inputs/ here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.leftovers import Leftovers
from support.users import AsUser
from tvixbuild_nb.castore import Digest, Directory, DirectoryNode, FileNode, SymlinkNode, directory_digest
from tvixbuild_nb.oci import Bundle, SpecOptions, User, find_shell, plan_on_host
from tvixbuild_nb.request import BuildConstraints, BuildRequest

pytestmark = pytest.mark.integration

FILE = FileNode(Digest.of(b"hello\n"), 6)


@pytest.fixture(autouse=True)
def needed(root: None) -> None:
    if shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
        pytest.skip("needs runc")
    if find_shell() is None:
        pytest.skip("needs a static shell: busybox-static")


class Sandbox:
    """Plans, makes and runs a bundle in a directory, as root."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.chmod(0o711)
        self.bundle: Bundle

    def run(
        self,
        script: str,
        *,
        options: SpecOptions | None = None,
        files: Mapping[str, str] | None = None,
        directories: Mapping[Digest, Directory] | None = None,
        network: bool = False,
        **changes: Any,
    ) -> str:
        fields: dict[str, Any] = {
            "command_args": ["/bin/sh", "-euc", script],
            "working_dir": "build",
            "scratch_paths": ["build", "nix/store"],
            "inputs_dir": "nix/store",
            "environment_vars": {"PATH": "/bin"},
            "constraints": BuildConstraints(system="x86_64-linux", provide_bin_sh=True, network_access=network),
        }
        request = BuildRequest(**{**fields, **changes})
        lookup = dict(directories or {}).get
        plan = plan_on_host(
            request, options or SpecOptions.for_host(), self.directory / uuid.uuid4().hex, lookup=lookup
        )
        self.bundle = Bundle.create(plan)
        self.bundle.give(plan)
        for path, text in (files or {}).items():
            target = self.bundle.inputs / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        self.outputs = plan.outputs
        command = ["runc", "--root", str(self.directory / "state"), "run", "--bundle", str(self.bundle.path)]
        done = subprocess.run(
            [*command, f"test-{uuid.uuid4().hex}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def sandbox(passable_tmp: Path, no_leftovers: Leftovers) -> Iterator[Sandbox]:
    yield Sandbox(passable_tmp)
    # Deleting bundles is the keeper's work, which is not part of this.
    for config in passable_tmp.glob("*/config.json"):
        shutil.rmtree(config.parent)


def test_the_whole_sandbox(sandbox: Sandbox) -> None:
    out = sandbox.run(
        """
        id -u; id -g; whoami
        grep -c nixbld /etc/group; cat /etc/hosts
        stat -c %a /tmp; echo x > /tmp/mine && cat /tmp/mine
        readlink /nix/store/link
        cat /nix/store/file hello.c /opt/data
        ! echo x 2>/dev/null > /opt/data || echo writable
        echo more >> hello.c
        ! touch /sys/kernel/x 2>/dev/null || echo writable
        head -c 4 /etc/os-release; ! echo x 2>/dev/null > /etc/os-release || echo writable
        echo made > /nix/store/out
        """,
        inputs={"link": SymlinkNode(b"/etc"), "file": FILE},
        files={"file": "hello\n"},
        additional_files={"build/hello.c": "int x;\n", "opt/data": "data\n"},
        constraints=BuildConstraints(system="x", provide_bin_sh=True, available_ro_paths=["/etc/os-release"]),
        outputs=["nix/store/out"],
    )
    lines = out.splitlines()
    os_release = Path("/etc/os-release").read_text()[:4]
    assert lines[:3] == ["1000", "100", "nixbld"]
    assert lines[3:6] == ["1", "127.0.0.1 localhost", "::1 localhost"]
    assert lines[6:] == ["1777", "x", "/etc", "hello", "int x;", "data", os_release]
    (output,) = sandbox.outputs
    assert output.read_text() == "made\n"


def test_nothing_below_sys_is_writable(sandbox: Sandbox) -> None:
    mounts = sandbox.run("cat /proc/self/mountinfo", scratch_paths=["build"])
    below = [line.split() for line in mounts.splitlines() if line.split()[4].startswith("/sys")]
    # The tmpfs over /sys/fs/cgroup is the container's own; everything of the host's is read-only.
    writable = [fields[4] for fields in below if "ro" not in fields[5].split(",") and "tmpfs" not in fields]
    assert below and writable == []


def test_no_id_inside_is_the_hosts_root(sandbox: Sandbox) -> None:
    maps = sandbox.run("cat /proc/self/uid_map /proc/self/gid_map")
    assert all(int(line.split()[1]) > 0 for line in maps.splitlines())


def test_nested_scratch_paths_and_inputs_inside(sandbox: Sandbox) -> None:
    sandbox.run(
        "cat in/x; echo outer > /build/o; echo inner > /build/sub/i; pwd; touch here",
        scratch_paths=["build", "build/sub"],
        inputs_dir="build/sub/in",
        inputs={"x": FILE},
        files={"x": "hello\n"},
        working_dir="build/sub",
        outputs=["build/o", "build/sub/i"],
    )
    assert [path.read_text() for path in sandbox.outputs] == ["outer\n", "inner\n"]


def test_a_scratch_path_over_tmp_and_places_made_at_run_time(sandbox: Sandbox) -> None:
    out = sandbox.run(
        "pwd; cat /dev/in/f; echo a > /tmp/out; touch /dev/shm/s/x",
        scratch_paths=["dev/shm/s", "tmp"],
        inputs_dir="dev/in",
        inputs={"f": FILE},
        files={"f": "hello\n"},
        working_dir="dev/work",
        outputs=["tmp/out"],
    )
    assert out.splitlines() == ["/dev/work", "hello"]
    assert sandbox.outputs[0].read_text() == "a\n"


def test_inputs_at_the_root_with_the_shell_inside_one(sandbox: Sandbox) -> None:
    below = Directory({b"sh": FILE, b"tool": FILE})
    usr = Directory({b"bin": DirectoryNode(directory_digest(below), below.size)})
    out = sandbox.run(
        "cat /usr/bin/tool; readlink /bin",
        inputs_dir="",
        inputs={"bin": SymlinkNode(b"usr/bin"), "usr": DirectoryNode(directory_digest(usr), usr.size)},
        files={"usr/bin/sh": "", "usr/bin/tool": "hello\n"},
        directories={directory_digest(below): below, directory_digest(usr): usr},
    )
    assert out.splitlines() == ["hello", "usr/bin"]


def test_options_take_effect(sandbox: Sandbox) -> None:
    out = sandbox.run(
        "id -u; hostname; ulimit -n; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status",
        options=SpecOptions.for_host(
            user=User(uid=7, gid=8), hostname="box", rlimits={"NOFILE": 64}, capabilities=["KILL"],
            no_new_privileges=False,
        ),
    )  # fmt: skip
    lines = out.split()
    assert lines[:3] == ["7", "box", "64"]
    assert int(lines[4], 16) == 1 << 5 and lines[-1] == "0"


def test_with_few_namespaces(sandbox: Sandbox) -> None:
    out = sandbox.run("hostname; echo $$", options=SpecOptions.for_host().replace(namespaces=["mount", "user"]))
    assert out.split()[0] == os.uname().nodename and out.split()[1] != "1"


def test_with_the_network(sandbox: Sandbox) -> None:
    out = sandbox.run("cat /etc/hosts; ls /sys/class/net", network=True)
    assert Path("/etc/hosts").read_text().strip() in out


USER_SCRIPT = """
import json, subprocess, sys, uuid
from pathlib import Path
from tvixbuild_nb.oci import Bundle, SpecOptions, plan_on_host
from tvixbuild_nb.request import BuildConstraints, BuildRequest

request = BuildRequest(
    command_args=["/bin/sh", "-euc", "id -u; echo x > /tmp/t; echo made > out; cat /build/f"],
    working_dir="build", scratch_paths=["build"], outputs=["build/out"], additional_files={"build/f": "text"},
    constraints=BuildConstraints(system="x", provide_bin_sh=True))
plan = plan_on_host(request, SpecOptions.for_host(namespaces=False), Path.home() / uuid.uuid4().hex)
bundle = Bundle.create(plan)
command = ["runc", "--root", str(Path.home() / "state"), "run", "--bundle", str(bundle.path), "u" + uuid.uuid4().hex]
done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
output = plan.outputs[0].read_text() if done.returncode == 0 else None
print(json.dumps([done.returncode, done.stdout, done.stderr, output]))
"""


def test_an_ordinary_user_without_a_namespace_of_the_keepers(as_user: AsUser) -> None:
    as_user.home.chmod(0o711)
    done = as_user(USER_SCRIPT, check=True)
    status, out, err, output = json.loads(done.stdout)
    assert status == 0, err
    assert (out, output) == ("1000\ntext", "made\n")
