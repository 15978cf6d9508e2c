"""One build from the command line: its live log on standard error, Ctrl-C, the verdict and the exit status."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from typing import Any

from tvixbuild_nb.build import BuildPolicy, BuildService
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.cli.entry import FAILED, INTERRUPTED, REFUSED
from tvixbuild_nb.cli.screen import complain, console, write_json
from tvixbuild_nb.cli.summary import result_summary, show_result
from tvixbuild_nb.errors import BuildFailed, InvalidValue, TvixBuildError
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Run, Sandbox
from tvixbuild_nb.sandbox.services import BUILDER_VARIABLE


def run_summary(run: Run) -> dict[str, Any]:
    """A run that is over, as plain data."""
    assert run.result is not None
    return result_summary(run.result, run.record)


def build(
    args: Namespace,
    request_in: Callable[[Castore], BuildRequest],
    summary: Callable[[Run], Any] = run_summary,
    service_in: Callable[[Castore], BuildService | None] = lambda castore: None,
) -> int:
    """Build the request that ``request_in`` makes in the opened store; the exit status.

    ``args`` has the options of ``tvixbuild-nb run``; ``summary`` is what ``--json`` prints; ``service_in`` makes
    the build service where no other will do.
    """
    try:
        check_runtime(args)
        with open_castore(args.store) as castore:
            request = request_in(castore)
            builder = service_in(castore) or args.builder
            sandbox = Sandbox.from_request(
                request, store=castore, builder=builder, builder_store=args.builder_store, runtime=args.runtime
            )
            with closing(sandbox.builder):
                run = sandbox.start(
                    timeout=args.timeout, silent_timeout=args.silent_timeout, keep=args.keep, inputs=args.inputs,
                    strict=args.strict, observe=args.observe, trace=args.trace,
                )  # fmt: skip
                return _watch(run, args, summary)
    except BuildFailed as error:
        # Something that has to be built first.
        complain(error)
        return FAILED
    except TvixBuildError as error:
        # What a started build meets is its result: whatever is raised refused it.
        complain(error)
        return REFUSED


def policy_of(args: Namespace) -> BuildPolicy:
    """How to build, as the options of ``tvixbuild-nb run`` say."""
    return BuildPolicy(
        timeout=args.timeout,
        silent_timeout=args.silent_timeout,
        keep=args.keep,
        inputs=args.inputs,
        strict=args.strict,
        observe=args.observe,
        trace=args.trace,
    )


def check_runtime(args: Namespace) -> None:
    """:class:`InvalidValue` when a runtime is asked of a build service that has no choice."""
    address = args.builder or os.environ.get(BUILDER_VARIABLE) or "oci:"
    if args.runtime is not None and not address.startswith("oci:"):
        message = f"the build service {address} has no choice of runtimes"
        raise InvalidValue(message, path="--runtime", hint="--builder oci: has")


def _watch(run: Run, args: Namespace, summary: Callable[[Run], Any]) -> int:
    status = None
    try:
        run.follow(sys.stderr)
    except KeyboardInterrupt:
        status = INTERRUPTED
        run.cancel()
        run.follow(None)
    result = run.result
    assert result is not None
    if args.json:
        write_json(summary(run))
    else:
        show_result(console(), result, run.record.log_path, run.explain())
    return status or (0 if result.ok else FAILED)
