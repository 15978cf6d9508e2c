"""Sandbox.watch: told of every change, never in the way of the sandbox's end."""

from __future__ import annotations

import copy
import gc
import queue
import threading
import time
import weakref
from collections.abc import Callable

from tvixbuild_nb import Sandbox, SpecOptions

PATIENCE = 10.0


def watched() -> tuple[Sandbox, queue.Queue[frozenset[str]], Callable[[], None]]:
    sandbox, told = Sandbox("true", env={"A": "1"}), queue.Queue[frozenset[str]]()
    return sandbox, told, sandbox.watch(told.put)


def faults(sandbox: Sandbox) -> int:
    assert sandbox._watchers is not None
    return len(sandbox._watchers.faults)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def watching() -> set[threading.Thread]:
    """Compared with what was there before: sandboxes of other tests may end meanwhile."""
    return {thread for thread in threading.enumerate() if thread.name == "sandbox watch"}


def test_tells_of_set_fields_and_of_changes_in_place() -> None:
    sandbox, told, cancel = watched()
    sandbox.env["B"] = "2"
    assert told.get(timeout=PATIENCE) == {"env"}
    sandbox.command = ("false",)
    assert told.get(timeout=PATIENCE) == {"command"}
    sandbox.options = SpecOptions.tvix()
    assert told.get(timeout=PATIENCE) == {"options"}
    sandbox.add_file("etc/motd", "hello")
    assert told.get(timeout=PATIENCE) == {"additional_files"}
    cancel()


def test_a_field_set_to_what_it_was_is_no_change() -> None:
    sandbox, told, cancel = watched()
    sandbox.env = {"A": "1"}
    time.sleep(0.5)
    assert told.empty()
    cancel()


def test_after_the_cancel_nothing_comes_and_no_thread_is_left() -> None:
    before = watching()
    sandbox, told, cancel = watched()
    cancel()
    cancel()
    sandbox.env["B"] = "2"
    until(lambda: watching() <= before)
    assert told.empty()
    again = sandbox.watch(told.put)
    sandbox.env["C"] = "3"
    assert told.get(timeout=PATIENCE) == {"env"}
    again()


class Listener:
    def hear(self, names: frozenset[str]) -> None:
        raise ValueError(f"{sorted(names)}")


def test_neither_the_sandbox_nor_a_listener_is_kept() -> None:
    before = watching()
    sandbox, listener = Sandbox("true"), Listener()
    sandbox.watch(listener.hear)
    gone = weakref.ref(listener)
    del listener
    gc.collect()
    assert gone() is None
    until(lambda: watching() <= before)
    sandbox.watch(print)
    lost = weakref.ref(sandbox)
    del sandbox
    gc.collect()
    until(lambda: lost() is None and watching() <= before)


def test_a_callback_that_raises_is_dropped() -> None:
    sandbox, told, cancel = watched()
    listener = Listener()
    sandbox.watch(listener.hear)
    sandbox.env["B"] = "2"
    assert told.get(timeout=PATIENCE) == {"env"}
    until(lambda: faults(sandbox) == 1)
    sandbox.env["C"] = "3"
    assert told.get(timeout=PATIENCE) == {"env"}
    assert faults(sandbox) == 1
    cancel()


def test_a_copy_is_watched_by_nobody() -> None:
    sandbox, told, cancel = watched()
    other = copy.deepcopy(copy.copy(sandbox))
    other.env["B"] = "2"
    other.command = ("false",)
    time.sleep(0.5)
    assert told.empty() and sandbox.env == {"A": "1"}
    cancel()
