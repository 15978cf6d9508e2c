"""The command gc: what recorded runs and pins do not need goes, kept bundles without a run, record files unpacked."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.build.places import default_bundle_root, stale_bundles
from tvixbuild_nb.build.records import sweep_opened
from tvixbuild_nb.castore import GcReport, Node, open_castore
from tvixbuild_nb.cli.screen import amount, complain, counted, directories, safe, write_json, write_lines
from tvixbuild_nb.errors import StoreError
from tvixbuild_nb.keeper.trees import remove
from tvixbuild_nb.sandbox.services import BUILDER_VARIABLE


def gc(args: Namespace) -> int:
    """Delete kept bundles of deleted runs, unpacked records, and from the store what nothing needs; or only tell.

    Where one of these cannot be done, which is said, the others are done all the same.
    """
    bundles = stale_bundles(_bundle_root(args.builder))
    opened = sweep_opened(dry_run=args.dry_run)
    left = [] if args.dry_run else [bundle for bundle in bundles if not _removed(bundle)]
    gone = [str(bundle) for bundle in bundles if bundle not in left]
    report = _collected(args)
    if args.json:
        found = {} if report is None else asdict(report)
        write_json({"dry_run": args.dry_run, **found, "bundles_deleted": gone, "opened_records_deleted": len(opened)})
    else:
        would = "would delete" if args.dry_run else "deleted"
        lines = [
            *([] if report is None else _contents(report, would)),
            *([f"{would} what was unpacked of {counted(len(opened), 'record')}"] if opened else []),
            *(f"{would} the bundle {safe(bundle)}" for bundle in gone),
        ]
        write_lines(map(Text, lines))
    return 1 if left or report is None else 0


def _collected(args: Namespace) -> GcReport | None:
    """What the store collected; None, and said, where it collects nothing: on object storage, on another machine."""
    try:
        with open_castore(args.store) as castore:
            return castore.gc(needed_by_runs(), dry_run=args.dry_run)
    except StoreError as error:
        complain(error)
        return None


def _contents(report: GcReport, would: str) -> list[str]:
    return [
        f"{would} {counted(report.blobs_deleted, 'blob')} ({amount(report.bytes_deleted)}) and "
        f"{directories(report.directories_deleted)}",
        f"kept {counted(report.blobs_kept, 'blob')} ({amount(report.bytes_kept)}) and "
        f"{directories(report.directories_kept)}",
    ]


def needed_by_runs() -> Iterator[Node]:
    """Inputs and outputs of every recorded run; :class:`StoreError` when a record cannot be read.

    A record without a request belongs to a run that is only beginning: its process holds its inputs.
    """
    for record in RunRecord.all():
        try:
            request = record.read_request()
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise _damaged(record, error) from error
        yield from request.inputs.values()
        try:
            result = record.read_result()
        except ValueError as error:
            raise _damaged(record, error) from error
        if result is not None:
            yield from (output.node for output in (*result.outputs, *result.rejected))


def _damaged(record: RunRecord, error: ValueError) -> StoreError:
    return StoreError(
        f"what this run needs cannot be told: {error}",
        path=record.path,
        hint=f"give it up with: tvixbuild-nb rm {record.id}",
    )


def _bundle_root(builder: str | None) -> Path:
    scheme, _, path = (builder or os.environ.get(BUILDER_VARIABLE) or "").partition(":")
    return Path(path) if scheme == "oci" and path else default_bundle_root()


def _removed(bundle: Path) -> bool:
    try:
        remove(str(bundle))
    except OSError as error:
        complain(error)
        return False
    return True
