"""An account of an ordinary person, and running things as that person, as a fresh log-in would.

The account is made by ``useradd -m`` the first time a test needs it and removed by the last test process that used
it; lock files keep parallel workers and parallel runs from removing it under one another.
"""

from __future__ import annotations

import copy
import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

NAME = "tvixbuild-nb-test"
REPO = Path(__file__).resolve().parents[2]
LOCKS = Path("/var/tmp")
IDS = 65536


@dataclass(frozen=True, slots=True)
class OrdinaryUser:
    """Somebody who is not root: ``subids`` says whether /etc/subuid and /etc/subgid hold a range for them."""

    name: str
    uid: int
    gid: int
    home: Path


@contextmanager
def ordinary_user() -> Iterator[OrdinaryUser]:
    """The account while it is in use; the caller must be root."""
    with open(LOCKS / f"{NAME}.gate", "w") as gate, open(LOCKS / f"{NAME}.use", "w") as use:
        with _locked(gate):
            user = _account()
            fcntl.flock(use, fcntl.LOCK_SH)
        try:
            yield user
        finally:
            with _locked(gate):
                fcntl.flock(use, fcntl.LOCK_UN)
                _remove_if_unused(use)


@contextmanager
def _locked(file: IO[str]) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _account() -> OrdinaryUser:
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        _run("useradd", "--create-home", "--shell", "/bin/sh", NAME)
        entry = pwd.getpwnam(NAME)
    for kind, option in (("subuid", "--add-subuids"), ("subgid", "--add-subgids")):
        ranges = [line.split(":") for line in _lines(Path("/etc") / kind)]
        if not any(name in (NAME, str(entry.pw_uid)) for name, _, _ in ranges):
            start = max([100_000, *(int(first) + int(count) for _, first, count in ranges)])
            _run("usermod", option, f"{start}-{start + IDS - 1}", NAME)
    return OrdinaryUser(NAME, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


def _remove_if_unused(use: IO[str]) -> None:
    try:
        fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    # A process of this user that is still ending makes userdel refuse: then the next run reuses the account.
    subprocess.run(["userdel", "--remove", NAME], capture_output=True, check=False)
    fcntl.flock(use, fcntl.LOCK_UN)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text().split() if line.count(":") == 2]
    except FileNotFoundError:
        path.touch(0o644)
        return []


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True)


class AsUser:
    """Runs commands as ``user`` in a private mount namespace where /dev/fuse is open to all, without a terminal.

    ``as_user(argv)`` or ``as_user(code)`` (a string is Python code) waits and returns the CompletedProcess with text;
    ``as_user.popen(...)`` starts it. ``before`` is a shell script that root runs in the private mount namespace first,
    to take something away; ``wrap`` goes before the command, such as ``["setpriv", "--no-new-privs"]``. The process
    has the user's HOME and XDG directories and can import the package even when the checkout lies in a closed
    directory. When the tests do not run as root, ``user`` is whoever runs them.
    """

    def __init__(self, user: OrdinaryUser, work: Path) -> None:
        self.user = user
        self.home = user.home
        self._work = work
        self._mounts: list[tuple[str, str]] = []
        self.python, self.repo = sys.executable, str(REPO)
        if os.geteuid() == 0:
            self._open_fuse()
            self._open_checkout()

    def at(self, home: Path) -> AsUser:
        """The same with another home directory."""
        other = copy.copy(self)
        other.home = home
        return other

    def __call__(
        self, command: Sequence[str] | str, *, timeout: float = 90, check: bool = False, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        process = self.popen(command, **options)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"still running after {timeout} s: {command}\n{out}\n{err}") from None
        done = subprocess.CompletedProcess(command, process.returncode, out, err)
        if check and done.returncode != 0:
            raise AssertionError(f"exit status {done.returncode}: {command}\n{out}\n{err}")
        return done

    def popen(
        self,
        command: Sequence[str] | str,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        before: str = "",
        wrap: Sequence[str] = (),
    ) -> subprocess.Popen[str]:
        argv = [self.python, "-c", command] if isinstance(command, str) else list(command)
        return subprocess.Popen(
            [*self._entry(before), *wrap, *argv],
            env=self._environment(env or {}),
            cwd=cwd or self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _entry(self, before: str) -> list[str]:
        if os.geteuid() != 0:
            if before:
                pytest.skip("needs root: simulates a host by mounting over parts of it")
            return []
        user = self.user
        script = "".join(f"mount --bind '{source}' '{target}'\n" for source, target in self._mounts)
        become = f'exec setpriv --reuid={user.uid} --regid={user.gid} --init-groups -- "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", f"{script}{before}\n{become}", "sh"]

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        home = str(self.home)
        own = {
            "HOME": home,
            "USER": self.user.name,
            "LOGNAME": self.user.name,
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": self.repo,
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_DATA_HOME": f"{home}/.local/share",
            "XDG_STATE_HOME": f"{home}/.local/state",
            "XDG_CACHE_HOME": f"{home}/.cache",
            "XDG_CONFIG_HOME": f"{home}/.config",
        }
        marks = {key: value for key, value in os.environ.items() if key.startswith("TVIXBUILD_NB_TEST")}
        return {**own, **marks, **extra}

    def _open_fuse(self) -> None:
        device = Path("/dev/fuse")
        if not device.exists() or stat.S_IMODE(device.stat().st_mode) & 0o006 == 0o006:
            return
        node = self._work / "fuse"
        os.mknod(node, stat.S_IFCHR | 0o666, device.stat().st_rdev)
        node.chmod(0o666)
        self._mounts.append((str(node), str(device)))

    def _open_checkout(self) -> None:
        prefix = Path(sys.prefix)
        for place in (REPO, prefix):
            if place.is_relative_to(self.repo) or _passable(place):
                continue
            there = self._work / place.name.lstrip(".")
            there.mkdir()
            self._mounts.append((str(place), str(there)))
            self.repo = self.repo.replace(str(place), str(there))
            self.python = self.python.replace(str(place), str(there))


def _passable(path: Path) -> bool:
    """Whether anybody may walk to and list ``path``."""
    return path.stat().st_mode & 0o5 == 0o5 and all(parent.stat().st_mode & 0o1 for parent in path.parents)


@contextmanager
def passable_directory() -> Iterator[Path]:
    """A fresh directory every user (and every mapped id) can walk to, removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="tvixbuild-nb-test-", dir="/var/tmp"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
