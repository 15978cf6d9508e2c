"""Into the sandbox of a derivation that failed: its shell, and the phases of its stdenv up to the one that failed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.entered import SETUP
from support.leftovers import Leftovers
from support.nix import Nix
from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.sandbox import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

EXPRESSIONS = """
{ structured }:
derivation ({
  name = "failing"; system = builtins.currentSystem;
  builder = "${./tools}/bin/bash";
  args = [ "-e" "-c" "if [ -e .attrs.sh ]; then source .attrs.sh; fi; source $stdenv/setup; genericBuild" ];
  stdenv = ./stdenv; PATH = "${./tools}/bin"; buildPhase = "echo trying; false"; hello = "two words";
} // (if structured then { __structuredAttrs = true; } else { }))
"""


@pytest.fixture
def expressions(tmp_path: Path) -> Path:
    tools = tmp_path / "tools" / "bin"
    tools.mkdir(parents=True)
    shutil.copy("/bin/bash-static", tools / "bash")
    for name in ("mkdir", "cat", "ls"):
        shutil.copy("/bin/busybox", tools / name)
    (tmp_path / "stdenv").mkdir()
    (tmp_path / "stdenv" / "setup").write_text(SETUP)
    file = tmp_path / "default.nix"
    file.write_text(EXPRESSIONS)
    return file


def _failed(nix: Nix, expressions: Path, place: Path, structured: str) -> Run:
    [basename] = nix.instantiate(expressions, "--arg", "structured", structured)
    store = open_castore(place / "store")
    service = OCIBuildService(place / "bundles", store)
    sandbox = Sandbox.from_derivation(
        nix.store / basename, inputs=f"local?root={nix.root / 'root'}", store=store, builder=service
    )
    run = sandbox.run(show=False)
    assert run.status == "failed" and "running buildPhase" in run.log.text(), f"{run}\n{run.log.text()}"
    return run


@pytest.mark.parametrize("structured", ["false", "true"])
def test_the_phases_before_the_one_that_failed_are_run_and_it_can_be_tried_again(
    nix: Nix, expressions: Path, passable_tmp: Path, no_leftovers: Leftovers, structured: str
) -> None:
    no_leftovers.warm = True
    run = _failed(nix, expressions, passable_tmp, structured)
    with run.shell(phase="buildPhase") as shell:
        assert shell.greeting is not None
        assert shell.greeting.output.splitlines()[-1].startswith("stopped before buildPhase"), str(shell.greeting)
        assert shell("pwd; echo $hello; cat config").output == "/build/source\ntwo words\nconfigured\n"
        again = shell("runPhase buildPhase")
        assert again.output == "running buildPhase\ntrying\n" and again.exit_code == 1
        # A cure is tried before it is written down.
        assert shell("buildPhase='echo built > binary'; runPhase buildPhase; cat binary").ok
    # As the failure left it: with the builder's own shell, in what there was.
    with run.shell() as shell:
        assert shell("echo $HOME $NIX_BUILD_TOP; cd source; echo *").output == "/homeless-shelter /build\nconfig x.c\n"
    run.delete()
