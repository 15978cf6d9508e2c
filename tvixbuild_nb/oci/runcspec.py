"""The configuration that ``runc spec`` writes: what runc itself takes for a beginning."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tvixbuild_nb.errors import HostRefused

PATIENCE = 20.0


def runc_spec() -> dict[str, Any]:
    """Run ``runc spec`` in a temporary directory and read what it wrote; :class:`HostRefused` when it cannot be had."""
    program = shutil.which("runc", path=None) or shutil.which("runc", path="/usr/sbin:/sbin:/usr/bin")
    if program is None:
        raise HostRefused("runc is not installed", path="runc", hint="sudo apt-get install runc")
    with tempfile.TemporaryDirectory(prefix="tvixbuild-spec-") as directory:
        try:
            subprocess.run(
                [program, "spec"],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                timeout=PATIENCE,
                # A notebook's stop button is not meant for it.
                start_new_session=True,
            )
            config: dict[str, Any] = json.loads(Path(directory, "config.json").read_bytes())
        except subprocess.CalledProcessError as error:
            text = error.stderr.decode("utf-8", "replace").strip()
            raise HostRefused(f"runc spec failed: {text or error.returncode}", path=program) from None
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise HostRefused(f"runc spec failed: {error}", path=program) from None
    return config
