"""The fixtures other tests stand on: what they promise holds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.leftovers import Leftovers
from support.users import AsUser

pytestmark = pytest.mark.integration
TESTS = Path(__file__).parents[1]


def test_as_user_is_somebody_else_with_a_home(as_user: AsUser) -> None:
    done = as_user("import os; print(os.getuid()); open(os.environ['HOME'] + '/x', 'w').close()", check=True)
    assert int(done.stdout) == as_user.user.uid != 0
    assert (as_user.home / "x").stat().st_uid == as_user.user.uid


def test_as_user_can_import_the_package_and_open_fuse(as_user: AsUser) -> None:
    if os.geteuid() != 0 and not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("/dev/fuse is closed to this user")
    as_user("import tvixbuild_nb, os; os.close(os.open('/dev/fuse', os.O_RDWR))", check=True)


def test_as_user_has_subordinate_ids(as_user: AsUser, root: None) -> None:
    for kind in ("subuid", "subgid"):
        assert f"{as_user.user.name}:" in Path(f"/etc/{kind}").read_text()


def test_as_user_has_no_terminal(as_user: AsUser) -> None:
    assert as_user(["sh", "-c", "exec 3</dev/tty"]).returncode != 0


def test_processes_and_mounts_left_behind_are_found(root: None, tmp_path: Path) -> None:
    left = Leftovers("0" * 32, [tmp_path])
    assert left.find() == []
    script = f"mount -t tmpfs none {tmp_path}; echo; exec sleep 60"
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script], env={**os.environ, "TVIXBUILD_NB_TEST_MARK": left.mark}, stdout=-1
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        time.sleep(0.05)
        kinds = sorted(line.split()[0] for line in left.find())
    finally:
        process.kill()
        process.communicate()
    assert kinds == ["mount", "process"]
    assert left.wait() == []


@pytest.mark.parametrize("where", ["mark", "module"])
def test_in_ci_a_skip_is_a_failure(where: str, tmp_path: Path) -> None:
    folder = tmp_path / "integration"
    folder.mkdir()
    lines = {
        "mark": "@pytest.mark.integration\ndef test_x(): pytest.skip('no such thing here')",
        "module": "pytest.skip('no such thing here', allow_module_level=True)",
    }
    (folder / "test_x.py").write_text(f"import pytest\n{lines[where]}\n")
    command = [sys.executable, "-m", "pytest", "-n0", "-c", str(TESTS.parent / "pyproject.toml"), "-p", "conftest"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    # pytest's own words for it: 1 a test failed, 2 collecting failed, 5 no test was left.
    for ci, status in (("true", 1 if where == "mark" else 2), ("", 0 if where == "mark" else 5)):
        done = subprocess.run(
            [*command, "--rootdir", str(tmp_path), "-p", "no:cacheprovider", str(folder)],
            env={**environment, "CI": ci},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout
        assert "no such thing here" in done.stdout
