"""The commands about record files: record show, play, export."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from rich.text import Text

from tvixbuild_nb.build.records import RecordSize
from tvixbuild_nb.cli.entry import FAILED
from tvixbuild_nb.cli.screen import amount, complain, console, counted, directories, safe, write_json, write_lines
from tvixbuild_nb.cli.summary import result_summary, show_result
from tvixbuild_nb.errors import InvalidValue, TvixBuildError
from tvixbuild_nb.sandbox import Run
from tvixbuild_nb.sandbox.recorded import RecordedRun
from tvixbuild_nb.sandbox.saving import SavedSize, save_all


def show(args: Namespace) -> int:
    """Show a record: how its run ended, when and where that was, what is inside."""
    run = Run.load(args.file)
    result = run.result
    assert result is not None
    if args.json:
        manifest = run.manifest.model_dump(mode="json")
        write_json({"record": manifest, "run": result_summary(result, run.record)})
        return 0
    command = run.redactor.text(" ".join(run.request.command_args))
    screen = console()
    screen.print(Text(safe(command), style="dim"), soft_wrap=True)
    show_result(screen, result, run.record.log_path, run.explain())
    write_lines(map(Text, _inside(run)))
    return 0


def _inside(run: RecordedRun) -> list[str]:
    manifest = run.manifest
    content = manifest.content
    kinds = [name for name, there in (("outputs", content.outputs), ("inputs", content.inputs)) if there]
    lines = [
        f"  record: version {safe(manifest.version)}, {amount(run.file.stat().st_size)}, request {manifest.request}",
        f"  contents of {' and '.join(kinds)}: {counted(content.blobs, 'file')} ({amount(content.bytes)}) and "
        f"{directories(content.directories)}" if kinds else "  contents of outputs and inputs: not saved",
    ]  # fmt: skip
    if manifest.secrets:
        lines.append(f"  left out: the values of {safe(', '.join(manifest.secrets))}")
    if visits := run.record.read_visits():
        lines.append(f"  commands executed in it: {len(visits)}")
    return lines


def play(args: Namespace) -> int:
    """Print a log as it came."""
    Run.open(args.file).replay(args.speed, max_pause=args.max_pause, output=sys.stdout)
    return 0


def export(args: Namespace) -> int:
    """Keep one run as a file, or all of them."""
    if args.all is not None:
        if args.run is not None:
            raise InvalidValue("it keeps every run: no RUN, no FILE", path="--all")
        return _export_all(args)
    if args.run is None or args.file is None:
        raise InvalidValue("it takes a RUN and a FILE, or --all DIR", path="record export")
    run = Run.open(args.run)
    if not args.json:
        write_lines([Text(_size(run.save_size(), args))])
    asks = (args.outputs or args.inputs) and not args.yes and not args.json and sys.stdin.isatty()
    if asks and input("go on? [y/N] ").strip().lower() not in ("y", "yes"):
        return FAILED
    _tell([run.save(args.file, outputs=args.outputs, inputs=args.inputs)], args)
    return 0


def _export_all(args: Namespace) -> int:
    saved, refused = [], 0
    for each in save_all(args.all, outputs=True, inputs=args.inputs):
        if isinstance(each, TvixBuildError):
            complain(each)
            refused += 1
        else:
            saved.append(each)
    _tell(saved, args)
    return FAILED if refused else 0


def _size(size: RecordSize, args: Namespace) -> str:
    parts = [f"the run {amount(size.run)}"]
    for name, there, bytes_there in (("outputs", args.outputs, size.outputs), ("inputs", args.inputs, size.inputs)):
        parts.append(f"{name} {amount(bytes_there)}{'' if there else f' (not saved without --{name})'}")
    return f"before compression: {', '.join(parts)}"


def _tell(saved: list[SavedSize], args: Namespace) -> None:
    if args.json:
        write_json([_summary(each) for each in saved])
    else:
        write_lines(Text(safe(str(each))) for each in saved)


def _summary(saved: SavedSize) -> dict[str, Any]:
    content = saved.manifest.content
    return {
        "path": str(saved.path),
        "size": saved.size,
        "request": str(saved.manifest.request),
        "run": saved.manifest.run,
        "content": content.model_dump(),
    }
