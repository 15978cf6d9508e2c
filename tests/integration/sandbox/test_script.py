"""run.script(): the script alone, run with plain runc, gives the outputs, the log and the status of the run."""

from __future__ import annotations

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
    assert (done.returncode, done.stderr, run.exit_code) == (7, b"no\n", 7)


def test_a_secret_that_cannot_be_left_out_is_refused(sandbox: Sandbox) -> None:
    changes: list[dict[str, Any]] = [{"command": ["/bin/echo", sandbox.env["TOKEN"]]}, {"env": {"TOKEN": "two\nlines"}}]
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
        sandbox = Sandbox("cat /nix/store/src > /nix/store/out; chmod 755 /nix/store/out", outputs=["nix/store/out"])
        sandbox.add_input("src", b"input")
        run = sandbox.run(show=False, check=True)
        run.script("reproduce")
        subprocess.run(["./reproduce"], check=True, stdin=subprocess.DEVNULL)
        assert sandbox.store.ingest(f"outputs-{run.id}/nix-store-out") == run.outputs["nix/store/out"].node
        """.replace("\n        ", "\n")
    )
    assert done.returncode == 0, done.stderr[-3000:]
