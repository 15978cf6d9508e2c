"""Outputs that Nix refuses are refused here, in its words, and can still be looked at; those it takes are taken."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.cli import Command
from support.nix import Nix
from tvixbuild_nb import Sandbox
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.nix import StoreDir, StorePath
from tvixbuild_nb.sandbox import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

_EXPRESSIONS = r"""
let
  make = name: script: more: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-euc" script ]; PATH = "/bin";
  } // more);
  leaf = make "leaf" "echo leaf > $out" { };
  over = make "over" "mkdir $out; echo ${leaf} > $out/leaf" { };
  hello = {
    outputHashAlgo = "sha256";
    outputHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  };
  withLeaf = "mkdir $out; echo 1234 ${leaf} > $out/file";
in {
  wrong-flat = make "wrong-flat" "echo other > $out" (hello // { outputHashMode = "flat"; });
  wrong-tree = make "wrong-tree" "mkdir $out" (hello // { outputHashMode = "recursive"; });
  not-flat = make "not-flat" "mkdir $out" (hello // { outputHashMode = "flat"; });
  allowed = make "allowed" withLeaf { allowedReferences = [ "out" ]; };
  requisite = make "requisite" "echo ${over} > $out" { disallowedRequisites = [ leaf ]; };
  requisites = make "requisites" "echo ${over} > $out" { allowedRequisites = [ over ]; };
  reference = make "reference" withLeaf { disallowedReferences = [ leaf ]; };
  specifier = make "specifier" "echo > $out" { allowedReferences = [ "nosuch" ]; };
  whole = make "whole" ''
    out=$(sed -n "s/^declare -A outputs=.*'out'\]*='\([^']*\)'.*/\1/p" /build/.attrs.sh)
    echo ${over} > $out
  '' { __structuredAttrs = true; outputChecks.out.maxClosureSize = 300; };
  structured = make "structured" ''
    out=$(sed -n "s/^declare -A outputs=.*'out'\]*='\([^']*\)'.*/\1/p" /build/.attrs.sh)
    echo 12345678901234567890 > $out
  '' { __structuredAttrs = true; outputChecks.out.maxSize = 100; };
  cycle = make "cycle" "echo $b > $out; echo $out > $b" { outputs = [ "out" "b" ]; };
  writable = make "writable" "mkdir $out; chmod g+w $out" { };

  fine = make "fine" withLeaf { allowedReferences = [ leaf "out" ]; disallowedRequisites = [ over ]; };
  fine-tree = make "fine-tree" "printf hello > $out" {
    outputHashMode = "recursive"; outputHashAlgo = "sha256";
    outputHash = "sha256-CkMIecJm+LV/QJKg+TXPP6zUi7zN5XYNR0jKQFFx6Wk=";
  };
}
"""
_REFUSED = (
    "wrong-flat", "wrong-tree", "not-flat", "allowed", "requisite", "requisites", "reference", "specifier",
    "structured", "whole", "cycle", "writable",
)  # fmt: skip
_SHELL = ("--option", "sandbox-paths", "/bin/sh=/bin/busybox")


@pytest.fixture(scope="module")
def expressions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("expressions") / "checks.nix"
    file.write_text(_EXPRESSIONS)
    return file


@pytest.fixture
def castore(tmp_path: Path) -> Iterator[Castore]:
    with open_castore(tmp_path / "castore") as castore:
        yield castore


def _run(nix: Nix, basename: str, castore: Castore) -> Run:
    place = f"local?root={nix.root / 'root'}"
    return Sandbox.from_derivation(nix.store / basename, place, store=castore).run(show=False, keep="never")


@pytest.mark.parametrize("name", _REFUSED)
def test_what_nix_refuses_is_refused(nix: Nix, expressions: Path, castore: Castore, name: str) -> None:
    [basename] = nix.instantiate(expressions, "-A", name)
    said = nix.refuses("nix-store", "-r", f"/nix/store/{basename}", *_SHELL)
    run = _run(nix, basename, castore)
    assert (run.status, run.failed_at) == ("failed", "output"), str(run)
    message = run.message or ""
    if name == "cycle":  # which of them is named first is up to the sorting
        message = message.partition(" in the references")[0]
    # Nix names the place at which it looked, and in a permission's message the output, too.
    said = re.sub(
        r"\x1b\[[0-9;]*m|'\S*\.chroot(?:/root)?(?=/nix/store/)", lambda found: found[0][0].strip("\x1b"), said
    )
    # Newer ones name a mode that 2.8 does not have yet.
    said = said.replace("(one of outputHashMode={flat,text} is true)", "(outputHashMode=flat)")
    for part in re.split(r"\n|; ", message):
        assert " ".join(part.split()) in " ".join(said.split()), said
    assert not run.outputs and set(run.rejected) == set(run.request.outputs)
    if name in ("allowed", "requisite", "requisites", "reference"):
        leaf = re.search(r"([0-9a-z]{32})-leaf", message)
        assert leaf is not None and leaf[1] in (run.hint or "")
        [finding] = run.explain()
        places = [each for each in finding.evidence if each.kind == "file"]
        assert finding.confidence == "certain" and bool(places) == (name in ("allowed", "reference"))
    else:
        first = run.explain().first
        assert first is not None and first.evidence[0].kind == "verdict" and "not known" not in str(run), str(run)
    if name == "allowed":
        [output] = run.rejected.values()
        assert (output / "file").read_text().startswith("1234 /nix/store/")
        assert "file, byte 16" in places[0].text
        [place] = run.why(leaf[1]) if leaf is not None else ()
        assert place.offset == 16


def test_what_nix_takes_is_taken_and_known_by_its_derivation(nix: Nix, expressions: Path, castore: Castore) -> None:
    for name in ("fine", "fine-tree"):
        [basename] = nix.instantiate(expressions, "-A", name)
        nix("nix-store", "-r", f"/nix/store/{basename}", *_SHELL)
        run = _run(nix, basename, castore)
        assert run.ok and not run.rejected, str(run)
        info = Run.open(run.id).narinfo().info
        assert info.deriver == StorePath.parse(basename)
        database = f"file:{nix.root / 'root/nix/var/nix/db/db.sqlite'}?mode=ro"
        with closing(sqlite3.connect(database, uri=True)) as connection:
            [known] = connection.execute(
                "SELECT ca FROM ValidPaths WHERE path = ?", (StoreDir().join(info.path),)
            ).fetchone()
        assert info.ca == known and bool(known) == (name == "fine-tree")


def test_the_command_tells_of_refused_outputs(
    nix: Nix, expressions: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    command = Command(capfdbinary)
    [basename] = nix.instantiate(expressions, "-A", "allowed")
    place = ("--from", f"local?root={nix.root / 'root'}", "--store", tmp_path / "castore", "--keep", "never")
    told = command.json("drv", "run", nix.store / basename, *place, status=1)
    assert told["outputs"] == [] and [each["references"] for each in told["rejected"]] != [[]]
    assert "not taken" in command("drv", "run", nix.store / basename, *place, status=1)
    # What is built first is checked, too: nothing goes on with it.
    told = command("drv", "closure", nix.store / basename, *place, status=1)
    assert "not allowed to refer" in told + command.err
