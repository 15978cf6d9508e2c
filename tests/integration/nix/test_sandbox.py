"""Derivations built by Nix and by a Sandbox: the outputs are the same, to the byte of their NARs."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from pathlib import Path

import pytest

from support.nix import Nix
from tvixbuild_nb import Sandbox, runs
from tvixbuild_nb.build import DummyBuildService
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.errors import HostRefused, InvalidDerivation, InvalidRequest, NotFound, UnsupportedDerivation
from tvixbuild_nb.nix import StoreDir, StorePath, read_derivation
from tvixbuild_nb.nix.narinfo import parse_narinfo
from tvixbuild_nb.sandbox import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

# The builder is the sandbox's own shell, here as there.
_EXPRESSIONS = r"""
let
  make = name: script: more: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-euc" script ]; PATH = "/bin";
  } // more);
  leaf = make "leaf" "mkdir $out; echo leaf > $out/text; ln -s text $out/link" { };
in {
  chain = make "chain" "mkdir -p $out/bin $out/empty; echo \"#!${leaf}/x\" > $out/bin/run; chmod 755 $out/bin/run" { };
  several = make "several" "echo only > $out; mkdir $lib; echo $out $lib > $lib/ü; ln -s $out $lib/l" {
    outputs = [ "out" "lib" ];
  };
  link = make "link" "ln -s ${leaf}/text $out" { };
  passed = make "passed" "cat $textPath > $out" { passAsFile = [ "text" ]; text = "by\nfile"; };
  structured = make "structured" ''
    out=$(sed -n "s/^declare -A outputs=.*'out'\]*='\([^']*\)'.*/\1/p" /build/.attrs.sh)
    cat /build/.attrs.json > $out
  '' { __structuredAttrs = true; nested = { list = [ 1 "two" ]; inherit leaf; }; };
  fixed = make "fixed" "printf hello > $out" {
    outputHashMode = "flat"; outputHashAlgo = "sha256";
    outputHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  };
  placed = make "placed" "echo \${flags%% *} > $out; mkdir $dev; echo $flags > $dev/größe" {
    outputs = [ "out" "dev" ]; flags = "--prefix=${placeholder "out"} --dev=${placeholder "dev"}";
  };
  tree = make "tree" "mkdir $out; printf hello > $out/run; chmod 755 $out/run; ln -s nowhere $out/link" {
    outputHashMode = "recursive"; outputHashAlgo = "sha256";
    outputHash = "sha256-oCN20rvO3JRSIRN8frVbbKPkddekC2mVpFCee3aCKIE=";
  };
  graph = make "graph" "cat graph > $out" { exportReferencesGraph = [ "graph" leaf ]; };
  broken = make "broken" "ln -s /nowhere/at/all $out" { };
  modes = make "modes" ''
    mkdir $out $out/d; echo a > $out/none; echo b > $out/d/all; chmod 777 $out/d/all; echo c > $out/owner
    chmod 100 $out/owner; echo d > $out/group; chmod 010 $out/group; chmod 0 $out/none $out/d
  '' { };
  failing = make "failing" "echo no luck; exit 3" { };
  asking = make "asking" "cat ${make "asked" "echo with $TOKEN >&2; printf hello > $out" {
    outputHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; outputHashAlgo = "sha256";
    impureEnvVars = [ "TOKEN" ];
  }} > $out" { };
  recursive = derivation {
    name = "recursive"; system = builtins.currentSystem; builder = "/bin/sh";
    requiredSystemFeatures = [ "recursive-nix" ];
  };
}
"""
_SHELL = ("--option", "sandbox-paths", "/bin/sh=/bin/busybox")
_NAMES = (
    "chain", "several", "link", "passed", "structured", "fixed", "placed", "tree", "graph", "broken", "modes"
)  # fmt: skip


@pytest.fixture(scope="module")
def expressions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("expressions") / "sandbox.nix"
    file.write_text(_EXPRESSIONS)
    return file


@pytest.fixture
def castore(tmp_path: Path) -> Iterator[Castore]:
    with open_castore(tmp_path / "castore") as castore:
        yield castore


@pytest.mark.parametrize("name", _NAMES)
def test_both_build_the_same(nix: Nix, expressions: Path, castore: Castore, name: str) -> None:
    [basename] = nix.instantiate(expressions, "-A", name)
    nix("nix-store", "-r", f"/nix/store/{basename}", *_SHELL)
    place = f"local?root={nix.root / 'root'}"
    sandbox = Sandbox.from_derivation(nix.store / basename, place, store=castore)
    run = sandbox.run(check=True, show=False)
    store = StoreDir()
    outputs = [path for output in read_derivation(nix.store / basename).outputs.values() if (path := output.path)]
    assert sorted(run.outputs) == sorted(f"nix/store/{path}" for path in outputs)
    for output in outputs:
        path, key = store.join(output), f"nix/store/{output}"
        assert str(run.nar_hash[key]) == nix("nix-store", "--query", "--hash", path).decode().strip()
        assert run.nar_size[key] == int(nix("nix-store", "--query", "--size", path))
        references = nix("nix-store", "--query", "--references", path).decode().split()
        assert [store.join(each) for each in run.references[key]] == sorted(references)
        info = parse_narinfo(str(run.narinfo(key))).info
        assert (info.path, info.nar_hash, info.references) == (output, run.nar_hash[key], run.references[key])
    again = Sandbox.from_derivation((nix.store / basename).read_bytes(), place, store=castore)
    assert again.request == sandbox.request


def test_what_fails_fails_alike(nix: Nix, expressions: Path, castore: Castore) -> None:
    [basename] = nix.instantiate(expressions, "-A", "failing")
    said = nix.refuses("nix-store", "-r", f"/nix/store/{basename}", *_SHELL)
    run = Sandbox.from_derivation(nix.store / basename, f"local?root={nix.root / 'root'}", store=castore).run(
        show=False, keep="never"
    )
    assert (run.status, run.failed_at, run.exit_code) == ("failed", "build", 3) and "exit code 3" in said
    assert run.log.text() == "no luck\n" and "no luck" in said and not run.outputs


def test_the_checks_stay_whoever_builds(nix: Nix, expressions: Path, castore: Castore) -> None:
    [basename] = nix.instantiate(expressions, "-A", "fixed")
    place = f"local?root={nix.root / 'root'}"
    sandbox = Sandbox.from_derivation(nix.store / basename, place, store=castore, cores=3)
    assert sandbox.request.environment_vars["NIX_BUILD_CORES"] == b"3"
    [output] = sandbox.outputs
    for contents in (b"hello", b"other"):
        made = castore.ingest_bytes(contents)
        sandbox.builder = DummyBuildService(castore, lambda request, build, made=made: {output: made})
        run = sandbox.run(show=False)
        assert run.ok == (contents == b"hello") and ("hash mismatch" in (run.message or "")) != run.ok
        if run.ok:
            assert Run.open(run.id).narinfo().info.deriver == StorePath.parse(basename)
    # What another command made is no output of the derivation, whatever it holds.
    sandbox.builder = None
    sandbox.command = ("/bin/sh", "-c", f"printf hello > /{output}")
    run = copy(sandbox).run(show=False)
    info = Run.open(run.id).narinfo().info
    assert run.ok and info.deriver is None and info.ca is not None
    # A runtime counts when it is asked for, not only before the first run.
    sandbox.runtime = "none"
    with pytest.raises(HostRefused, match="none"):
        sandbox.run(show=False)


def test_secrets_stay_secret_in_what_is_built_first(nix: Nix, expressions: Path, castore: Castore) -> None:
    [basename] = nix.instantiate(expressions, "-A", "asking")
    place = f"local?root={nix.root / 'root'}"
    with pytest.raises(InvalidRequest, match="shorter than"):
        Sandbox.from_derivation(nix.store / basename, place, store=castore, impure={"TOKEN": "x"}, secrets=["TOKEN"])
    sandbox = Sandbox.from_derivation(
        nix.store / basename, place, store=castore, impure={"TOKEN": "s3cret-word"}, secrets=["TOKEN"]
    )
    [first] = runs()
    assert first.log.text() == "with s3cret-word\n" and "s3cret" not in f"{first.log}{first}{first.log!r}"
    assert sandbox.secrets == () and sandbox.run(show=False).ok
    other = Sandbox.from_derivation(nix.store / basename, place, store=castore, secrets=["OTHER"])
    with pytest.raises(InvalidRequest, match="no variable of this build"):
        other.run(show=False)


def test_what_cannot_be_built_is_refused(nix: Nix, expressions: Path, castore: Castore, tmp_path: Path) -> None:
    [basename] = nix.instantiate(expressions, "-A", "recursive")
    with pytest.raises(UnsupportedDerivation, match="recursive-nix"):
        Sandbox.from_derivation(nix.store / basename, f"local?root={nix.root / 'root'}", store=castore)
    [basename] = nix.instantiate(expressions, "-A", "chain")
    with pytest.raises(NotFound, match="to be built first|does not have it") as missing:
        Sandbox.from_derivation((nix.store / basename).read_bytes(), f"local?root={tmp_path}", store=castore)
    assert all(way in (missing.value.hint or "") for way in ("--from ADDRESS", "inputs=", "local?root=/DIR"))
    with pytest.raises(InvalidDerivation):
        Sandbox.from_derivation(b"Derive([", store=castore)
