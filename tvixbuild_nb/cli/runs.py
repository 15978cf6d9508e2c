"""The commands about runs: run, runs, log."""

from __future__ import annotations

import codecs
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from rich.text import Text

from tvixbuild_nb.cli.building import build
from tvixbuild_nb.cli.places import read_request
from tvixbuild_nb.cli.screen import console, write_bytes, write_json, write_lines
from tvixbuild_nb.keeper import STREAMS
from tvixbuild_nb.request.redactor import RedactingStream
from tvixbuild_nb.sandbox import Run, RunRow
from tvixbuild_nb.sandbox import runs as recorded_runs
from tvixbuild_nb.sandbox.printer import harmless
from tvixbuild_nb.widgets.history.data import history_data
from tvixbuild_nb.widgets.history.text import history_text

_POLL = 0.1


def run(args: Namespace) -> int:
    """Build a request, with the live log on standard error; Ctrl-C cancels it."""
    return build(args, lambda castore: read_request(args.request))


def runs(args: Namespace) -> int:
    """List the recorded runs, the newest first: when, what changed since the last of the same outputs, how it ended."""
    history = recorded_runs()
    if args.json:
        listed = zip(reversed(history), reversed(history.rows()), strict=True)
        write_json([_summary(run, row) for run, row in listed])
        return 0
    data = history_data(history, None)
    screen = console()
    if not data["rows"]:
        write_lines([Text("no runs are recorded")])
    elif screen.is_terminal:
        screen.print(history_text(data, commands=True))
    else:
        write_lines(map(_line, data["rows"]))
    return 0


def _line(row: dict[str, Any]) -> Text:
    return Text(
        f"{row['run']}  {row['ended']:16}  {row['when']:19}  {row['took']:>10}  {row['changed']}  {row['command']}"
    )


def _summary(run: Run, row: RunRow) -> dict[str, Any]:
    """One run as plain data; of a damaged record little is known."""
    readable = row.digest is not None and row.status != "damaged"
    result = run.result if readable else None
    return {
        "id": run.id,
        "status": row.status,
        "failed_at": row.failed_at,
        "exit_code": None if result is None else result.exit_code,
        "started": None if result is None else result.started,
        "finished": None if result is None else result.finished,
        "request": None if row.digest is None else str(row.digest),
        "changes": None if row.changes is None else list(map(str, row.changes)),
        "message": row.message,
        "command": [] if row.digest is None else list(run.request.command_args),
        "outputs": [] if row.digest is None else list(run.request.outputs),
        "bundle": None if result is None or result.bundle is None else str(result.bundle),
        "path": str(run.record.path),
    }


def log(args: Namespace) -> int:
    """Copy a run's log to standard output: the bytes as they are; on a terminal harmless ones, without secrets."""
    run = Run.open(args.run)
    record = run.record
    hidden = record.redactor().stream()
    write = _terminal_writer(hidden) if sys.stdout.isatty() else write_bytes
    with record.log() as reader:
        while True:
            # Asked first: what comes between the last look and the end must not be missed.
            more = args.follow and record.verdict() is None
            while chunks := list(reader.records()):
                for chunk in chunks:
                    if args.stream in (None, STREAMS[chunk.stream]):
                        write(reader.read(chunk.offset, chunk.length))
            if not more:
                # Empty where nothing was hidden.
                sys.stdout.write(hidden.finish())
                return 0
            time.sleep(_POLL)


def _terminal_writer(hidden: RedactingStream) -> Callable[[bytes], None]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(data: bytes) -> None:
        sys.stdout.write(hidden.feed(harmless(decoder.decode(data))))
        sys.stdout.flush()

    return write
