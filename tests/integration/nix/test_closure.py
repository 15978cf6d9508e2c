"""Derivations whose inputs nobody has built: built here, inputs first, and the same as by Nix."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.cli import Command, start_command
from support.leftovers import Leftovers
from support.nix import Nix
from tvixbuild_nb import Sandbox, runs
from tvixbuild_nb.build import BuildPolicy, OCIBuildService
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import Cancelled, DependencyFailed
from tvixbuild_nb.nix.nar import sum_of_path
from tvixbuild_nb.nix.opening import opened_derivation

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

_EXPRESSIONS = r"""
{ url, fetchedHash }:
let
  fetch = name: outputHash: derivation {
    inherit name url outputHash; system = "builtin"; builder = "builtin:fetchurl";
    outputHashMode = "recursive"; executable = true;
  };
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
  fetching = make "closure-fetching" "cat ${fetch "closure-fetched" fetchedHash} > $out";
  mistaken = fetch "closure-mistaken" "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  waits = make "closure-waits" "cat ${make "closure-slow" "echo slow; sleep 600"} > $out";
  wrong = make "closure-wrong" "cat ${over} > $out";
}
"""
_NAMES = ("closure-base", "closure-left", "closure-right", "closure-top")


class Expressions:
    """The derivations above, by their attributes; what they fetch is served at ``port``."""

    def __init__(self, nix: Nix, directory: Path, port: int) -> None:
        self._nix = nix
        self._file = directory / "closure.nix"
        self._file.write_text(_EXPRESSIONS)
        fetched = directory / "fetched"
        fetched.write_text("from elsewhere\n")
        fetched.chmod(0o755)
        url, wanted = f"http://127.0.0.1:{port}/fetched", sum_of_path(fetched).hash.sri
        self._arguments = ("--argstr", "url", url, "--argstr", "fetchedHash", wanted)

    def __call__(self, name: str) -> str:
        """The base name of a derivation in the store."""
        [basename] = self._nix.instantiate(self._file, "-A", name, *self._arguments)
        return basename


class Silent(SimpleHTTPRequestHandler):
    """A web server's half of a conversation."""

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def derivation(nix: Nix, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Expressions]:
    directory = tmp_path_factory.mktemp("expressions")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(directory))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Expressions(nix, directory, server.server_port)
        server.shutdown()


def test_what_is_missing_is_built_first_and_is_what_nix_builds(
    nix: Nix,
    derivation: Expressions,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    no_leftovers: Leftovers,
) -> None:
    command = Command(capfdbinary)
    basename = derivation("top")
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
    derivation: Expressions,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    no_leftovers: Leftovers,
) -> None:
    basename = derivation("wrong")
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


def test_what_nix_would_fetch_is_fetched(
    nix: Nix, derivation: Expressions, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    command = Command(capfdbinary)
    place = ("--from", f"local?root={nix.root / 'root'}", "--store", tmp_path / "castore")
    basename = derivation("fetching")
    fetched, fetching = command.json("drv", "closure", nix.store / basename, *place)["steps"]
    nix("nix-store", "-r", f"/nix/store/{basename}", "--option", "sandbox-paths", "/bin/sh=/bin/busybox")
    for [output] in (fetched["outputs"], fetching["outputs"]):
        assert output["nar_hash"] == nix("nix-store", "--query", "--hash", output["path"]).decode().strip()

    basename = derivation("mistaken")
    told = command.json("drv", "run", nix.store / basename, *place, status=1)
    done = subprocess.run(
        ["nix-store", "-r", f"/nix/store/{basename}"], env=nix.environment, capture_output=True, text=True, timeout=60
    )
    mine = told["message"].splitlines()
    assert done.returncode and len(mine) == 3 and told["failed_at"] == "output"
    words = " ".join(done.stderr.split())
    assert all(" ".join(line.split()) in words for line in mine), done.stderr
    with open_castore(tmp_path / "castore") as castore:
        run = Sandbox.from_derivation(nix.store / basename, place[1], store=castore).run(show=False)
    assert run.message == told["message"]


def test_cancelling_ends_the_real_builds(
    nix: Nix, derivation: Expressions, tmp_path: Path, passable_tmp: Path, no_leftovers: Leftovers
) -> None:
    address = f"local?root={nix.root / 'root'}"
    with (
        open_castore(tmp_path / "castore") as castore,
        opened_derivation(nix.store / derivation("waits"), castore, address) as opened,
        closing(OCIBuildService(passable_tmp / "bundles", castore)) as service,
    ):
        policy = BuildPolicy(keep="never")
        going = opened.closure_build(opened.plan(itself=True), service, policy=policy)

        def cancel_when_it_runs() -> None:
            while not any("slow" in run.log.text() for run in runs()):
                time.sleep(0.05)
            going.cancel()

        threading.Thread(target=cancel_when_it_runs, daemon=True).start()
        with pytest.raises(Cancelled):
            going.run(show=False)
    [run] = runs()
    assert run.status == "cancelled"
    assert [node.state for node in going.nodes] == ["failed", "skipped"]


def test_ctrl_c_ends_what_is_built_first(
    nix: Nix, derivation: Expressions, tmp_path: Path, no_leftovers: Leftovers
) -> None:
    place = ("--from", f"local?root={nix.root / 'root'}", "--store", tmp_path / "castore", "--keep", "never")
    process = start_command("drv", "run", nix.store / derivation("waits"), *place)
    deadline = time.monotonic() + 30
    while not any("slow" in run.log.text() for run in runs()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and b"Traceback" not in err, err.decode()
    [run] = runs()
    assert run.status == "cancelled"
    assert no_leftovers.wait() == []
