"""A private Nix: its store, state and settings below one directory, its store paths those of /nix/store all the same.

``python -m support.nix`` (in tests/, with Nix 2.8) makes the goldens again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

GOLDENS = Path(__file__).parents[1] / "goldens" / "nix"
EXPRESSIONS = GOLDENS / "derivations.nix"
# The format of the goldens; later ones print derivations differently.
GOLDEN_VERSION = (2, 8)
_SETTINGS = """\
build-users-group =
sandbox = true
substitute = false
experimental-features = nix-command ca-derivations impure-derivations
"""


class Nix:
    """Debian's Nix, single-user, with a store of its own below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        settings = root / "etc"
        settings.mkdir(parents=True)
        (settings / "nix.conf").write_text(_SETTINGS)
        home = root / "home"
        home.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NIX_", "XDG_"))}
        # A chroot store: paths begin with /nix/store for everybody, and lie below root for us.
        self.environment = kept | {
            "NIX_CONF_DIR": str(settings),
            "NIX_REMOTE": f"local?root={root / 'root'}",
            "HOME": str(home),
        }

    @property
    def store(self) -> Path:
        """Where the paths of /nix/store lie."""
        return self.root / "root" / "nix" / "store"

    @cached_property
    def version(self) -> tuple[int, ...]:
        """Major and minor."""
        found = re.search(rb"(\d+)\.(\d+)", self("nix", "--version"))
        assert found
        return tuple(map(int, found.groups()))

    def __call__(self, *argv: str | Path, **changes: str) -> bytes:
        """The standard output of a command; it must succeed. ``changes`` are variables of its environment."""
        done = subprocess.run(
            argv, env=self.environment | changes, stdin=subprocess.DEVNULL, capture_output=True, timeout=120
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def refuses(self, *argv: str | Path) -> str:
        """What a command that must fail says on standard error."""
        done = subprocess.run(
            argv, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, text=True
        )
        assert done.returncode != 0, done.stdout
        return done.stderr

    def instantiate(self, expressions: Path, *argv: str) -> list[str]:
        """The base names of the derivations that an expression file gives."""
        found = self("nix-instantiate", expressions, *argv).decode().split()
        return [path.removeprefix("/nix/store/").partition("!")[0] for path in found]

    def show(self, basename: str) -> bytes:
        """What ``nix derivation show`` prints, under the name that it has in this version."""
        command = ["derivation", "show"] if self.version >= (2, 15) else ["show-derivation"]
        return self("nix", *command, f"/nix/store/{basename}")


def make_goldens(nix: Nix) -> Mapping[str, bytes]:
    """The goldens as they should be: paths below ``GOLDENS`` to contents."""
    assert nix.version == GOLDEN_VERSION, f"goldens are made with Nix {GOLDEN_VERSION}, not {nix.version}"
    made: dict[str, bytes] = {}
    for basename in nix.instantiate(EXPRESSIONS):
        made[f"store/{basename}"] = (nix.store / basename).read_bytes()
        made[f"shown/{basename}.json"] = nix.show(basename)
    return made


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        made = make_goldens(Nix(Path(scratch)))
    for kind in ("store", "shown"):
        shutil.rmtree(GOLDENS / kind, ignore_errors=True)
        (GOLDENS / kind).mkdir()
    for path, contents in made.items():
        (GOLDENS / path).write_bytes(contents)
    sys.stdout.write(f"{len(made)} files below {GOLDENS}\n")


if __name__ == "__main__":
    main()
