"""The commands about runs: run, runs, log."""

from __future__ import annotations

import codecs
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any

from rich.text import Text

from tvixbuild_nb.build import BuildResult, RunRecord
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.cli.entry import FAILED, INTERRUPTED, REFUSED
from tvixbuild_nb.cli.places import read_request
from tvixbuild_nb.cli.screen import complain, console, safe, write_bytes, write_json, write_lines
from tvixbuild_nb.cli.summary import STYLES, result_summary, show_result
from tvixbuild_nb.errors import InvalidValue, TvixBuildError
from tvixbuild_nb.keeper import STREAMS
from tvixbuild_nb.request.redactor import RedactingStream
from tvixbuild_nb.sandbox import Run, Sandbox
from tvixbuild_nb.sandbox.printer import harmless
from tvixbuild_nb.sandbox.services import BUILDER_VARIABLE

MAX_COMMAND = 100
_POLL = 0.1


def run(args: Namespace) -> int:
    """Build a request, with the live log on standard error; Ctrl-C cancels it."""
    try:
        request = read_request(args.request)
        _check_runtime(args)
        with open_castore(args.store) as castore:
            sandbox = Sandbox.from_request(request, store=castore, builder=args.builder, runtime=args.runtime)
            with closing(sandbox.builder):
                build = sandbox.start(
                    timeout=args.timeout, keep=args.keep, inputs=args.inputs, strict=args.strict,
                    observe=args.observe, trace=args.trace,
                )  # fmt: skip
                return _watch(build, args)
    except TvixBuildError as error:
        # What a started build meets is its result: whatever is raised refused it.
        complain(error)
        return REFUSED


def _check_runtime(args: Namespace) -> None:
    address = args.builder or os.environ.get(BUILDER_VARIABLE) or "oci:"
    if args.runtime is not None and not address.startswith("oci:"):
        message = f"the build service {address} has no choice of runtimes"
        raise InvalidValue(message, path="--runtime", hint="--builder oci: has")


def _watch(build: Run, args: Namespace) -> int:
    status = None
    try:
        build.follow(sys.stderr)
    except KeyboardInterrupt:
        status = INTERRUPTED
        build.cancel()
        build.follow(None)
    result = build.result
    assert result is not None
    if args.json:
        write_json(result_summary(result, build.record))
    else:
        show_result(console(), result, build.record.log_path)
    return status or (0 if result.ok else FAILED)


def runs(args: Namespace) -> int:
    """List the recorded runs, the newest first."""
    found = [_recorded(record) for record in reversed(RunRecord.all())]
    if args.json:
        write_json(found)
        return 0
    write_lines([_line(each) for each in found] or [Text("no runs are recorded")])
    return 0


def _line(run: dict[str, Any]) -> Text:
    began, ended = run["started"], run["finished"]
    when = "" if began is None else datetime.fromtimestamp(began).strftime("%Y-%m-%d %H:%M:%S")
    seconds = "" if began is None or ended is None else f"{ended - began:.2f} s"
    status = run["status"] + (f" at {run['failed_at']}" if run["failed_at"] else "")
    return Text.assemble(
        f"{run['id']}  ", (f"{status:16}", STYLES.get(run["status"], "")), f"  {when:19}  {seconds:>10}  ",
        (safe(" ".join(run["command"])[:MAX_COMMAND]), "dim"),
    )  # fmt: skip


def _recorded(record: RunRecord) -> dict[str, Any]:
    """One run as plain data; a record that cannot be read is listed as damaged."""
    request, damaged = _reading(record.read_request)
    result: BuildResult | None = None
    if request is not None:
        result, damaged = _reading(record.verdict)
    status = "damaged" if damaged else "running" if result is None else result.status
    return {
        "id": record.id,
        "status": status,
        "failed_at": None if result is None else result.failed_at,
        "exit_code": None if result is None else result.exit_code,
        "started": None if result is None else result.started,
        "finished": None if result is None else result.finished,
        "command": [] if request is None else list(request.command_args),
        "outputs": [] if request is None else list(request.outputs),
        "bundle": None if result is None or result.bundle is None else str(result.bundle),
        "path": str(record.path),
    }


def _reading(read: Callable[[], Any]) -> tuple[Any, bool]:
    try:
        return read(), False
    except (OSError, ValueError):
        return None, True


def log(args: Namespace) -> int:
    """Copy a run's log to standard output: the bytes as they are; on a terminal harmless ones, without secrets."""
    record = RunRecord.open(args.run)
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
