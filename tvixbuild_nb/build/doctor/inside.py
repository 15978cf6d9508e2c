"""The script whose processes try things out, so that nothing happens to the process that asks.

Run as a file of its own: ``python -I -S inside.py PATHS WHAT ARGUMENT...``, PATHS being the asker's
``sys.path`` as JSON. Prints one JSON object. Every mount is made in namespaces that end with the process.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

Outcome = dict[str, Any]


def namespaces(uid_start: str, uid_count: str, gid_start: str, gid_count: str) -> Outcome:
    """What of a build's namespaces this account can have: step -> None, or the error in words.

    keeper (root only: its own mount and pid namespace), user, maps, mount, proc; a step that was not
    reached is missing. Counts of 0 mean that there is no range: then the account maps itself alone.
    """
    outcome: Outcome = {}
    if os.geteuid() == 0:
        from tvixbuild_nb.keeper import linux

        _step(outcome, "keeper", lambda: linux.unshare(linux.CLONE_NEWNS))
    ranges = (int(uid_start), int(uid_count)), (int(gid_start), int(gid_count))
    _in_child(outcome, lambda: _enter_user_namespace(outcome, *ranges), lambda: _mount_things(outcome))
    return outcome


def fuse(*numbers: str) -> Outcome:
    """Whether a view can be mounted where builds mount theirs: in namespaces of this account's own."""
    outcome: Outcome = {}
    if os.geteuid() == 0:
        _step(outcome, "namespace", _private_mounts)
        return {**outcome, **_probe(allow_other=True)}
    ranges = (int(numbers[0]), int(numbers[1])), (int(numbers[2]), int(numbers[3]))

    def look() -> None:
        if "user" in outcome and outcome["user"] is None and outcome.get("maps", "") is None:
            _step(outcome, "namespace", _private_mounts)
            outcome.update(_probe(allow_other=True))

    _in_child(outcome, lambda: _enter_user_namespace(outcome, *ranges), look)
    return outcome if "works" in outcome else {**outcome, "namespace": "refused", **_probe(allow_other=False)}


def allow_other() -> Outcome:
    """Whether this account may let other users into a FUSE mount in the host's own namespaces."""
    return _probe(allow_other=True)


def cgroups() -> Outcome:
    """Which limits can be set in a cgroup of our own: controller -> None or the error; ``version`` and ``refused``."""
    from tvixbuild_nb.keeper.cgroups import BuildCgroup, hierarchies

    where = hierarchies()
    version = "hybrid" if where.hybrid else "2" if where.pure_v2 else "1" if where.v1 else "none"
    outcome: Outcome = {"version": version, "refused": None, "limits": {}}
    cgroup = BuildCgroup(f"tvixbuild-nb-doctor-{os.getpid()}-{os.urandom(4).hex()}")
    v1 = {"memory": "memory.limit_in_bytes", "pids": "pids.max", "cpu": "cpu.cfs_quota_us"}
    v2 = {"memory": "memory.max", "pids": "pids.max", "cpu": "cpu.max"}
    values = {"memory": "1073741824", "pids": "512", "cpu": "100000"}
    try:
        cgroup.create()
        for controller, file in (v2 if where.pure_v2 else v1).items():
            base = where.v2 if where.pure_v2 else where.v1.get(controller)
            _step(outcome["limits"], controller, partial(_write, base, cgroup.name, file, values[controller]))
    except OSError as error:
        outcome["refused"] = f"{os.path.dirname(error.filename)}: {error.strerror}"
    finally:
        cgroup.remove()
    return outcome


def _write(base: str | None, *rest: str) -> None:
    if base is None:
        raise FileNotFoundError(2, "this controller is not mounted")
    *names, value = rest
    with open(os.path.join(base, *names), "w", encoding="ascii") as file:
        file.write(value)


def _step(outcome: Outcome, name: str, act: Callable[[], None]) -> bool:
    try:
        act()
    except OSError as error:
        outcome[name] = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return False
    outcome[name] = None
    return True


def _in_child(outcome: Outcome, enter: Callable[[], bool], work: Callable[[], None]) -> None:
    """Run ``enter`` then ``work`` in a child, whose additions to ``outcome`` come back through a pipe."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if enter():
                work()
            os.write(write, json.dumps(outcome).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        text = file.read()
    os.waitpid(child, 0)
    outcome.update(json.loads(text) if text else {"user": "the trying process died"})


def _enter_user_namespace(outcome: Outcome, uids: tuple[int, int], gids: tuple[int, int]) -> bool:
    """A user namespace with a mount namespace in it, mapped as builds map it; False when there is none."""
    from tvixbuild_nb.keeper import linux

    uid, gid, me = os.geteuid(), os.getegid(), os.getpid()
    go_read, go_write = os.pipe()
    words_read, words_write = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(go_write)
        os.close(words_read)
        said = "the helper died"
        try:
            said = _write_maps(me, uid, gid, uids, gids) if os.read(go_read, 1) else ""
        finally:
            os.write(words_write, said.encode())
            os._exit(0)
    os.close(go_read)
    os.close(words_write)
    entered = _step(outcome, "user", lambda: linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS))
    if entered:
        os.write(go_write, b"x")
    os.close(go_write)
    with open(words_read, "rb") as file:
        words = file.read().decode("utf-8", "replace").strip()
    os.waitpid(helper, 0)
    if entered:
        outcome["maps"] = words or None
        if words:
            _map_oneself(outcome, uid, gid)
    return entered


def _write_maps(pid: int, uid: int, gid: int, uids: tuple[int, int], gids: tuple[int, int]) -> str:
    """Write both maps from outside; the empty string, or the error in words."""
    import subprocess

    for kind, own, (start, count) in (("uid", uid, uids), ("gid", gid, gids)):
        if uid == 0:
            try:
                with open(f"/proc/{pid}/{kind}_map", "w", encoding="ascii") as file:
                    file.write(f"0 {start} {count}")
            except OSError as error:
                return f"{error.filename}: {error.strerror}"
            continue
        if count == 0:
            return f"/etc/sub{kind} gives this account no range"
        command = [f"new{kind}map", str(pid), "0", str(own), "1", "1", str(start), str(count)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        except FileNotFoundError:
            return f"new{kind}map is not installed"
        except OSError as error:
            return f"new{kind}map cannot be run: {error.strerror}"
        if done.returncode != 0:
            return " ".join(done.stderr.split()) or f"new{kind}map ended with status {done.returncode}"
    return ""


def _map_oneself(outcome: Outcome, uid: int, gid: int) -> None:
    """The map that needs nobody's help, to see whether mounting at least would work."""

    def write() -> None:
        for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{file}", "w", encoding="ascii") as target:
                target.write(text)

    _step(outcome, "self_map", write)


def _mount_things(outcome: Outcome) -> None:
    from tvixbuild_nb.keeper import linux

    if outcome.get("maps") is None and os.getuid() != 0:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)

    def mount() -> None:
        linux.mount("none", "/", None, linux.MS_REC | linux.MS_SLAVE)
        linux.mount("tmpfs", "/tmp", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV)

    def proc() -> None:
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)

    _step(outcome, "mount", mount)
    if _step(outcome, "pid", lambda: linux.unshare(linux.CLONE_NEWPID)):
        _in_child(outcome, lambda: _step(outcome, "proc", proc), lambda: None)


def _private_mounts() -> None:
    from tvixbuild_nb.keeper import linux

    if os.geteuid() == 0:
        linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_SLAVE)


def _probe(*, allow_other: bool) -> Outcome:
    from tvixbuild_nb.fs.probe import probe_fuse

    found = probe_fuse(allow_other=allow_other)
    error = found.error
    return {
        "works": found.works,
        "binding": found.binding,
        "through": found.through,
        "error": None if error is None else error.message,
        "hint": None if error is None else error.hint,
    }


def main() -> None:
    """Do what the command line says and print the outcome."""
    sys.path[:] = json.loads(sys.argv[1])
    known: dict[str, Callable[..., Outcome]]
    known = {"namespaces": namespaces, "fuse": fuse, "allow-other": allow_other, "cgroups": cgroups}
    print(json.dumps(known[sys.argv[2]](*sys.argv[3:])))


if __name__ == "__main__":
    main()
