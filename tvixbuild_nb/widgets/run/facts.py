"""What is on disk about a run, as one value."""

from __future__ import annotations

import time

from tvixbuild_nb.sandbox import Run
from tvixbuild_nb.widgets.run.data import RunFacts


def run_facts(run: Run) -> RunFacts:
    """All that is known of ``run`` now."""
    # The result first: once it is there, so is every event but the very last.
    result = run.result
    bundle = run.bundle
    return RunFacts(
        id=run.id,
        command=run.request.command_args,
        now=time.time(),
        events=run.record.read_stages(),
        result=result,
        needles=run.request.refscan_needles,
        redactor=run.redactor,
        is_ours=run.is_ours,
        cancelling=run.cancelling,
        bundle=None if bundle is None else str(bundle),
        explanation=run.explain(),
        bringing=run.bringing,
        sample=None if result is not None else run.record.read_sample(),
    )
