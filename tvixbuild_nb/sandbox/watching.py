"""Who wants to know when a Sandbox changes is told, also when a mapping of it was changed in place."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from inspect import ismethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.description import Description

# Seconds between two looks: ``sb.env["X"] = "y"`` calls nobody, so fields are compared with what they were.
INTERVAL = 0.2

Callback = Callable[[frozenset[str]], object]


class Watchers:
    """The callbacks of one sandbox, and the thread that looks while there are any.

    The thread holds neither the sandbox nor, when it is a bound method, a callback: when either is gone, or the last
    callback cancelled, it ends. A callback that raises is dropped, and what it raised is kept in ``faults``.
    """

    def __init__(self, sandbox: Description, names: frozenset[str]) -> None:
        self.faults: list[Exception] = []
        self._sandbox = weakref.ref(sandbox)
        self._names = names
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callable[[], Callback | None]] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, callback: Callback) -> Callable[[], None]:
        """From now on ``callback(names)`` is called, on a thread of its own, with the fields that changed."""
        key = object()
        held = weakref.WeakMethod(callback) if ismethod(callback) else lambda: callback
        with self._lock:
            self._callbacks[key] = held
            if self._thread is None:
                sandbox = self._sandbox()
                assert sandbox is not None, "somebody calls its method"
                self._wake = threading.Event()
                arguments = (self._wake, _snapshot(sandbox, self._names))
                self._thread = threading.Thread(target=self._look, args=arguments, name="sandbox watch", daemon=True)
                self._thread.start()
        return lambda: self._cancel(key)

    def _cancel(self, key: object) -> None:
        with self._lock:
            self._callbacks.pop(key, None)
            self._end_when_alone()

    def _end_when_alone(self) -> None:
        if not self._callbacks:
            self._wake.set()
            self._thread = None

    def _look(self, ended: threading.Event, before: dict[str, Any]) -> None:
        while not ended.wait(INTERVAL):
            sandbox = self._sandbox()
            if sandbox is None:
                return
            now = _snapshot(sandbox, self._names)
            del sandbox
            changed = frozenset(name for name in now if now[name] is not before[name] and now[name] != before[name])
            before = now
            for key, held in self._alive():
                if changed and (callback := held()) is not None:
                    try:
                        callback(changed)
                    except Exception as error:
                        self.faults.append(error)
                        self._cancel(key)

    def _alive(self) -> list[tuple[object, Callable[[], Callback | None]]]:
        with self._lock:
            for key in [key for key, held in self._callbacks.items() if held() is None]:
                del self._callbacks[key]
            self._end_when_alone()
            return list(self._callbacks.items())


def _snapshot(sandbox: Description, names: frozenset[str]) -> dict[str, Any]:
    # Copied at one go: the dict of somebody else's thread may grow at any time.
    values = {name: sandbox.__dict__.get(name) for name in names}
    return {name: dict(value) if isinstance(value, Mapping) else _frozen(value) for name, value in values.items()}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
