"""A derivation whose dependency is built first, both by a server: outputs are fetched, checked, and inputs again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.nix import Nix
from support.served import Served
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.sandbox import Sandbox

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

_EXPRESSION = r"""
let
  make = name: script: more: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-euc" script ]; PATH = "/bin";
  } // more);
  leaf = make "leaf" "mkdir $out; echo leaf > $out/text" { };
in {
  chain = make "chain" "cat ${leaf}/text; mkdir $out; ln -s ${leaf}/text $out/link" { };
  wrong = make "wrong" "printf other > $out" {
    outputHashMode = "flat"; outputHashAlgo = "sha256";
    outputHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  };
}
"""


@pytest.fixture
def nix(tmp_path: Path) -> Nix:
    if shutil.which("nix-instantiate") is None:
        pytest.skip("needs Nix: package nix-bin")
    (tmp_path / "nix").mkdir()
    return Nix(tmp_path / "nix")


def test_both_are_built_there(nix: Nix, server: Served, near: Castore, tmp_path: Path) -> None:
    expression = tmp_path / "x.nix"
    expression.write_text(_EXPRESSION)
    place = f"local?root={nix.root / 'root'}"
    [chain] = nix.instantiate(expression, "-A", "chain")
    run = Sandbox.from_derivation(nix.store / chain, place, store=near, builder=server.address).run(show=False)
    assert run.ok, str(run)
    assert run.result is not None and run.result.service == server.address
    assert run.log.text() == "leaf\n"
    (output,) = run.outputs
    [leaf] = run.references[output]
    assert str(leaf).endswith("-leaf") and run.narinfo().info.deriver is not None
    [wrong] = nix.instantiate(expression, "-A", "wrong")
    run = Sandbox.from_derivation(nix.store / wrong, place, store=near, builder=server.address).run(show=False)
    assert (run.status, run.failed_at) == ("failed", "output") and "hash mismatch" in run.message
    assert next(iter(run.rejected.values())).read_bytes() == b"other"
