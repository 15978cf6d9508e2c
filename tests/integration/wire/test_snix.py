"""Builds by a Snix, and by an old Tvix, in a process of its own: from here, and from the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from support.cli import start_command
from support.snixprocess import snix_process
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.castore.progress import Silent
from tvixbuild_nb.castore.remote import upload
from tvixbuild_nb.sandbox import Sandbox

pytestmark = pytest.mark.integration


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for number in range(30):
        (root / "deep" / str(number % 5)).mkdir(parents=True, exist_ok=True)
        (root / "deep" / str(number % 5) / f"file{number}").write_bytes(b"%d" % number * 500)
    (root / "large").write_bytes(os.urandom(9 << 20))
    (root / "link").symlink_to("deep")
    return root


@pytest.mark.parametrize("namespace", ["snix", "tvix"])
def test_a_build(namespace: str, near: Castore, tree: Path) -> None:
    with snix_process(namespace) as (store, builder):
        outputs = ["nix/store/a-first", "nix/store/b-said"]
        sb = Sandbox(
            ["build"], outputs=outputs, refscan_needles=["src"], store=near, builder=builder, builder_store=store
        )
        node = sb.add_input("src", tree)
        run = sb.run(show=False)
        assert run.ok, str(run)
        first = run.outputs["nix/store/a-first"]
        assert first.node == node and (first / "large").read_bytes() == (tree / "large").read_bytes()
        # All of it was there before it built: 31 files, and the root, deep, and the five below it.
        assert run.outputs["nix/store/b-said"].read_text() == "31 7\n"
        assert run.needles["nix/store/b-said"] == ("src",)
        # Another process, and from the command line; the two stores have different addresses there, too.
        (tree.parent / "r.json").write_text(sb.request.to_json())
        command = ["run", tree.parent / "r.json", "--json", "--store", near.address, "--builder", builder]
        with start_command(*command, "--builder-store", store) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert json.loads(out)["status"] == "succeeded"


def test_contents(near: Castore, tree: Path, tmp_path: Path) -> None:
    node = near.ingest(tree)
    with snix_process() as (store, _), open_castore(store) as far:
        upload(near, far, [node], Silent())
        assert far.has_closure(node)
        far.export(node, tmp_path / "exported")
    assert (tmp_path / "exported" / "large").read_bytes() == (tree / "large").read_bytes()
    assert (tmp_path / "exported" / "deep" / "4" / "file29").read_bytes() == b"29" * 500
