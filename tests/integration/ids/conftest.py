"""Kernels of root and of an ordinary user, in namespaces where more of /sys is mounted than most hosts have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kernels import Kernels
from support.leftovers import Leftovers
from support.users import AsUser


@pytest.fixture
def root_kernels(root: None, passable_tmp: Path, tmp_path: Path, no_leftovers: Leftovers) -> Iterator[Kernels]:
    """Kernels of root."""
    kernels = Kernels(passable_tmp, tmp_path / "xdg-state", None)
    yield kernels
    kernels.close()


@pytest.fixture
def user_kernels(as_user: AsUser, no_leftovers: Leftovers) -> Iterator[Kernels]:
    """Kernels of an ordinary user."""
    kernels = Kernels(as_user.home, as_user.home / ".local" / "state", as_user)
    yield kernels
    kernels.close()
