"""The owner's side of the keeper: start it, hand it builds, hear what became of them."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from tvixbuild_nb.errors import KeeperError
from tvixbuild_nb.keeper.ids import SubordinateRange, subordinate_range
from tvixbuild_nb.keeper.messages import Message, channel, receive, send

START_TIMEOUT = 30.0
END_TIMEOUT = 10.0
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tvixbuild_nb.keeper.outer import main; main()"


@dataclass(frozen=True, slots=True)
class KeeperOptions:
    """``fs_command`` starts the file-system server (its socket's number is appended), None for none.

    ``namespaces``: False never asks for namespaces of its own; True asks, and falls back where they
    are refused (then ``Keeper.degraded`` says why).
    """

    fs_command: tuple[str, ...] | None
    namespaces: bool = True


@dataclass(frozen=True, slots=True)
class RuntimePlan:
    """An OCI runtime: program, kind (runc or crun), state directory of our own, whether cgroups are used."""

    path: str
    kind: str
    state: str
    cgroups: bool


@dataclass(frozen=True, slots=True)
class ViewPlan:
    """Inputs as a FUSE view: ``spec`` is the view file, ``trace`` the file for accesses or None.

    ``store`` is the address of the store that holds them. ``shared`` is a key under ``home`` for a warm
    view that several builds may use, or None.
    """

    spec: str
    store: str
    trace: str | None
    allow_other: bool
    shared: str | None
    home: str


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """Everything the keeper needs to know of one build; paths are absolute, ids as the keeper sees them.

    The bundle need hold only ``inputs/`` when the plan is sent: the rest is there before :meth:`RunChannel.go`.

    own: (path below the bundle, uid, gid) to be handed to the sandbox's user before the start
    user: uid and gid of the sandbox's user, who may reopen the output pipes; None leaves them
    timeout, silent_timeout, grace: seconds; in all, without output, and between SIGTERM and SIGKILL
    hold: make the container and never execute its command: others enter it
    observe: file for what the container looks like before it starts, or None
    processors: how many it may use, None for all of them
    sample: file for what it uses while it goes on
    processes: file for who waited for what when time was up
    door: directory for the socket through which others enter
    cgroup: name of the parent cgroup, or None
    adopt: uid and gid that the scratch tree is given to after the run, or None
    seeded: whether the scratch tree is a copy of one that was given away so
    janitor: a bundle whose container makes the scratch tree readable (no namespaces), or None
    """

    bundle: str
    container: str
    runtime: RuntimePlan
    view: ViewPlan | None
    own: Sequence[tuple[str, int, int]]
    user: tuple[int, int] | None
    log: str
    index: str
    timeout: float | None
    silent_timeout: float | None
    grace: float
    hold: bool
    observe: str | None
    processors: int | None
    sample: str
    processes: str
    door: str
    terminal: bool
    cgroup: str | None
    adopt: tuple[int, int] | None
    seeded: bool
    janitor: str | None


class RunChannel:
    """One running build, seen from the owner: its messages in order, and the way to cancel it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def next(self, timeout: float) -> Message | None:
        """The next message, or None after ``timeout`` seconds; :class:`KeeperError` when the keeper died."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        if not poll.poll(timeout * 1000):
            return None
        try:
            received = receive(self._sock)
        except ConnectionResetError:
            received = None
        if received is None:
            raise KeeperError("the keeper process died", hint="the build was ended with it; run it again")
        return received[0]

    def go(self) -> None:
        """The bundle is complete: the keeper may start what is in it."""
        self._say("go")

    def cancel(self) -> None:
        """Ask the keeper to end the build; from any thread, more than once."""
        self._say("cancel")

    def discard(self) -> None:
        """After ``gone``: have the keeper remove the bundle, without waiting for it."""
        self._say("discard")

    def _say(self, op: str) -> None:
        try:
            send(self._sock, {"op": op})
        except OSError:
            # The keeper is gone or done; next() tells which.
            return

    def close(self) -> None:
        self._sock.close()


class Keeper:
    """The keeper process of this Python process. Safe to be used by several threads."""

    def __init__(self, options: KeeperOptions) -> None:
        self.options = options
        self.degraded: str | None = None
        self.namespaces = False
        self.cgroups_refused: str | None = None
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the keeper
        self._process, self._sock = self._start(options.namespaces)

    def _start(self, namespaces: bool) -> tuple[subprocess.Popen[bytes], socket.socket]:
        config: dict[str, Any] = {"namespaces": namespaces, "fs_command": self.options.fs_command}
        if namespaces and os.geteuid() != 0:
            config.update(own_ranges())
        ours, theirs = channel()
        root = str(Path(__file__).resolve().parents[2])
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, root, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                start_new_session=True,
            )
        send(ours, config)
        try:
            answer = RunChannel(ours).next(START_TIMEOUT)
        except KeeperError:
            answer = None
        if answer is None:
            process.kill()
            process.wait()
            ours.close()
            raise KeeperError(f"the keeper process did not start: {self.words() or 'no answer'}")
        if "refused" in answer:
            ours.close()
            process.wait()
            if not namespaces:
                raise KeeperError(f"the keeper process could not start: {answer['refused']}")
            self.degraded = f"namespaces for the keeper: {answer['refused']}"
            return self._start(False)
        self.namespaces = answer["namespaces"]
        if not namespaces and self.degraded is None:
            self.degraded = "namespaces for the keeper: not asked for"
        self.cgroups_refused = answer["cgroups"]
        return process, ours

    @property
    def alive(self) -> bool:
        """Whether it takes builds: its outer process may outlive that by the time it needs to tidy up."""
        return self._process.poll() is None and not _hung_up(self._sock)

    def await_end(self, timeout: float = END_TIMEOUT) -> bool:
        """Wait until a keeper that is no longer alive has tidied up; whether it has within ``timeout`` seconds."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def pid(self) -> int:
        """Process id of the outer process."""
        return self._process.pid

    def words(self) -> str:
        """The last things the keeper's processes wrote to their standard error."""
        size = self._stderr.seek(0, os.SEEK_END)
        return os.pread(self._stderr.fileno(), 4096, max(0, size - 4096)).decode("utf-8", "replace").strip()

    def build(self, plan: BuildPlan) -> RunChannel:
        """Start one build; :class:`KeeperError` when the keeper is gone."""
        return self._submit({"op": "build", **asdict(plan)})

    def remove(self, paths: Sequence[Path]) -> list[str]:
        """Remove trees with the keeper's rights over subordinate ids; what resisted, in words."""
        return self._work("remove", paths)

    def adopt(self, paths: Sequence[Path]) -> list[str]:
        """Give trees to the caller and make them readable to him; what resisted, in words."""
        return self._work("adopt", paths)

    def look_after(self, prefix: str, cgroup_prefix: str) -> None:
        """When this process dies, delete what begins with the path ``prefix``, and cgroups called accordingly."""
        channel = self._submit({"op": "place", "prefix": prefix, "cgroup_prefix": cgroup_prefix})
        try:
            while channel.next(60) is None:
                continue
        finally:
            channel.close()

    def _work(self, op: str, paths: Sequence[Path]) -> list[str]:
        channel = self._submit({"op": op, "paths": [str(path) for path in paths]})
        try:
            while (answer := channel.next(60)) is None:
                continue
        finally:
            channel.close()
        problems: list[str] = answer["problems"]
        return problems

    def _submit(self, message: Message) -> RunChannel:
        ours, theirs = channel()
        with theirs:
            try:
                send(self._sock, message, [theirs.fileno()])
            except (BrokenPipeError, ConnectionResetError) as error:
                ours.close()
                raise KeeperError("the keeper process is gone", hint="it is started anew with the next run") from error
        return RunChannel(ours)

    def close(self) -> None:
        """End the keeper once its builds are over, and wait for it."""
        # So it does not wait for this process to end, which is what a socket that closes means otherwise.
        with contextlib.suppress(OSError):
            send(self._sock, {"op": "farewell"})
        self._sock.close()
        self._process.wait()
        self._stderr.close()


def _hung_up(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


def own_ranges(directory: str = "/etc") -> dict[str, SubordinateRange]:
    """This account's ranges by file name, from ``directory``; :class:`KeeperError` says what gives it one."""
    import pwd

    uid = os.geteuid()
    name = pwd.getpwuid(uid).pw_name
    ranges = {}
    for key in ("subuid", "subgid"):
        found = subordinate_range(f"{directory}/{key}", name, uid)
        if found is None:
            raise KeeperError(
                f"no subordinate ids for {name} in /etc/{key}",
                path=f"/etc/{key}",
                hint=f"as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}",
            )
        ranges[key] = found
    return ranges


_lock = threading.Lock()
_keepers: dict[tuple[int, KeeperOptions], Keeper] = {}


def keeper_for_this_process(options: KeeperOptions) -> Keeper:
    """The keeper of this process, started on first use and again when it died.

    Keyed by process id: a forked child must not talk on its parent's socket.
    """
    key = (os.getpid(), options)
    with _lock:
        keeper = _keepers.get(key)
        if keeper is None or not keeper.alive:
            keeper = _keepers[key] = Keeper(options)
        return keeper
