"""Runs that answer a question about a sandbox: recorded as any run, but not among the sandbox's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.build import BuildContext, BuildPolicy, RunRecord
from tvixbuild_nb.keeper.trees import remove
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox.run import Run
from tvixbuild_nb.sandbox.secrets import check_secrets

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.sandbox import Sandbox


def begin(sandbox: Sandbox, request: BuildRequest, policy: BuildPolicy, *, check: bool = False) -> Run:
    """Start ``request`` with the sandbox's builder and secrets; raises what refuses it."""
    builder = sandbox.builder
    check_secrets(request.environment_vars, sandbox.secrets)
    record = RunRecord.create()
    if sandbox.secrets:
        record.write_secrets(sandbox.secrets)
    return Run.begin(builder, request, BuildContext(record, policy), check=check)


def tried(sandbox: Sandbox, request: BuildRequest, policy: BuildPolicy) -> Run:
    """The run of ``request`` when it is over; what interrupts the waiting cancels it, leaves no bundle, is raised."""
    run = begin(sandbox, request, policy)
    try:
        return run.wait()
    except BaseException:
        run.cancel()
        run.follow(None)
        if (bundle := run.bundle) is not None:
            remove(str(bundle))
        raise


def same_outputs(one: Run, other: Run) -> bool:
    """Whether both succeeded with equal outputs."""
    results = one.result, other.result
    if results[0] is None or results[1] is None or not (one.ok and other.ok):
        return False
    before, after = ([(output.path, output.node) for output in each.outputs] for each in results if each is not None)
    return before == after
