"""Subordinate ranges, messages, runtime command lines, cgroup hierarchies."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tvixbuild_nb.keeper.cgroups import Hierarchies, hierarchies
from tvixbuild_nb.keeper.ids import SubordinateRange, subordinate_range
from tvixbuild_nb.keeper.inspect import unescape
from tvixbuild_nb.keeper.joining import own_procs_file
from tvixbuild_nb.keeper.messages import MAX_DATAGRAM, MAX_MESSAGE, channel, receive, send
from tvixbuild_nb.keeper.processors import limit_processors
from tvixbuild_nb.keeper.runtime import Runtime, last_error


def test_the_first_range_that_is_large_enough_is_taken_by_name_or_number(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("other:1:9\nme:100:1\nme:200:50\n1234:300:70\n# comment\nbad line\n")
    assert subordinate_range(str(file), "me", 1) == SubordinateRange(200, 50)
    assert subordinate_range(str(file), "nobody", 1234) == SubordinateRange(300, 70)
    assert subordinate_range(str(file), "nobody", 1) is None
    assert subordinate_range(str(tmp_path / "absent"), "me", 1) is None


def test_messages_keep_their_borders_and_carry_descriptors() -> None:
    left, right = channel()
    read, write = os.pipe()
    send(left, {"a": 1}, [write])
    send(left, {"b": "é"})
    message, fds = receive(right) or ({}, [])
    assert message == {"a": 1} and len(fds) == 1
    os.write(fds[0], b"x")
    assert os.read(read, 1) == b"x"
    assert not os.get_inheritable(fds[0])
    assert receive(right) == ({"b": "é"}, [])
    long = {"inputs": ["x" * 100] * (3 * MAX_DATAGRAM // 100)}
    for given in ([], [write]):
        send(left, long, given)
        message, more = receive(right) or ({}, [])
        assert message == long and len(more) == len(given)
        fds += more
    with pytest.raises(OSError, match="too long"):
        send(left, {"c": "x" * MAX_MESSAGE})
    left.close()
    assert receive(right) is None
    for fd in (read, write, *fds):
        os.close(fd)
    right.close()


@pytest.mark.parametrize(
    ("kind", "cgroups", "expected"),
    [
        ("runc", True, []),
        ("runc", False, ["--rootless", "true"]),
        ("crun", True, ["--cgroup-manager=cgroupfs"]),
        ("crun", False, ["--cgroup-manager=disabled"]),
    ],
)
def test_both_runtimes_get_a_state_directory_of_ours_and_a_json_log(
    kind: str, cgroups: bool, expected: list[str]
) -> None:
    command = Runtime(f"/bin/{kind}", kind, "/state", cgroups).command("/log", "delete", "x")
    assert command == [
        f"/bin/{kind}", "--root", "/state", "--log", "/log", "--log-format", "json", *expected, "delete", "x",
    ]  # fmt: skip


def test_the_last_error_of_a_runtime_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_error(str(log)) is None
    log.write_text('{"level":"warning","msg":"w"}\n{"level":"error","msg":"first"}\nnoise\n{"msg":"crun says"}\n')
    assert last_error(str(log)) == "crun says"


def test_hierarchies_of_this_host_and_their_kinds() -> None:
    assert Hierarchies({}, "/c").pure_v2 and not Hierarchies({}, "/c").hybrid
    assert Hierarchies({"memory": "/m"}, "/c").hybrid
    assert Hierarchies({"cpu": "/x", "cpuacct": "/x"}, None).directories() == ["/x"]
    assert all(os.path.isdir(directory) for directory in hierarchies().directories())


def test_a_version_2_side_that_was_covered_is_no_hierarchy(tmp_path: Path) -> None:
    lines = [
        "30 20 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
        "31 20 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
    ]
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text("\n".join(lines) + "\n")
    assert hierarchies(str(mountinfo)) == Hierarchies({"memory": "/sys/fs/cgroup/memory"}, "/sys/fs/cgroup/unified")
    mountinfo.write_text("\n".join([*lines, "40 31 0:50 / /sys/fs/cgroup/unified rw - tmpfs tmpfs rw"]) + "\n")
    found = hierarchies(str(mountinfo))
    # Waiting for crun's plain files there to vanish like a dying cgroup cost every build with crun a second.
    assert found.directories() == ["/sys/fs/cgroup/memory"] and found.covered == "/sys/fs/cgroup/unified"


def test_mountinfo_fields_are_unescaped() -> None:
    assert unescape(r"/a\040b\134c\011") == "/a b\\c\t"


def test_the_own_cgroup_is_found_in_whatever_hierarchy_is_mounted() -> None:
    membership = "4:cpu,cpuacct:/jobs/a\n2:freezer:/\n1:name=systemd:/init\n0::/user.slice\n"
    v1 = Hierarchies({"cpu": "/cg/cpu", "freezer": "/cg/freezer"}, None)
    assert own_procs_file(v1, membership) == "/cg/cpu/jobs/a/cgroup.procs"
    assert own_procs_file(Hierarchies({}, "/cg"), membership) == "/cg/user.slice/cgroup.procs"
    assert own_procs_file(Hierarchies({}, None), membership) is None


def test_processors_are_taken_from_a_process_or_it_is_said_why_not() -> None:
    here = sorted(os.sched_getaffinity(0))
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            why = limit_processors(process.pid, 1)
            assert (why is None) == (len(here) > 1) and sorted(os.sched_getaffinity(process.pid)) == here[:1]
            assert limit_processors(process.pid, 1) == "there are no more than 1 here"
        finally:
            process.kill()
    assert limit_processors(process.pid, 1) == "No such process"
