"""Who waits for what, from the kernel's plain facts."""

from __future__ import annotations

import platform
from typing import Any

import pytest

from tvixbuild_nb.debug.processes import process_tree
from tvixbuild_nb.request import Redactor

# The numbers of the calls on x86-64 and on AArch64.
NUMBERS = {"read": (0, 63), "write": (1, 64), "wait4": (61, 260), "waitid": (247, 95), "sleep": (230, 115),
           "futex": (202, 98), "sigsuspend": (130, 133), "openat": (257, 56), "ppoll": (271, 73)}  # fmt: skip
ANY = 0xFFFF_FFFF_FFFF_FFFF


def fact(pid: int, parent: int = 0, call: str | None = None, *args: int, **more: Any) -> dict[str, Any]:
    machine = platform.machine()
    if machine not in ("x86_64", "aarch64"):
        pytest.skip(f"the calls of {machine} have no names")
    number = None if call is None else [NUMBERS[call][machine == "aarch64"], *args, *[0] * (6 - len(args))]
    return {
        "pid": pid, "parent": parent, "name": f"p{pid}", "command": [f"p{pid}", "now"], "state": "S", "age": 1.0,
        "cpu": 0.25, "memory": 4096, "threads": "S", "cwd": "/build", "call": number, "where": "0", "bits": 64,
        "files": [], **more,
    }  # fmt: skip


def doing(*facts: dict[str, Any]) -> list[str]:
    return [each.doing for each in process_tree(facts, "now", 0.0, Redactor())]


def test_parents_wait_for_their_children() -> None:
    child, ended = fact(2, 1, "sleep"), fact(3, 1, state="Z")
    assert doing(fact(1, 0, "wait4", ANY), child, ended)[0] == "waits for its child 2 (p2)"
    assert doing(fact(1, 0, "wait4", ANY), child, fact(4, 1))[0] == "waits for its children 2 (p2), 4 (p4)"
    assert doing(fact(1, 0, "wait4", 4), child, fact(4, 1))[0] == "waits for its child 4 (p4)"
    assert doing(fact(1, 0, "waitid", 1, 4), child, fact(4, 1))[0] == "waits for its child 4 (p4)"
    assert doing(fact(1, 0, "sigsuspend"), child)[0] == "waits for a signal, such as the end of 2 (p2)"
    many = [fact(pid, 1) for pid in range(2, 9)]
    assert doing(fact(1, 0, "wait4", ANY), *many)[0].endswith("5 (p5) and 3 more")
    assert doing(child, ended) == ["sleeps", "has ended, and its parent has not asked how"]


def test_readers_wait_for_whoever_has_the_other_end() -> None:
    pipe = "pipe:[7]"
    reader = fact(1, 0, "read", 0, files=[(0, pipe, "r"), (1, "/build/log", "w")])
    writer = fact(2, 0, "sleep", files=[(5, pipe, "w")])
    assert doing(reader, writer)[0] == "reads from a pipe, until 2 (p2) writes to it"
    assert doing(reader)[0] == "reads from a pipe; nobody in the sandbox writes to it"
    both = fact(1, 0, "read", 0, files=[(0, pipe, "r"), (4, pipe, "w")])
    assert doing(both)[0] == "reads from a pipe whose other end it holds itself: nobody else writes to it"
    full = fact(2, 0, "write", 5, files=[(5, pipe, "w")])
    assert doing(reader, full)[1] == "writes to a pipe, until 1 (p1) reads from it"
    assert doing(fact(1, 0, "read", 3, files=[(3, "/dev/pts/0", "rw")])) == ["reads from /dev/pts/0"]
    assert doing(fact(1, 0, "read", 9)) == ["reads from file 9"]


def test_what_is_not_known_is_not_made_up() -> None:
    assert doing(fact(1, where="fuse_request")) == ["waits in the kernel (fuse_request)"]
    assert doing(fact(1)) == ["waits"]
    # The calls of a 32-bit program have other numbers.
    assert doing(fact(1, 0, "futex", bits=32)) == ["waits"]
    assert doing(fact(1, state="R", threads="R")) == ["runs"]
    assert doing(fact(1, 0, "futex", threads="SRRS")) == ["runs, in 2 of 4 threads"]
    assert doing(fact(1, state="D"))[0].startswith("waits in the kernel")


def test_a_tree_is_drawn_with_who_comes_from_outside_at_the_top_and_without_secrets() -> None:
    tree = process_tree(
        [fact(1, 0, "wait4", ANY), fact(2, 1, "sleep", command=["sleep", "hunter2!"]), fact(9, 0, "ppoll")],
        "when time was up", 5.0, Redactor({"TOKEN": "hunter2!"}),
    )  # fmt: skip
    first, *lines = str(tree).splitlines()
    assert first == "3 processes, when time was up"
    assert lines[0].startswith("1 p1 now: waits for its child 2 (p2)") and "1.0 s old, 0.2 s of cpu" in lines[0]
    assert lines[1].startswith("  2 sleep [secret TOKEN]: sleeps") and lines[2].startswith("9 p9 now: waits until")
    assert tree.to_dict()["processes"][1]["command"] == ("sleep", "[secret TOKEN]")
    assert len(str(process_tree([fact(pid) for pid in range(1, 400)], "now", 0.0, Redactor())).splitlines()) == 202


def test_parents_that_go_round_in_circles_lose_nobody() -> None:
    tree = process_tree([fact(1, 1), fact(2, 1)], "now", 0.0, Redactor())
    assert [each.pid for each, _ in tree.ordered()] == [1, 2]
