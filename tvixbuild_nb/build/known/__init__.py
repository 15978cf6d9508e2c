"""What goes wrong, in the words in which runtimes, kernels, FUSE, Nix and builds report it, with cause and cure.

Data only. The texts were seen on Debian 12 with runc 1.1, crun 1.8 and Nix 2.8, are those that newer ones (runc 1.2 to
1.4, crun, Nix to master) have in their sources, or are taken from the public issue the entry names. Where two patterns
match one line, the more exact one stands first.
"""

from __future__ import annotations

from tvixbuild_nb.build.known.commands import BUILD, EXEC
from tvixbuild_nb.build.known.failure import Failure, Stage
from tvixbuild_nb.build.known.nix import VERDICTS
from tvixbuild_nb.build.known.setup import SETUP

FAILURES: tuple[Failure, ...] = (*SETUP, *EXEC, *BUILD, *VERDICTS)

__all__ = ["FAILURES", "Failure", "Stage"]
