"""A server as a process of its own, as the command line starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGE = str(Path(__file__).parents[2])


@dataclass(slots=True)
class Served:
    """A running server: its process, where it is called, where its store is, and the line in which it says so."""

    process: subprocess.Popen[str]
    address: str
    store: Path
    line: str

    def kill(self) -> None:
        """As the kernel ends it when memory is out: without a word."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> int:
        """As an administrator ends it; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def served(
    home: Path, *arguments: str, listen: str = "127.0.0.1:0", env: dict[str, str] | None = None
) -> Iterator[Served]:
    """A server that has its places below ``home``; it is ended with the block, and must have nothing to complain of."""
    places = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("DATA", "STATE", "CACHE", "CONFIG")}
    store = home / "store"
    command = [sys.executable, "-m", "tvixbuild_nb", "serve", "--listen", listen, *arguments]
    if "--store" not in arguments:
        command += ["--store", str(store)]
    environment = {**os.environ, "PYTHONPATH": PACKAGE, **places, **(env or {})}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        timer = threading.Timer(60, process.kill)
        timer.start()
        line = process.stdout.readline()
        timer.cancel()
        found = re.search(r" at (grpc\+\S+)$", line)
        assert found is not None, line
        yield Served(process, found[1], store, line)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
