"""run.script(): the script alone, run with plain runc, gives the outputs, the log and the status of the run."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.cli import Command
from support.users import AsUser
from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.castore import Directory, DirectoryNode, FileNode, Node, SymlinkNode, open_castore
from tvixbuild_nb.errors import ExportError, InvalidValue
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.sandbox import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

_BUILD = r"""
id -u; cat /build/extra; echo "$TOKEN" | md5sum
mkdir -p /nix/store/out/bin
cat "/nix/store/it's/a b" > /nix/store/out/bin/run
chmod 755 /nix/store/out/bin/run
ln -s ../nowhere /nix/store/out/link
(stat -c '%a %n' /tmp /dev/shm /nix/store/it*; readlink /nix/store/link; find /nix/store/it* ) > /nix/store/out/seen
ln -s /nix/store/out /nix/store/second
"""


@pytest.fixture
def sandbox(passable_tmp: Path) -> Sandbox:
    store = open_castore(f"file:{passable_tmp / 'store'}")
    entries: dict[bytes, Node] = {
        b"a b": store.ingest_bytes(b"#!/bin/sh\n", executable=True),
        b"\xff\n": FileNode(store.ingest_bytes(b"").digest, 0),
        b"l": SymlinkNode(b"\xfe"),
    }
    directory = Directory(entries)
    return Sandbox(
        _BUILD,
        outputs=["nix/store/out", "nix/store/second"],
        env={"PATH": "/bin", "TOKEN": "pa\\ss&\"/w'ord"},
        secrets=["TOKEN"],
        inputs={"it's": DirectoryNode(store.directories.put(directory), directory.size), "link": SymlinkNode(b"it's")},
        additional_files={"build/extra": "extra\n"},
        store=store,
        builder=OCIBuildService(passable_tmp / "bundles", store),
    )


def _reproduced(script: Path, place: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    place.mkdir()
    return subprocess.run(
        ["/bin/sh", script], cwd=place, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env}, capture_output=True,
        stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip


def test_the_script_reproduces_a_run(sandbox: Sandbox, passable_tmp: Path, tmp_path: Path) -> None:
    run = sandbox.run(show=False, check=True)
    file = passable_tmp / "reproduce"
    script = Run.open(run.id).script(file)
    assert "TOKEN" in script.secrets and b"w'ord" not in file.read_bytes()
    for shell in (["dash"], ["busybox", "sh"], ["bash"]):
        subprocess.run([*shell, "-n"], input=str(script).encode(), check=True)

    refused = _reproduced(file, tmp_path / "refused")
    assert refused.returncode != 0 and b"secret" in refused.stderr
    done = _reproduced(file, tmp_path / "done", TOKEN="pa\\ss&\"/w'ord", TMPDIR=str(passable_tmp))
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == run.log.text()
    results = tmp_path / "done" / f"outputs-{run.id}"
    for path, tree in run.outputs.items():
        assert sandbox.store.ingest(results / path.replace("/", "-")) == tree.node
    assert sorted(each.name for each in passable_tmp.iterdir()) == ["bundles", "reproduce", "store"]

    run.script(passable_tmp / "again")
    assert (passable_tmp / "again").read_bytes() == file.read_bytes()
    with pytest.raises(ExportError, match="already"):
        run.script(file)


def test_a_failure_is_reproduced_too(
    sandbox: Sandbox, passable_tmp: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    sandbox.command = ["/bin/sh", "-c", "echo no >&2; exit 7"]
    sandbox.env, sandbox.secrets = {"PATH": "/bin"}, []
    run = sandbox.run(show=False, keep="never")
    Command(capfdbinary)("script", run.id, "-o", passable_tmp / "fails")
    done = _reproduced(passable_tmp / "fails", tmp_path / "done")
    missing = b"no\nthere is no output nix/store/out\nthere is no output nix/store/second\n"
    assert (done.returncode, done.stderr, run.exit_code) == (7, missing, 7)
    # Nothing is in the way of the next time.
    assert list((tmp_path / "done").iterdir()) == []


@pytest.mark.parametrize(
    ("script", "fields"),
    [
        ("cat /src/a > /nix/store/out", {"inputs_dir": ""}),
        (
            "cat /nix/store/src/a > '/nix/store/ü\\n\nt'",
            {"outputs": ["nix/store/ü\\n\nt"], "env": {"Ä": "wärt\n$x `y` \\"}},
        ),
        ("pwd; cat /src > /nix/store/out", {"working_dir": "some/where", "additional_files": {"src": "file\n"}}),
        ("cat /etc/resolv.conf > /nix/store/out; ls /sys/class/net", {"network_access": True}),
        ("ls -d /usr/bin/env > /nix/store/out", {"available_ro_paths": ["/usr"]}),
        ("id -u > /nix/store/out", {"options": SpecOptions.for_host(user={"uid": 0, "gid": 0})}),
        ("id -g > /nix/store/out; grep SigIgn /proc/self/status", {"runtime": "crun", "builder": "oci:"}),
        ("id -u > /nix/store/out", {"options": SpecOptions.for_host(terminal=True)}),
    ],
    ids=["inputs_dir", "names", "working_dir", "network", "ro_paths", "user", "crun", "terminal"],
)
def test_every_kind_of_request_is_reproduced(
    sandbox: Sandbox, passable_tmp: Path, tmp_path: Path, script: str, fields: dict[str, Any]
) -> None:
    store = sandbox.store
    directory = Directory({b"a": store.ingest_bytes(b"a\n")})
    node = DirectoryNode(store.directories.put(directory), directory.size)
    if "builder" in fields:
        fields = fields | {"builder": f"oci:{passable_tmp / 'other'}"}
    made = Sandbox(
        script,
        **{"outputs": ["nix/store/out"], "inputs": {"src": node}, "store": store, "builder": sandbox.builder} | fields,
    )
    run = made.run(show=False, check=True)
    run.script(passable_tmp / "script")
    done = _reproduced(passable_tmp / "script", tmp_path / "done", TMPDIR=str(passable_tmp))
    assert done.returncode == 0 and done.stdout.decode() == run.log.text(), done.stderr
    [tree] = run.outputs.values()
    [copied] = (tmp_path / "done" / f"outputs-{run.id}").iterdir()
    assert store.ingest(copied) == tree.node


def test_a_link_on_the_way_to_an_output_is_not_followed(sandbox: Sandbox, passable_tmp: Path, tmp_path: Path) -> None:
    sandbox.command = ["/bin/sh", "-c", "ln -s /etc /nix/store/a"]
    sandbox.outputs, sandbox.env, sandbox.secrets = ["nix/store/a/passwd"], {}, []
    run = sandbox.run(show=False, keep="never")
    assert not run.ok
    run.script(passable_tmp / "script")
    done = _reproduced(passable_tmp / "script", tmp_path / "done")
    assert b"a symlink leads to the output nix/store/a/passwd" in done.stderr
    assert list((tmp_path / "done").iterdir()) == []


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_nothing_is_left(
    sandbox: Sandbox, passable_tmp: Path, tmp_path: Path, shell: str, number: signal.Signals
) -> None:
    (passable_tmp / "tmp").mkdir()
    sandbox.command = ["/bin/sh", "-c", "trap '' INT TERM HUP; echo here; sleep 60; sleep 60"]
    sandbox.env, sandbox.secrets = {"PATH": "/bin"}, []
    run = sandbox.start(timeout=0.2, keep="never").wait()
    run.script(passable_tmp / "script")
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(passable_tmp / "tmp")}
    with subprocess.Popen(
        [shell, passable_tmp / "script"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(number)
        # The pipes end when the last process of the container has.
        assert process.communicate(timeout=30) == (b"", b"") and process.returncode == 128 + number
    assert list((passable_tmp / "tmp").iterdir()) == []


def test_a_secret_that_cannot_be_left_out_is_refused(sandbox: Sandbox) -> None:
    changes: list[dict[str, Any]] = [
        {"additional_files": {"build/extra": f"token = {sandbox.env['TOKEN']}\n"}},
        {"command": ["/bin/echo", sandbox.env["TOKEN"]]},
        {"env": {"TOKEN": "two\nlines"}},
    ]
    for change in changes:
        for name, value in change.items():
            setattr(sandbox, name, value)
        run = sandbox.run(show=False, keep="never")
        with pytest.raises(InvalidValue, match="secret"):
            run.script()


def test_an_ordinary_user_reproduces_it_too(as_user: AsUser) -> None:
    done = as_user(
        """
        import os, subprocess
        from tvixbuild_nb import Sandbox
        closed = "umask 077; mkdir -p a/b $out/d; cat /nix/store/src > $out/d/f; chmod 500 $out; touch a/b/c"
        sandbox = Sandbox(closed, outputs=["nix/store/out"], env={"PATH": "/bin", "out": "/nix/store/out"})
        sandbox.add_input("src", b"input")
        run = sandbox.run(show=False, check=True)
        run.script("reproduce")
        os.mkdir("tmp")
        env = {"PATH": os.environ["PATH"], "TMPDIR": "tmp"}
        done = subprocess.run(["./reproduce"], check=True, stdin=subprocess.DEVNULL, env=env, capture_output=True)
        assert sandbox.store.ingest(f"outputs-{run.id}/nix-store-out") == run.outputs["nix/store/out"].node
        assert os.listdir("tmp") == [] and done.stderr == b"", done.stderr
        """.replace("\n        ", "\n")
    )
    assert done.returncode == 0, done.stderr[-3000:]
