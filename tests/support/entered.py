"""Runs to be entered, in places of a test's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.sandbox import Run

# Has the shape of stdenv's setup, not its text: phases are variables or functions, in an order, run by runPhase.
SETUP = """
set -eu
set -o pipefail
trap 'echo "exit handler: $?"' EXIT
declare -a flags=(one "two words")
declare -A table=([key]=value)
readonly fixed=1
greeting=$'two\\nlines'
export SOURCED=yes
unpackPhase() { mkdir source; echo 'int x;' > source/x.c; cd source; }
configurePhase() { echo configured > config; }
buildPhase() { echo built > binary; }
runPhase() {
  curPhase=$1
  if [ -n "${dontBuild-}" ] && [ "$1" = buildPhase ]; then return; fi
  echo "running $1"
  eval "${!curPhase:-$curPhase}"
}
genericBuild() { for each in ${phases:-unpackPhase configurePhase buildPhase installPhase}; do runPhase "$each"; done; }
"""


def sandbox_at(place: Path, command: str, runtime: str = "runc", *, namespaces: bool = True, **fields: Any) -> Sandbox:
    """A sandbox whose store and bundles lie below ``place``."""
    store = open_castore(f"file:{place / 'store'}")
    builder = OCIBuildService(place / "bundles", store, runtime=runtime, namespaces=namespaces)
    return Sandbox(command, store=store, builder=builder, **{"outputs": ["nix/store/out"], **fields})


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait until ``condition`` holds; AssertionError names ``what`` otherwise."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def says(run: Run, text: str) -> None:
    """Wait until the log of ``run``, which goes on, has ``text``."""
    until(lambda: text in run.log.text() or not run.running, f"{text!r} in the log of {run}")
    assert text in run.log.text(), str(run)


def bundles_at(place: Path) -> set[str]:
    """The bundles that stand below ``place``, but for warm views."""
    return {each.name for each in (place / "bundles").iterdir() if each.is_dir() and each.suffix != ".views"}
