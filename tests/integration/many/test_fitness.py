"""What a worker thinks of itself: a fault that passes is not for its life."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.build.workers.fitness import unfitness
from tvixbuild_nb.castore import open_castore

pytestmark = pytest.mark.integration


def test_what_was_mended_is_seen(passable_tmp: Path) -> None:
    runtime = passable_tmp / "runc"
    service = OCIBuildService(passable_tmp / "bundles", open_castore("memory:"), runtime=str(runtime))
    bad = unfitness(service, str(runtime))
    assert bad is not None and str(runtime) in bad.reason
    runtime.write_text("#!/bin/sh\necho runc version 1.1.0\n")
    runtime.chmod(0o755)
    assert unfitness(service, str(runtime)) is bad
    assert unfitness(service, str(runtime), mended=0) is None
    service.close()
