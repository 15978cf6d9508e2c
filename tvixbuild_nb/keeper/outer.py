"""The keeper's outer process: it makes the namespaces, watches owner and inner, and tidies up after both.

Command line: the number of a SEQPACKET socket and the owner's process id. Everything else comes in
the first message.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time

from tvixbuild_nb.keeper import linux
from tvixbuild_nb.keeper.cgroups import BuildCgroup
from tvixbuild_nb.keeper.ids import SubordinateRange
from tvixbuild_nb.keeper.inner import begin
from tvixbuild_nb.keeper.messages import Message, receive, send
from tvixbuild_nb.keeper.trees import remove

# Without namespaces the supervisors need a moment of their own to end their containers; and an owner to be dead.
FAREWELL = 8.0


def main() -> None:
    """The process's whole life; exits with status 0 once nothing is left."""
    owner = socket.socket(fileno=int(sys.argv[1]))
    parent = os.pidfd_open(int(sys.argv[2]))
    if os.getppid() != int(sys.argv[2]):
        return
    received = receive(owner)
    if received is None:
        return
    linux.call_process("tvixbuild-outer")
    config = received[0]
    if config["namespaces"]:
        try:
            _enter_namespaces(config)
        except OSError as error:
            send(owner, {"refused": f"{error.filename}: {error.strerror}", "kind": "namespaces"})
            return
    leases_read, leases_write = os.pipe()
    inner = os.fork()
    if inner == 0:
        os.close(leases_read)
        os.close(parent)
        begin(owner, leases_write, config)
        os._exit(0)
    os.close(leases_write)
    owner.close()
    notes, status = _watch(parent, inner, leases_read, config["namespaces"])
    # Inner ends by itself when the owner's socket closes, which a dying owner's does before he is dead.
    _tidy(notes, parent, 0.0 if status or ["farewell"] in notes else FAREWELL)


def _enter_namespaces(config: Message) -> None:
    if os.geteuid() == 0:
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWPID)
    else:
        _enter_user_namespace(SubordinateRange(*config["subuid"]), SubordinateRange(*config["subgid"]))
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_SLAVE)


def _enter_user_namespace(uids: SubordinateRange, gids: SubordinateRange) -> None:
    """Become root of a user namespace: 0 is the caller, 1 and up are the subordinate ids.

    The maps are written by a helper forked before, since newuidmap must be run from outside. No
    exec may follow: it would be the moment to lose the new capabilities.
    """
    uid, gid, me = os.geteuid(), os.getegid(), os.getpid()
    go_read, go_write = os.pipe()
    text_read, text_write = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(go_write)
        status = 1
        try:
            if os.read(go_read, 1):
                status = _write_maps(me, uid, gid, uids, gids, text_write)
        finally:
            os._exit(status)
    os.close(go_read)
    os.close(text_write)
    try:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS | linux.CLONE_NEWPID)
        os.write(go_write, b"x")
    finally:
        os.close(go_write)
        text = b""
        while chunk := os.read(text_read, 4096):
            text += chunk
        os.close(text_read)
        _, status = os.waitpid(helper, 0)
    if status != 0:
        raise PermissionError(1, text.decode("utf-8", "replace").strip() or "the id maps were refused", "newuidmap")


def _write_maps(pid: int, uid: int, gid: int, uids: SubordinateRange, gids: SubordinateRange, text: int) -> int:
    for tool, own, extra in (("newuidmap", uid, uids), ("newgidmap", gid, gids)):
        arguments = [tool, str(pid), "0", str(own), "1", "1", str(extra.start), str(extra.size)]
        try:
            done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=text, stderr=text, check=False)
        except FileNotFoundError:
            os.write(text, f"{tool} is not installed".encode())
            return 1
        if done.returncode != 0:
            return 1
    return 0


def _watch(parent: int, inner: int, leases_read: int, namespaces: bool) -> tuple[list[list[str]], int]:
    """Until inner is gone, by itself or because the owner is; what it noted, field by field, and its wait status."""
    inner_fd = os.pidfd_open(inner)
    poll = select.poll()
    for fd in (parent, inner_fd, leases_read):
        poll.register(fd, select.POLLIN)
    buffer = b""
    deadline: float | None = None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = dict(poll.poll(left))
        if leases_read in ready:
            chunk = os.read(leases_read, 65536)
            buffer += chunk
            if not chunk:
                poll.unregister(leases_read)
        if inner_fd in ready:
            break
        if parent in ready or (deadline is not None and time.monotonic() >= deadline):
            if namespaces or deadline is not None:
                os.kill(inner, signal.SIGKILL)
                if parent in ready:
                    poll.unregister(parent)
                deadline = None
            else:
                deadline = time.monotonic() + FAREWELL
                poll.unregister(parent)
    _, status = os.waitpid(inner, 0)
    os.set_blocking(leases_read, False)
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(leases_read, 65536):
            buffer += chunk
    return [line.split("\0") for line in buffer.decode("utf-8", "surrogateescape").split("\n") if line], status


def _tidy(notes: list[list[str]], owner: int, patience: float) -> None:
    """Delete the bundles of inner's builds; of an owner who is dead in ``patience`` seconds all that are his.

    While the owner lives he may have started another keeper, whose bundles bear the same prefix.
    """
    # In this process: once the namespace's first process is dead, no new one can be forked.
    for kind, *fields in notes:
        if kind == "lease":
            _delete(*fields)
    places = [fields for kind, *fields in notes if kind == "place"]
    if not places or not linux.has_ended(owner, patience):
        return
    for prefix, cgroup in places:
        # The lock last: it is what says that there is something to be swept.
        for name in sorted(_begin_with(prefix), key=lambda name: name.endswith(".lock")):
            _delete(name, cgroup + name.removeprefix(prefix))


def _begin_with(prefix: str) -> list[str]:
    directory, start = os.path.split(prefix)
    try:
        return [os.path.join(directory, name) for name in os.listdir(directory) if name.startswith(start)]
    except FileNotFoundError:
        return []


def _delete(path: str, cgroup: str) -> None:
    try:
        remove(path)
    except OSError as error:
        sys.stderr.write(f"keeper: left behind: {error}\n")
    if cgroup:
        BuildCgroup(cgroup).remove()
