"""A worker's result as this run's: what it stored must be here, and whoever checks outputs may refuse them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tvixbuild_nb.build import BuildContext, BuildOutput, BuildResult, RunRecord
from tvixbuild_nb.build.result import Usage
from tvixbuild_nb.build.workers.taking import taken
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.errors import NotFound, OutputError
from tvixbuild_nb.request import BuildRequest

REQUEST = BuildRequest(command_args=["sh"], scratch_paths=["s"], outputs=["s/o"])


@pytest.fixture
def castore() -> Castore:
    return open_castore("memory:")


def result_of(castore: Castore) -> BuildResult:
    return BuildResult(
        id="x", request_digest=REQUEST.digest, service="pool:", status="succeeded", store="file:/theirs", started=0,
        finished=0, usage=Usage(source="nobody"), timings={}, log_size=0, worker="w1",
        outputs=(BuildOutput(path="s/o", node=castore.ingest_bytes(b"out")),),
    )  # fmt: skip


def test_what_is_here_is_taken_and_what_is_not_is_a_failure(castore: Castore) -> None:
    context = BuildContext(RunRecord.create())
    theirs = result_of(castore)
    assert taken(theirs, castore, REQUEST, context) is theirs
    lacking = taken(theirs, open_castore("memory:"), REQUEST, context)
    assert (lacking.failed_at, lacking.outputs) == ("ingest", ()) and "w1 stored s/o" in (lacking.message or "")
    assert lacking.hint is not None and "file:/theirs" in lacking.hint


@pytest.mark.parametrize("refused", [OutputError("wrong hash"), NotFound("the store lacks it")])
def test_what_is_checked_is_the_builds_fault_or_the_stores(castore: Castore, refused: OutputError | NotFound) -> None:
    def check(request: BuildRequest, outputs: Sequence[BuildOutput]) -> None:
        raise refused

    theirs = result_of(castore)
    found = taken(theirs, castore, REQUEST, BuildContext(RunRecord.create(), check=check))
    builds = isinstance(refused, OutputError)
    assert (found.status, found.failed_at) == ("failed", "output" if builds else "ingest")
    assert found.message == refused.message and found.outputs == ()
    assert found.rejected == (theirs.outputs if builds else ())
