"""A notebook kernel as a process of its own, that builds and can be killed; and the family of processes below it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.users import REPO, AsUser

PATIENCE = 40.0

PRELUDE = """
import json, os, sys, threading, time
from pathlib import Path
from tvixbuild_nb import Run, Sandbox
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import TvixBuildError

PLACE = Path(os.environ["FAULT_PLACE"])
store = open_castore("file:" + os.environ.get("FAULT_STORE", str(PLACE / "store")))
bundles = os.environ.get("FAULT_BUNDLES", str(PLACE / "bundles"))
service = OCIBuildService(bundles, store, runtime=os.environ.get("FAULT_RUNTIME", "runc"))

def say(**values):
    print(json.dumps(values), flush=True)

def sandbox(command, **fields):
    return Sandbox(command, store=store, builder=service, **fields)

def await_text(run, text, seconds=40):
    deadline = time.monotonic() + seconds
    while text not in run.log.text():
        if not run.running:
            raise AssertionError(f"{run} without {text!r}: {run.log.text()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"no {text!r} in time: {run.log.text()}")
        time.sleep(0.01)

def await_no_bundles(root, seconds=20):
    # A run's last directories may go a moment after its end.
    deadline = time.monotonic() + seconds
    while (left := [path.name for path in root.iterdir() if path.is_dir()]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left

def verdict(run):
    run.wait(60)
    return dict(
        id=run.id, status=run.status, failed_at=run.failed_at, message=run.message, hint=run.result.hint,
        exit_code=run.exit_code, signal=run.signal, degraded=list(run.degraded), inputs=run.result.inputs,
        bundle=None if run.bundle is None else str(run.bundle), log=run.log.text()[-2000:],
        outputs=sorted(run.outputs),
    )

def until_told(name, seconds=60):
    deadline = time.monotonic() + seconds
    while not (PLACE / name).exists():
        if time.monotonic() > deadline:
            raise AssertionError(f"nobody made {name}")
        time.sleep(0.01)
"""


class Kernel:
    """A running program in the kernel's place: what it says (``say(**values)``) is read with :meth:`hear`."""

    def __init__(self, process: subprocess.Popen[str], place: Path, state: Path) -> None:
        self.process = process
        self.place = place
        self.state = state
        self._buffer = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def bundles(self) -> list[Path]:
        """The bundles that stand, kept ones included."""
        root = self.place / "bundles"
        return sorted(path for path in root.glob("*") if path.is_dir() and "." in path.name or "kept-" in path.name)

    def hear(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next thing it says; AssertionError with its standard error when it ends or is silent instead."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        fd = self.process.stdout.fileno()
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise AssertionError(f"silent for {seconds} s; {self._words()}")
            chunk = os.read(fd, 1 << 16)
            if not chunk:
                raise AssertionError(f"ended without a word: {self._words()}")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        values: dict[str, Any] = json.loads(line)
        return values

    def tell(self, name: str) -> None:
        """Let ``until_told(name)`` go on."""
        (self.place / name).touch()

    def end(self, seconds: float = PATIENCE) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(seconds)

    def _words(self) -> str:
        self.process.kill()
        _, err = self.process.communicate()
        return err

    def close(self) -> None:
        """End it, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.communicate()


class Kernels:
    """Starts kernels of one person, all in the same place with one store and one bundle root."""

    def __init__(self, place: Path, state: Path, as_user: AsUser | None) -> None:
        self.place = place
        self.state = state
        self._as_user = as_user
        self._started: list[Kernel] = []

    def start(self, program: str, before: str = "", **env: str) -> Kernel:
        """Run ``program`` after the prelude; ``env`` may name FAULT_STORE, FAULT_BUNDLES, FAULT_RUNTIME.

        ``before`` is a shell script that root runs first, in a mount namespace of the kernel's own.
        """
        code = PRELUDE + program
        env = {"FAULT_PLACE": str(self.place), **env}
        if self._as_user is not None:
            process = self._as_user.popen(code, env=env, before=before)
        else:
            entry = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", f'{before}\nexec "$@"', "sh"]
            process = subprocess.Popen(
                [*(entry if before else []), sys.executable, "-c", code],
                env={**os.environ, "PYTHONPATH": str(REPO), **env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        kernel = Kernel(process, self.place, self.state)
        self._started.append(kernel)
        return kernel

    def run(self, program: str, before: str = "", **env: str) -> list[dict[str, Any]]:
        """Run ``program`` to its end: everything it said; AssertionError when it ends badly."""
        kernel = self.start(program, before, **env)
        try:
            out, err = kernel.process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {kernel._words()}") from None
        assert kernel.process.returncode == 0, err
        return [json.loads(line) for line in out.splitlines()]

    def close(self) -> None:
        for kernel in self._started:
            kernel.close()

    def cgroups(self) -> list[str]:
        """The cgroups of this place's builds that are still there."""
        found = []
        for path in (self.state / "tvixbuild-nb" / "runs").glob("*/config.json"):
            name = json.loads(path.read_text())["linux"].get("cgroupsPath")
            if name is not None:
                found += [str(path) for path in _cgroups(name.split("/")[1])]
        return found


def _cgroups(name: str) -> Iterator[Path]:
    top = Path("/sys/fs/cgroup")
    for base in (top, *top.glob("*")):
        if (base / name).is_dir():
            yield base / name


# -- the family below a kernel --------------------------------------------------------------------


def children(pid: int) -> list[int]:
    """The processes whose parent is ``pid``."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and _stat(int(name))[1:2] == [str(pid)]:
            found.append(int(name))
    return sorted(found)


def descendants(pid: int) -> list[int]:
    """Everything below ``pid``."""
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def command(pid: int) -> str:
    """The command line, blanks between the arguments; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def name(pid: int) -> str:
    """What ps shows; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    return _stat(pid)[:1] not in ([], ["Z"], ["X"])


class Family:
    """Who is who below a kernel whose build's command line holds ``mark``."""

    def __init__(self, kernel: int, mark: str) -> None:
        self.kernel = kernel
        self.outer = _only(pid for pid in children(kernel) if "keeper.outer" in command(pid))
        self.inner = _only(pid for pid in children(self.outer) if "keeper.outer" in command(pid))
        self.fs = _only(pid for pid in children(self.inner) if "fs.server" in command(pid))
        self.view = _only(pid for pid in children(self.fs) if name(pid) == "tvixbuild-view")
        self.supervisor = _only(pid for pid in children(self.inner) if name(pid) == "tvixbuild-build")
        # The command may speak before runc ends; only then is it the supervisor's child.
        eventually(lambda: self._inits(mark), "the build's first process is the supervisor's child")
        self.init = _only(self._inits(mark))

    def _inits(self, mark: str) -> list[int]:
        return [pid for pid in children(self.supervisor) if mark in command(pid)]

    def all(self) -> list[int]:
        return [self.outer, *descendants(self.outer)]


def _only(pids: Any) -> int:
    (found,) = pids
    return int(found)


def eventually(true: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait until ``true()``; AssertionError naming ``what`` when it does not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def gone(pids: list[int]) -> Callable[[], bool]:
    """Whether none of ``pids`` runs any more, as a question to be asked again."""
    return lambda: not any(alive(pid) for pid in pids)
