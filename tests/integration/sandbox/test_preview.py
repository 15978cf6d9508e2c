"""A preview beside what was really run, and beside what runc writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.castore import open_castore

pytestmark = pytest.mark.integration


def test_a_run_differs_from_its_preview_for_known_reasons_only(root: None, passable_tmp: Path) -> None:
    store = open_castore("memory:")
    builder = OCIBuildService(passable_tmp / "bundles", store)
    sandbox = Sandbox("echo hello > /nix/store/out", outputs=["nix/store/out"], store=store, builder=builder)
    preview = sandbox.preview()
    run = sandbox.run(show=False)
    assert run.ok, str(run)
    for rows in (preview.diff("last run"), preview.diff(run)):
        assert [row.where for row in rows if not row.reason] == []
    sandbox.env["NEW"] = "1"
    assert "process.env[NEW]" in [row.where for row in sandbox.preview().diff("last run")]


def test_beside_runc_spec() -> None:
    rows = {row.where: row for row in Sandbox("true").preview().diff("runc")}
    assert rows["root.path"].theirs == "rootfs"
    assert rows["process.args[0]"].theirs == "sh"
    assert rows["mounts[/nix/store]"].kind == "ours only"
