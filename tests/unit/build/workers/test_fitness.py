"""What a worker thinks of itself: what builds elsewhere does not depend on its host."""

from __future__ import annotations

from tvixbuild_nb.build import DummyBuildService
from tvixbuild_nb.build.workers.fitness import found_unfit, unfitness
from tvixbuild_nb.castore import open_castore


def test_who_builds_elsewhere_is_not_judged_by_this_host() -> None:
    service = DummyBuildService(open_castore("memory:"))
    assert unfitness(service, "dummy") is None and found_unfit(service, "dummy", "no sandbox") is None
