"""The command rm: runs deleted by their ids."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.text import Text

from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.cli.screen import complain, safe, write_json, write_lines
from tvixbuild_nb.errors import HostRefused
from tvixbuild_nb.sandbox import Run


def rm(args: Namespace) -> int:
    """Delete every RUN; none of them when one is unknown, or still goes on."""
    records = {record.path: record for record in map(RunRecord.open, args.runs)}
    for record in records.values():
        if record.is_running():
            # Only the process that runs it could cancel it.
            raise HostRefused("this run goes on", path=record.id, hint="end it where it was started, then delete it")
    deleted = [each for record in records.values() if (each := _deleted(record)) is not None]
    if args.json:
        write_json(deleted)
    else:
        write_lines(Text(_line(**each)) for each in deleted)
    return 0 if len(deleted) == len(records) else 1


def _deleted(record: RunRecord) -> dict[str, Any] | None:
    """What was deleted; None, after a message, when the system refused."""
    try:
        run = Run(record)
        try:
            bundle = run.bundle
        except (OSError, ValueError):
            # A damaged record cannot tell of a bundle; gc finds one that has lost its record.
            bundle = None
            record.delete()
        else:
            run.delete()
    except OSError as error:
        complain(error)
        return None
    return {"id": record.id, "bundle": None if bundle is None else str(bundle)}


def _line(id: str, bundle: str | None) -> str:
    return f"deleted {safe(id)}" if bundle is None else f"deleted {safe(id)} and its kept bundle {safe(bundle)}"
