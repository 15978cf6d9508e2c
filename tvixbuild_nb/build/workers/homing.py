"""Outputs that a worker's build service left in a store of its own come to the store whose owner wants them."""

from __future__ import annotations

from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.build.service import CancelToken
from tvixbuild_nb.castore import Castore, copy_closure
from tvixbuild_nb.errors import Cancelled, TvixBuildError


def brought_home(result: BuildResult, theirs: Castore, store: Castore, cancel: CancelToken) -> BuildResult:
    """``result`` with its outputs in ``store``, copied from ``theirs`` where that is another one.

    What cannot be copied makes it fail at ingest.
    """
    if theirs.address == store.address:
        return result
    try:
        for output in result.outputs:
            cancel.check()
            copy_closure(theirs, store, output.node)
    except Cancelled as cancelled:
        return result.model_copy(update={"status": "cancelled", "message": cancelled.message, "outputs": ()})
    except TvixBuildError as error:
        message = f"its outputs do not come from {theirs.address} to {store.address}: {error.message}"
        update = {"status": "failed", "failed_at": "ingest", "message": message, "hint": error.hint, "outputs": ()}
        return result.model_copy(update=update)
    return result.model_copy(update={"store": store.address})
