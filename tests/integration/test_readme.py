"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tvixbuild_nb
from tvixbuild_nb.nix import DIFFERENCES

REPO = Path(__file__).parents[2]
README = (REPO / "README.md").read_text()


@pytest.mark.integration
def test_the_ten_lines_run(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "SO MUCH DEPENDS" in done.stdout and "succeeded" in done.stdout


def test_every_room_is_named() -> None:
    rooms = {path.name for path in Path(tvixbuild_nb.__file__).parent.iterdir() if (path / "__init__.py").exists()}
    for room in rooms - {"proto"}:
        assert f"| `{room}` |" in README


def test_the_differences_from_nix_are_told_and_no_others() -> None:
    table = README.partition("## What differs from Nix\n")[2].partition("\n## ")[0]
    told = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert told == [f"| {each.name} | {each.nix} | {each.ours} | {each.reason} |" for each in DIFFERENCES]
