"""The command run-many: several requests together; what becomes of them meanwhile goes to standard error."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing
from typing import Any

from rich.text import Text

from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.cli.building import check_runtime, run_summary
from tvixbuild_nb.cli.entry import FAILED, INTERRUPTED
from tvixbuild_nb.cli.places import read_request
from tvixbuild_nb.cli.screen import safe, write_json, write_lines
from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Many, build_many
from tvixbuild_nb.sandbox.many.text import many_lines
from tvixbuild_nb.sandbox.services import shared_builder


def run_many(args: Namespace) -> int:
    """Build all of them, those that are the same once; Ctrl-C cancels them."""
    check_runtime(args)
    requests = [_read(place) for place in args.requests]
    with (
        open_castore(args.store) as castore,
        closing(shared_builder(args.builder, castore, args.runtime, args.builder_store)) as builder,
    ):
        many = build_many(
            requests, builder=builder, store=castore, jobs=args.jobs,
            timeout=args.timeout, silent_timeout=args.silent_timeout, keep=args.keep, inputs=args.inputs,
            strict=args.strict, observe=args.observe, trace=args.trace,
        )  # fmt: skip
        many.wait()
        if args.json:
            write_json(_summary(many, args.requests))
        else:
            lines = many_lines(many.counts(), many.rows(), many.unfit.values())
            write_lines(Text(safe(line)) for line in lines)
    return INTERRUPTED if many.interrupted else 0 if many.ok else FAILED


def _read(place: str) -> BuildRequest:
    """The request there; what is wrong says in which one."""
    try:
        return read_request(place)
    except InvalidRequest as error:
        where = place if error.path in (None, place) else f"{place}: {error.path}"
        raise InvalidRequest(error.message, path=where, index=error.index, stage=error.stage, hint=error.hint) from None


def _summary(many: Many, places: list[str]) -> dict[str, Any]:
    """All as plain data; requests for the same build have the same run."""
    runs = zip(places, many.runs, many, strict=True)
    return {
        "requests": [
            {"request": place, "worker": result.worker, **({} if run is None else run_summary(run))}
            for place, run, result in runs
        ],
        "unfit": [
            {"worker": each.worker, "reason": each.reason, "doctor": each.report.to_dict()}
            for each in many.unfit.values()
        ],
    }
