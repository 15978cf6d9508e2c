"""What a log's front end may ask, and what it is told: for every view that has a log in it."""

from __future__ import annotations

import threading
import time
from typing import Any, Protocol

from tvixbuild_nb.widgets.kit.live import callable_from_front
from tvixbuild_nb.widgets.log import search
from tvixbuild_nb.widgets.log.data import WIDE, fold_data, lines_data, state_data
from tvixbuild_nb.widgets.log.palette import tinted
from tvixbuild_nb.widgets.log.shown import plain_lines, shown_lines
from tvixbuild_nb.widgets.log.source import LogSource, SourceLine

TOPIC = "log"
# The front end's parts that make logPane(host, link, options); a view's own file comes behind them.
LOG_PARTS = ("logfolds", "logrows", "logchosen", "logfind", "logbar", "logpane")
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
        self.tell(TOPIC, {**state, "seq": self._log_seq, "lines": self._log_shown(lines)})

    def _log_shown(self, lines: list[SourceLine], wide: int = WIDE) -> list[dict[str, Any]]:
        shown = lines_data(self.log_source, lines, wide)
        for data in shown:
            for part in data.get("p", ()):
                part[1] = tinted(part[1])
        return shown

    @callable_from_front
    def log_state(self) -> dict[str, Any]:
        """How far the log is, and its last lines: for a front end that begins."""
        lines = self.log_source.tail(TAIL)
        state = state_data(self.log_source, running=not self._log_over)
        return {**state, "seq": self._log_seq, "lines": self._log_shown(lines)}

    @callable_from_front
    def log_lines(self, first: int, count: int) -> dict[str, Any]:
        """Lines from number ``first`` on; fewer than ``count`` when they are long, but one at least."""
        lines = self.log_source.lines(int(first), max(1, min(int(count), MOST)), 1 << 18)
        return {"first": int(first), "lines": self._log_shown(lines)}

    @callable_from_front
    def log_line(self, number: int) -> dict[str, Any]:
        """One line in full."""
        return {"lines": self._log_shown(self.log_source.lines(int(number), 1), 1 << 20)}

    @callable_from_front
    def log_folds(self, start: int) -> list[dict[str, Any]]:
        """The folds that are complete, from the index ``start`` on, at most a thousand of them."""
        return [fold_data(fold) for fold in self.log_source.folds.closed[int(start) : int(start) + _FOLDS]]

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
    def log_text(self, first: int, last: int) -> dict[str, Any]:
        """Lines to copy, as they are shown, from number ``first`` on; ask again from ``next`` until that is None."""
        lines = self.log_source.lines(int(first), int(last) + 1 - int(first), _PIECE, times=False)
        end = int(first) + len(lines)
        following = end if lines and end <= min(int(last), self.log_source.total) else None
        return {"text": "".join(f"{text}\n" for text in plain_lines(self.log_source, lines)), "next": following}

    @callable_from_front
    def log_raw(self, at: int) -> tuple[dict[str, Any], list[bytes]]:
        """A piece of the log to save and where the next begins (None: that was all), as bytes beside the answer.

        The log's own bytes. Where a run has secrets, its lines: the bytes of those that hold none of their values
        (``hidden`` counts the others, which are saved as they are shown).
        """
        source, at = self.log_source, int(at)
        if not source.redactor:
            data = source.raw(at, _PIECE)
            return {"next": at + len(data) if data else None, "secrets": False, "hidden": 0}, [data]
        lines = source.lines(max(1, at), 10_000, _PIECE, times=False)
        parts, hidden = [], 0
        for shown in shown_lines(source, lines):
            # What a carriage return or an escape sequence takes away stands in the file.
            raw = shown.line.raw.decode("utf-8", "replace")
            clear = not (shown.hides or shown.held or source.redactor.found_in(raw))
            hidden += not clear
            parts.append(shown.line.raw if clear else "".join(text for text, _ in shown.spans).encode())
        following = max(1, at) + len(lines) if lines else None
        return {"next": following, "secrets": True, "hidden": hidden}, [b"".join(part + b"\n" for part in parts)]
