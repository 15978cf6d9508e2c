"""Kernels of root and of an ordinary user, and a runtime that can be caught while it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kernels import Kernels, eventually
from support.leftovers import Leftovers


@pytest.fixture(params=["root", "user"])
def kernels(request: pytest.FixtureRequest, tmp_path: Path, no_leftovers: Leftovers) -> Iterator[Kernels]:
    """Starts kernels as root and as an ordinary user; afterwards no process, mount, bundle or cgroup is left."""
    yield from make_kernels(request, tmp_path, request.param)


@pytest.fixture
def root_kernels(request: pytest.FixtureRequest, tmp_path: Path, no_leftovers: Leftovers) -> Iterator[Kernels]:
    """Kernels of whoever runs the tests."""
    yield from make_kernels(request, tmp_path, "root" if os.geteuid() == 0 else "user")


def make_kernels(request: pytest.FixtureRequest, tmp_path: Path, who: str) -> Iterator[Kernels]:
    if who == "root":
        request.getfixturevalue("root")
        place: Path = request.getfixturevalue("passable_tmp")
        kernels = Kernels(place, tmp_path / "xdg-state", None)
    else:
        as_user = request.getfixturevalue("as_user")
        kernels = Kernels(as_user.home, as_user.home / ".local" / "state", as_user)
    try:
        yield kernels
        eventually(lambda: not kernels.cgroups(), "no cgroup of a build is left", 5)
    finally:
        kernels.close()


@pytest.fixture
def slow_runc(passable_tmp: Path) -> Path:
    """A runc whose first ``run`` never gets anywhere; it is itself by then, so that it can be killed."""
    script = passable_tmp / "bin" / "runc"
    script.parent.mkdir(mode=0o755)
    marks = passable_tmp / "marks"
    marks.mkdir()
    marks.chmod(0o777)
    script.write_text(
        f"""#!/bin/sh
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
for word in "$@"; do
    if [ "$word" = run ] && mkdir {marks}/first 2>/dev/null; then exec sleep 1000; fi
done
exec runc "$@"
"""
    )
    script.chmod(0o755)
    return script
