"""The checkers: each a pure function from the facts of a failed run to what it finds in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tvixbuild_nb.debug.checks.compilers import compilers
from tvixbuild_nb.debug.checks.ends import ends
from tvixbuild_nb.debug.checks.lineends import line_ends
from tvixbuild_nb.debug.checks.missing import missing
from tvixbuild_nb.debug.checks.programs import programs
from tvixbuild_nb.debug.checks.rejected import rejected
from tvixbuild_nb.debug.checks.surroundings import surroundings
from tvixbuild_nb.debug.checks.texts import texts, without
from tvixbuild_nb.debug.checks.unset import unset
from tvixbuild_nb.debug.explanation import Finding
from tvixbuild_nb.debug.facts import Facts

Check = Callable[[Facts], Iterable[Finding]]
# What the command itself has wrong: lines of the log that follow from it say nothing to the others.
FIRST: tuple[Check, ...] = (unset, line_ends)
# What looked into the sandbox stands before what only read texts.
CHECKS: tuple[Check, ...] = (programs, compilers, missing, surroundings, rejected, ends, texts, without)

__all__ = ["CHECKS", "FIRST", "Check"]
