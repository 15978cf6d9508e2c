"""A log of a million lines, and one that grows by 100 000 lines a second, as its view's kernel side sees them."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.keeper.log import LogWriter
from tvixbuild_nb.widgets.log import LogSource, search
from tvixbuild_nb.widgets.log.live import LogView

LINES = 1_000_000
RATE = 100_000
_TEXT = b"%07d compiling \x1b[32msomething\x1b[0m somewhere\n"
# A process of its own, as the keeper is: the view's CPU time is the view's alone.
_WRITER = """
import sys, time
from pathlib import Path
from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.keeper.log import LogWriter
path, lines, rate, text = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode().decode("unicode_escape")
record = RunRecord(Path(path))
with record.held():
    writer = LogWriter(str(record.log_path), str(record.index_path))
    print("ready", flush=True)
    began = time.perf_counter()
    for n in range(0, lines, 500):
        writer.write(n // 500 % 2, b"".join(text.encode() % k for k in range(n + 1, n + 501)), time.time())
        time.sleep(max(0, n / rate - (time.perf_counter() - began)))
"""


class _Counting(LogView):
    """Counts what would be sent, and how old its last line is by then."""

    def __init__(self, source: LogSource) -> None:
        self.messages, self.bytes, self.lags = 0, 0, list[float]()
        super().__init__(source)

    def tell(self, topic: str, value: object, buffers: list[bytes] | None = None) -> None:
        assert isinstance(value, dict)
        self.messages += 1
        self.bytes += len(json.dumps(value))
        if value["running"] and value["lines"]:
            self.lags.append(time.time() - value["lines"][-1]["t"])


def _timed(what: str, work: object) -> str:
    wall, cpu = time.perf_counter(), time.process_time()
    assert callable(work)
    work()
    return f"{what:44} {(time.perf_counter() - wall) * 1000:9.1f} ms, {(time.process_time() - cpu) * 1000:7.1f} ms CPU"


def burst(place: Path) -> list[str]:
    """A view that follows a writer of 100 000 lines a second to its end."""
    record = RunRecord.create(place)
    arguments = [str(record.path), str(LINES), str(RATE), _TEXT.decode().encode("unicode_escape").decode()]
    with subprocess.Popen([sys.executable, "-c", _WRITER, *arguments], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        wall, cpu = time.perf_counter(), time.process_time()
        view = _Counting(LogSource(record))
        view.updates.join()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    lags = sorted(view.lags)
    assert view.log_source.total == LINES and view.updates.error is None
    return [
        f"following {RATE:,} lines a second to {LINES:,}: {wall:.1f} s, {cpu:.2f} s CPU in the kernel",
        f"  sent: {view.messages} messages ({view.messages / wall:.1f} a second), {view.bytes / 1e6:.2f} MB",
        f"  lag of the last line sent: {statistics.median(lags) * 1000:.0f} ms median, "
        f"{lags[len(lags) * 95 // 100] * 1000:.0f} ms for 95 %, {lags[-1] * 1000:.0f} ms at most",
    ]


def finished(place: Path) -> list[str]:
    """A log of a million lines, opened, scrolled and searched."""
    record = RunRecord.create(place)
    writer = LogWriter(str(record.log_path), str(record.index_path))
    for n in range(0, LINES, 500):
        writer.write(n // 500 % 2, b"".join(_TEXT % k for k in range(n + 1, n + 501)), time.time())
    writer.close()
    source = LogSource(record)
    last = search.compiled(f"^{LINES:07d} ")
    return [
        _timed(f"taking in {LINES:,} lines", lambda: source.advance(1e9)),
        _timed("200 lines from the middle", lambda: source.lines(LINES // 2, 200)),
        _timed("the last 100", lambda: source.tail(100)),
        _timed("searching through all of them", lambda: search.find(source, last, 1, seconds=1e9)),
        _timed("searching backwards, one step", lambda: search.find(source, last, LINES, backwards=True)),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        print("\n".join(["== log", *finished(Path(place)), *burst(Path(place))]))


if __name__ == "__main__":
    main()
