"""A worker's result becomes the result of the run that waits here: its outputs are looked for, and checked if asked."""

from __future__ import annotations

from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.build.verdict import of_check, of_outputs
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.errors import CastoreError, OutputError
from tvixbuild_nb.request import BuildRequest


def taken(theirs: BuildResult, castore: Castore, request: BuildRequest, context: BuildContext) -> BuildResult:
    """``theirs``, or the same build failed: what it stored is not in ``castore``, or ``context`` refuses it."""
    absent = [output.path for output in theirs.outputs if not castore.has(output.node)]
    if theirs.request_digest == request.digest and not absent:
        return _checked(theirs, request, context)
    message = f"{theirs.worker} stored {', '.join(absent) or 'another build'} in a store that is not this one"
    hint = f"{theirs.store} must be the same store on every worker"
    update = {"status": "failed", "failed_at": "ingest", "message": message, "hint": hint, "outputs": ()}
    return theirs.model_copy(update=update)


def _checked(result: BuildResult, request: BuildRequest, context: BuildContext) -> BuildResult:
    if context.check is None or not result.ok:
        return result
    try:
        context.check(request, result.outputs)
    except OutputError as refused:
        verdict, rejected = of_check(refused), result.outputs
    except CastoreError as error:
        verdict, rejected = of_outputs(error), ()
    else:
        return result
    update = {"status": "failed", "failed_at": verdict.failed_at, "message": verdict.message, "hint": verdict.hint}
    return result.model_copy(update={**update, "outputs": (), "rejected": rejected})
