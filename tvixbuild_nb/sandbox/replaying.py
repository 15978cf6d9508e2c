"""A run's log written again at the speed at which it came."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, TextIO

from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.sandbox.printer import SafeText, default_output

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.run import Run

_BATCH = 256


def replay_log(run: Run, speed: float, max_pause: float | None, output: TextIO | None) -> None:
    """See :meth:`Run.replay`; the pauses are those between the chunks of the log."""
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 < speed <= math.inf:
        raise InvalidValue(f"a speed is a number above 0, not {speed!r}", path="speed")
    if max_pause is not None and not max_pause >= 0:
        raise InvalidValue(f"a pause is 0 seconds or more, not {max_pause!r}", path="max_pause")
    shown = default_output() if output is None else output
    text = SafeText(shown, run.redactor)
    before: float | None = None
    with run.record.log() as log:
        while records := list(log.records(_BATCH)):
            for record in records:
                pause = 0.0 if before is None else max(0.0, record.time - before) / speed
                pause = pause if max_pause is None else min(pause, max_pause)
                if pause:
                    shown.flush()
                    time.sleep(pause)
                before = record.time
                shown.write(text.feed(log.read(record.offset, record.length)))
    shown.write(text.finish())
    shown.flush()
