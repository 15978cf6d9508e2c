"""What a log's front end may ask, and what it is told: for every view that has a log in it."""

from __future__ import annotations

import threading
import time
from typing import Any, Protocol

from tvixbuild_nb.widgets.kit.live import callable_from_front
from tvixbuild_nb.widgets.log import search
from tvixbuild_nb.widgets.log.data import fold_data, line_data, state_data
from tvixbuild_nb.widgets.log.source import LogSource

TOPIC = "log"
# The front end's parts that make logPane(host, link, options); a view's own file comes behind them.
LOG_PARTS = ("logfolds", "logrows", "logfind", "logbar", "logpane")
TAIL = 100
MOST = 500
_PIECE = 1 << 20
_FOLDS = 1000
_LOOK = 0.25


class _Teller(Protocol):
    def tell(self, topic: str, value: object, buffers: list[bytes] | None = None) -> None: ...


class LogCalls:
    """Mix into a :class:`LiveView`: call :meth:`log_begin` once, then :meth:`log_push` at most 25 times a second.

    Nothing is acknowledged: each push stands for itself, has a number, and is at most the last hundred lines.
    """

    log_source: LogSource

    def log_begin(self, source: LogSource) -> None:
        """Show this log."""
        self.log_source = source
        self._log_pushing = threading.Lock()
        self._log_seq = 0
        self._log_told: tuple[object, ...] = ()
        self._log_last = 0
        self._log_over = False
        self._log_looked = 0.0

    def log_push(self: Any) -> bool:
        """Take in what was written and tell the front end; False when that was the last of a finished run."""
        with self._log_pushing:
            over = self._log_is_over()
            more = self.log_source.advance()
            state = state_data(self.log_source, running=not over or more)
            told = (state["total"], state["size"], state["running"])
            if told != self._log_told:
                self._log_tell(state)
                self._log_told = told
            return bool(state["running"])

    def _log_is_over(self) -> bool:
        # Asked of the file system: a few times a second are enough.
        now = time.monotonic()
        if not self._log_over and now - self._log_looked >= _LOOK:
            self._log_looked = now
            self._log_over = not self.log_source.is_running()
        return self._log_over

    def _log_tell(self: Any, state: dict[str, Any]) -> None:
        new = state["total"] - self._log_last
        lines = self.log_source.tail(max(1, min(TAIL, new)))
        self._log_last = self.log_source.settled
        self._log_seq += 1
        shown = [line_data(line, self.log_source.hide) for line in lines]
        self.tell(TOPIC, {**state, "seq": self._log_seq, "lines": shown})

    @callable_from_front
    def log_state(self) -> dict[str, Any]:
        """How far the log is, and its last lines: for a front end that begins."""
        lines = self.log_source.tail(TAIL)
        state = state_data(self.log_source, running=not self._log_over)
        return {**state, "seq": self._log_seq, "lines": [line_data(line, self.log_source.hide) for line in lines]}

    @callable_from_front
    def log_lines(self, first: int, count: int) -> dict[str, Any]:
        """Lines from number ``first`` on; fewer than ``count`` when they are long, but one at least."""
        lines = self.log_source.lines(int(first), max(1, min(int(count), MOST)), 1 << 18)
        return {"first": int(first), "lines": [line_data(line, self.log_source.hide) for line in lines]}

    @callable_from_front
    def log_line(self, number: int) -> dict[str, Any]:
        """One line in full."""
        lines = self.log_source.lines(int(number), 1)
        return {"lines": [line_data(line, self.log_source.hide, 1 << 20) for line in lines]}

    @callable_from_front
    def log_folds(self, start: int) -> list[dict[str, Any]]:
        """The folds that are complete, from the index ``start`` on, at most a thousand of them."""
        return [
            fold_data(fold, self.log_source.hide)
            for fold in self.log_source.folds.closed[int(start) : int(start) + _FOLDS]
        ]

    @callable_from_front
    def log_search(
        self, pattern: str, start: int, backwards: bool = False, ignore_case: bool = False
    ) -> dict[str, Any]:
        """The next line that matches, from ``start`` on; when neither found nor done, ask again from ``next``."""
        expression = search.compiled(pattern, ignore_case)
        return search.find(self.log_source, expression, int(start), backwards=backwards)._asdict()

    @callable_from_front
    def log_count(self, pattern: str, start: int = 1, ignore_case: bool = False) -> dict[str, Any]:
        """How many lines match from ``start`` on; ask again from ``next`` until that is behind ``settled``."""
        found, at = search.count(self.log_source, search.compiled(pattern, ignore_case), int(start))
        return {"count": found, "next": at, "settled": self.log_source.settled}

    @callable_from_front
    def log_raw(self, at: int) -> tuple[dict[str, Any], list[bytes]]:
        """A piece of the log to save and where the next begins (None: that was all), as bytes beside the answer.

        The log's own bytes; where something has to be hidden, its lines as text.
        """
        if self.log_source.hide is None:
            data = self.log_source.raw(int(at), _PIECE)
            return {"next": int(at) + len(data) if data else None}, [data]
        hide = self.log_source.hide
        lines = self.log_source.raw_lines(max(1, int(at)), 10_000, _PIECE)
        text = "".join(f"{hide(raw.decode('utf-8', 'replace'))}\n" for raw in lines)
        return {"next": max(1, int(at)) + len(lines) if lines else None}, [text.encode("utf-8", "replace")]
