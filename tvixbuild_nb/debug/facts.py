"""What the checkers ask: one failed run as plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tvixbuild_nb.build import BuildResult
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.debug.cures import Cures, cures_for
from tvixbuild_nb.debug.explanation import Evidence
from tvixbuild_nb.debug.inside import MountView
from tvixbuild_nb.debug.processes import ProcessTree
from tvixbuild_nb.request import BuildRequest


@dataclass(frozen=True, slots=True)
class Facts:
    """A run that did not succeed: ``view`` None when no configuration is known, ``log`` its last lines by number.

    ``runtime`` are the errors in the runtime's own log, where the bundle was kept; ``processes`` those there were when
    time was up, where that was noted; ``derivation`` the base name of the .drv that it builds, None for a sandbox's.
    """

    request: BuildRequest
    result: BuildResult
    view: MountView | None = None
    log: tuple[tuple[int, str], ...] = ()
    castore: Castore | None = None
    runtime: tuple[str, ...] = ()
    processes: ProcessTree | None = None
    derivation: str | None = None

    @property
    def cures(self) -> Cures:
        """What to do, for who has the build."""
        return cures_for(self.request, self.derivation)

    @property
    def counted(self) -> bool:
        """Whether somebody counted the processes that were ended for lack of memory."""
        return self.result.usage.oom_kills is not None

    def lines(self, pattern: str | re.Pattern[str]) -> list[tuple[Evidence, re.Match[str]]]:
        """The log's lines in which ``pattern`` stands, last first: what failed last is most often the reason."""
        found = ((number, text, re.search(pattern, text)) for number, text in reversed(self.log))
        return [(Evidence("log", text.strip(), number), match) for number, text, match in found if match]

    @property
    def verdict(self) -> Evidence:
        """How it ended, in the verdict's words."""
        return Evidence("verdict", self.result.verdict())
