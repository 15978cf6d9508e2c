"""Scratch directories that begin as a copy of another bundle's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tvixbuild_nb.errors import SetupFailed
from tvixbuild_nb.keeper.trees import remove


def seed(source: Path, scratch: Path) -> None:
    """Put a copy of every directory in ``source`` in place of the one in ``scratch``; :class:`SetupFailed` otherwise.

    Owners, modes, times and holes are kept, and blocks are shared where the file system can.
    """
    for name in sorted(os.listdir(source)):
        remove(str(scratch / name))
        done = subprocess.run(
            ["cp", "-a", "--reflink=auto", source / name, scratch / name],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        if done.returncode != 0:
            raise SetupFailed(f"the scratch directories cannot be copied: {done.stderr.strip()}", path=source / name)
