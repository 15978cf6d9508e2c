"""Derivations whose inputs nobody has built: built here, inputs first, and the same as by Nix."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.cli import Command
from support.leftovers import Leftovers
from support.nix import Nix
from tvixbuild_nb import Sandbox, runs
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import DependencyFailed

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

_EXPRESSIONS = r"""
let
  make = name: script: derivation {
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-euc" script ]; PATH = "/bin";
  };
  source = builtins.toFile "closure-source" "from a source\n";
  base = make "closure-base" "mkdir $out; cat ${source} > $out/text";
  left = make "closure-left" "echo ${base} left > $out";
  right = make "closure-right" "cat ${base}/text > $out; chmod 755 $out";
  broken = make "closure-broken" "echo no luck; exit 4";
  over = make "closure-over" "cat ${broken} > $out";
in {
  top = make "closure-top" "mkdir $out; cat ${left} ${right} > $out/both; ln -s ${right} $out/link";
  wrong = make "closure-wrong" "cat ${over} > $out";
}
"""
_NAMES = ("closure-base", "closure-left", "closure-right", "closure-top")


@pytest.fixture(scope="module")
def expressions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("expressions") / "closure.nix"
    file.write_text(_EXPRESSIONS)
    return file


def test_what_is_missing_is_built_first_and_is_what_nix_builds(
    nix: Nix,
    expressions: Path,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    no_leftovers: Leftovers,
) -> None:
    command = Command(capfdbinary)
    [basename] = nix.instantiate(expressions, "-A", "top")
    place = ("--from", f"local?root={nix.root / 'root'}", "--store", tmp_path / "castore")
    planned = command.json("drv", "closure", nix.store / basename, *place, "--dry-run")
    order = [step["derivation"].partition("-")[2].removesuffix(".drv") for step in planned["steps"]]
    assert sorted(order) == sorted(_NAMES) and (order[0], order[-1]) == (_NAMES[0], _NAMES[-1])
    assert "4 to be built" in command("drv", "closure", nix.store / basename, *place, "--dry-run")
    assert not runs()

    told = command.json("drv", "run", nix.store / basename, *place)
    assert told["status"] == "succeeded" and len(runs()) == 4
    text = command("drv", "closure", nix.store / basename, *place, "--jobs", "1")
    assert "1 done" in text, "what drv run built is known, its own outputs are not"
    done = command.json("drv", "closure", nix.store / basename, *place)
    assert not done["steps"] and done["there"] == [basename]

    [path] = [f"/{output['path']}" for output in told["outputs"]]
    nix("nix-store", "-r", f"/nix/store/{basename}", "--option", "sandbox-paths", "/bin/sh=/bin/busybox")
    assert told["outputs"][0]["nar_hash"] == nix("nix-store", "--query", "--hash", path).decode().strip()
    references = nix("nix-store", "--query", "--references", path).decode().split()
    assert told["outputs"][0]["references"] == sorted(references)
    assert len(references) == 2, "an input that was built here is found as one that Nix built"


def test_a_dependency_that_fails_names_the_way_to_it(
    nix: Nix,
    expressions: Path,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    no_leftovers: Leftovers,
) -> None:
    [basename] = nix.instantiate(expressions, "-A", "wrong")
    address = f"local?root={nix.root / 'root'}"
    with open_castore(tmp_path / "castore") as castore, pytest.raises(DependencyFailed) as failed:
        Sandbox.from_derivation(nix.store / basename, address, store=castore)
    assert [each.partition("-")[2] for each in failed.value.way] == [
        "closure-wrong.drv",
        "closure-over.drv",
        "closure-broken.drv",
    ]
    assert "ended with status 4" in str(failed.value) and "which needs" in str(failed.value)
    [run] = runs()
    assert "no luck" in run.log.text() and run.id in str(failed.value)

    command = Command(capfdbinary)
    place = ("--from", address, "--store", tmp_path / "castore", "--keep", "never")
    told = command.json("drv", "closure", nix.store / basename, *place, status=1)
    assert [step["state"] for step in told["steps"]] == ["failed", "skipped", "skipped"]
    assert "closure-over.drv, which needs" in command.err
    command("drv", "run", nix.store / basename, *place, status=1)
    assert "closure-over.drv, which needs" in command.err
