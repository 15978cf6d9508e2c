"""Values as Python literals that read well; what is secret is taken from the environment instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from tvixbuild_nb.request.redactor import SHORTEST

# A list or mapping that fits is written in one line.
WIDTH = 100
_COMMENT = 400


class Literals:
    """Writes expressions. ``secrets``: variable -> value; none of these, from 4 characters on, is written down.

    ``environment`` says whether something written takes a value from ``os.environ`` (or ``os.environb``).
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._names = {value: name for name, value in secrets.items() if len(value) >= SHORTEST}
        # Bytes are looked at as if each were a character.
        self._binary_names = {value.encode().decode("latin-1"): name for value, name in self._names.items()}
        self.environment = False

    def variable(self, name: str, *, binary: bool = False) -> str:
        """The value of a variable, whatever it is."""
        self.environment = True
        return f"os.environb[{name.encode()!r}]" if binary else f"os.environ[{name!r}]"

    def text(self, value: str | bytes) -> str:
        """A text, or bytes as text where they are some: several lines as several literals."""
        if isinstance(value, str):
            return self._joined(value, _lines, binary=False)
        try:
            return self.text(value.decode("utf-8"))
        except UnicodeDecodeError:
            return self.binary(value)

    def binary(self, value: bytes) -> str:
        """Bytes as bytes."""
        return self._joined(value.decode("latin-1"), lambda part: repr(part.encode("latin-1")), binary=True)

    def value(self, value: object) -> str:
        """A text, several, or something whose ``repr`` it is."""
        if isinstance(value, tuple):
            written = [self.text(each) for each in value]
            line = f"[{', '.join(written)}]"
            return line if len(line) <= WIDTH and "\n" not in line else "\n".join(["[", *indented(written), "]"])
        return self.text(value) if isinstance(value, str) else repr(value)

    def mapping(self, values: Mapping[str, str], comments: Mapping[str, str] | None = None) -> str:
        """A dict of expressions, with what stands above some of its entries."""
        comments = comments or {}
        pairs = {name: f"{self.text(name)}: {value}" for name, value in values.items()}
        line = "{" + ", ".join(pairs.values()) + "}"
        if len(line) <= WIDTH and not comments and "\n" not in line:
            return line
        entries = []
        for name, pair in pairs.items():
            if name in comments:
                # The form of a literal keeps whatever a path may hold within its line.
                entries.append(f"# {comments[name]!r}"[:_COMMENT])
            entries.append(pair)
        return "\n".join(["{", *indented(entries), "}"])

    def _joined(self, text: str, literal: Callable[[str], str], *, binary: bool) -> str:
        names = self._binary_names if binary else self._names
        pattern = _any_of(names)
        if pattern is None:
            return literal(text)
        parts, at = [], 0
        for found in pattern.finditer(text):
            start, end = found.span(1)
            if end <= at:
                continue
            if start > at:
                parts.append(literal(text[at:start]))
            # Where two values overlap, the second one's rest is taken from it, and not written down.
            rest = f"[{at - start}:]" if start < at else ""
            parts.append(self.variable(names[found[1]], binary=binary) + rest)
            at = end
        if at < len(text) or not parts:
            parts.append(literal(text[at:]))
        return " + ".join(parts)


def indented(entries: Iterable[str]) -> list[str]:
    """The lines of entries that stand one below the other, each with its comma; a comment has none."""
    return [
        line
        for entry in entries
        for line in f"    {entry.replace(chr(10), chr(10) + '    ')}{'' if entry.startswith('#') else ','}".split("\n")
    ]


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(texts, key=len, reverse=True)
    # The lookahead takes nothing, so that overlapping texts are found too.
    return re.compile(f"(?=({'|'.join(map(re.escape, longest_first))}))") if longest_first else None


def _lines(text: str) -> str:
    lines = text.split("\n")
    if len(lines) < 3:
        return repr(text)
    pieces = [repr(f"{line}\n") for line in lines[:-1]] + ([repr(lines[-1])] if lines[-1] else [])
    return "\n".join(["(", *(f"    {piece}" for piece in pieces), ")"])
