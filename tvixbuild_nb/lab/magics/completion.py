"""What a tab completes on lines of %sandbox and %%sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.error import UsageError

from tvixbuild_nb.lab.magics.cell import KEEP, OPTIONS
from tvixbuild_nb.lab.magics.session import Session
from tvixbuild_nb.lab.magics.verbs import VERBS, trees

_LINE = re.compile(r"\s*(?P<magic>%%?sandbox)\s+(?P<words>.*)\Z", re.DOTALL)
# What the completer takes for one token ends before these.
_PARTS = re.compile(r"[=\s]")
_ENTRIES = 500


def matcher(session: Session) -> Any:
    """A matcher of IPython's for this session; nothing else completes on these lines."""

    @context_matcher(identifier="tvixbuild_nb.sandbox")
    def matches(context: Any) -> dict[str, Any]:
        line = context.full_text.split("\n")[context.cursor_line][: context.cursor_position]
        found = _LINE.match(line)
        if found is None:
            return {"completions": []}
        words = found["words"]
        begun = _PARTS.split(words)[-1]
        offered = (_cell if found["magic"] == "%%sandbox" else _verb)(session, words, begun)
        texts = sorted({text for text in offered if text.startswith(begun)})
        return {
            "completions": [SimpleCompletion(text, type="sandbox") for text in texts],
            "matched_fragment": begun,
            "suppress": True,
        }

    return matches


def _cell(session: Session, words: str, begun: str) -> Iterable[str]:
    before = words.split()[:-1] if begun else words.split()
    if before[-1:] == ["--keep"]:
        return KEEP
    return (*OPTIONS, *session.sandboxes())


def _verb(session: Session, words: str, begun: str) -> Iterable[str]:
    verb, space, rest = words.partition(" ")
    if not space:
        return VERBS
    if begun.startswith("-"):
        return re.findall(r"--[a-z]+", VERBS[verb].usage) if verb in VERBS else ()
    if verb in ("use", "diff"):
        return session.sandboxes()
    if verb == "help":
        return VERBS
    try:
        if verb in ("ls", "cat"):
            return _paths(session, begun)
        if verb == "input":
            return [f"{name}=" for name in session.sandbox().inputs]
        if verb == "env":
            return [f"{name}=" for name in session.sandbox().env]
    except UsageError:
        # There is nothing to choose from yet; the line itself will say so.
        return ()
    return ()


def _paths(session: Session, begun: str) -> Iterable[str]:
    """Outputs and inputs, and what is in the directory that was begun."""
    found = []
    for root, tree in trees(session).items():
        found.append(f"{root}/" if tree.is_dir() else root)
        if begun.startswith(f"{root}/"):
            place = tree / begun[len(root) + 1 :].rpartition("/")[0]
            if place.is_dir():
                inside = [child for _, child in zip(range(_ENTRIES), place.iterdir(), strict=False)]
                at = "/".join(filter(None, (root, place.path)))
                found += [f"{at}/{child.name}{'/' if child.is_dir() else ''}" for child in inside]
    return found
