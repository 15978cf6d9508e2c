"""How runc and crun are called; both speak the same command line but for a few options."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Runtime:
    """An OCI runtime: path of the program, its kind (runc or crun), and a state directory of our own."""

    path: str
    kind: str
    state: str
    cgroups: bool

    @classmethod
    def from_message(cls, value: dict[str, Any]) -> Runtime:
        return cls(value["path"], value["kind"], value["state"], value["cgroups"])

    def command(self, log: str, *arguments: str) -> list[str]:
        """The argument list for one call; errors go to ``log`` as JSON lines."""
        options = ["--root", self.state, "--log", log, "--log-format", "json"]
        if self.kind == "crun":
            options.append(f"--cgroup-manager={'cgroupfs' if self.cgroups else 'disabled'}")
        elif not self.cgroups:
            # Rootless is runc's word for not insisting on cgroups; nothing else depends on it here.
            options += ["--rootless", "true"]
        return [self.path, *options, *arguments]

    def start(
        self, arguments: list[str], stdout: int, stderr: int, cwd: str, *,
        stdin: int = subprocess.DEVNULL, keep: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:  # fmt: skip
        """Start one call with the given descriptors (no input unless given), those to ``keep``, little environment."""
        return subprocess.Popen(
            arguments,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            pass_fds=tuple(keep),
            env={"PATH": os.environ.get("PATH") or os.defpath, "XDG_RUNTIME_DIR": self.state},
        )

    def delete(self, container: str, log: str) -> str | None:
        """Delete the container, running or not; None when it is gone, else the runtime's words."""
        done = subprocess.run(
            self.command(log, "delete", "-f", container),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
        text = done.stderr.decode("utf-8", "replace").strip()
        return None if done.returncode == 0 or "does not exist" in text else text


def last_error(log: str) -> str | None:
    """The last error message in a runtime's JSON log, or None."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    message = None
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("level") in ("error", "fatal") or "level" not in entry:
            message = entry.get("msg", message)
    return message
