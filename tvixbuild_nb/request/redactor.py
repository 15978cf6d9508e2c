"""What must not be shown: the values of some environment variables, found by value wherever text is displayed."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from urllib.parse import quote

# What is shorter stands in every other word of a log.
SHORTEST = 4


def label(name: str) -> str:
    """What stands where the value of ``name`` was."""
    return f"[secret {name}]"


class Redactor:
    """Replaces the values of secret variables in text that somebody will see; ``values`` is name -> value.

    Besides the value itself: each line of it, and how JSON, Python, shells, URLs and base64 write it, all from 4
    characters on. A build that prints its secret in another guise (reversed, a character a line, colours in between) is
    not found out. Values are in no ``repr``.
    """

    def __init__(self, values: Mapping[str, str | bytes] | None = None) -> None:
        found: dict[str, str] = {}
        for name, value in (values or {}).items():
            text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
            for form in _forms(text):
                found.setdefault(form, name)
        self.names = frozenset(values or ())
        self._forms = found

    @classmethod
    def of(cls, environment: Mapping[str, str | bytes], names: Iterable[str]) -> Redactor:
        """The redactor of those variables of ``environment``; names that are not in it hide nothing."""
        return cls({name: environment[name] for name in names if name in environment})

    def __bool__(self) -> bool:
        return bool(self._forms)

    def __repr__(self) -> str:
        return f"<Redactor of {', '.join(sorted(self.names)) or 'nothing'}>"

    def text(self, text: str) -> str:
        """``text`` with ``[secret NAME]`` for every value in it; overlapping ones are replaced as one."""
        if not self.found_in(text):
            return text
        return self._replaced(text, self.places(text))

    def found_in(self, text: str) -> bool:
        """Whether a value stands in ``text``."""
        return bool(self._forms) and self._pattern.search(text) is not None

    def value(self, name: str, value: str | bytes) -> str:
        """The value of an environment variable as it may be shown: nothing of a secret one, however short."""
        if name in self.names:
            return label(name)
        return self.text(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value)

    def stream(self) -> RedactingStream:
        """For text that comes in pieces, wherever they are cut."""
        return RedactingStream(self)

    @cached_property
    def longest(self) -> int:
        """Characters of the longest text that is hidden."""
        return max(map(len, self._forms), default=0)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # One pass over long logs. The lookahead takes nothing, so that overlapping values are found too.
        longest_first = sorted(self._forms, key=len, reverse=True)
        return re.compile(f"(?=({'|'.join(map(re.escape, longest_first))}))")

    def places(self, text: str) -> list[tuple[int, int, str]]:
        """Where values stand in ``text``: first character, end, name; in order, those that overlap as one."""
        places: list[tuple[int, int, str]] = []
        if not self._forms:
            return places
        for match in self._pattern.finditer(text):
            start, end = match.span(1)
            if places and start < places[-1][1]:
                before = places.pop()
                places.append((before[0], max(end, before[1]), before[2]))
            else:
                places.append((start, end, self._forms[match[1]]))
        return places

    def byte_places(self, data: bytes | bytearray) -> list[tuple[int, int, str]]:
        """As :meth:`places`, in bytes that need not be text."""
        places: list[tuple[int, int, str]] = []
        if not self._forms:
            return places
        for match in self._byte_pattern.finditer(data):
            start, end = match.span(1)
            if places and start < places[-1][1]:
                before = places.pop()
                places.append((before[0], max(end, before[1]), before[2]))
            else:
                places.append((start, end, self._encoded[match[1]]))
        return places

    @cached_property
    def _encoded(self) -> dict[bytes, str]:
        return {form.encode("utf-8", "surrogateescape"): name for form, name in self._forms.items() if _encodes(form)}

    @cached_property
    def _byte_pattern(self) -> re.Pattern[bytes]:
        longest_first = sorted(self._encoded, key=len, reverse=True)
        return re.compile(b"(?=(" + b"|".join(map(re.escape, longest_first)) + b"))")

    @cached_property
    def longest_bytes(self) -> int:
        """Bytes of the longest form that is hidden."""
        return max(map(len, self._encoded), default=0)

    def _replaced(self, text: str, places: list[tuple[int, int, str]]) -> str:
        parts, position = [], 0
        for start, end, name in places:
            parts += [text[position:start], label(name)]
            position = end
        return "".join([*parts, text[position:]])

    def settled(self, text: str, places: list[tuple[int, int, str]]) -> int:
        """How much of ``text`` can be shown whatever comes next: up to where a value may have begun."""
        cut = next((at for at in self._starts(text) if self._may_begin(text[at:])), len(text))
        for start, end, _ in reversed(places):
            if start < cut < end:
                cut = start
        return cut

    def _starts(self, text: str) -> Iterator[int]:
        window = max(0, len(text) - self.longest + 1)
        first = {form[0] for form in self._forms}
        return (at for at in range(window, len(text)) if text[at] in first)

    def _may_begin(self, rest: str) -> bool:
        return any(len(rest) < len(form) and form.startswith(rest) for form in self._forms)


class RedactingStream:
    """Redacts text that comes in pieces; keeps back what may be the beginning of a value."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._kept = ""
        self._blind = 0

    def feed(self, text: str) -> str:
        """What can be shown now."""
        redactor = self._redactor
        if not redactor:
            return text
        text = self._kept + (self._seen(text) if self._blind else text)
        places = redactor.places(text)
        cut = redactor.settled(text, places)
        self._kept = text[cut:]
        return redactor._replaced(text[:cut], [place for place in places if place[1] <= cut])

    def finish(self) -> str:
        """The rest: nothing comes after it, or not what follows it."""
        rest, self._kept = self._kept, ""
        return self._redactor.text(rest)

    def skip(self) -> None:
        """Something of the text is left out here: neither side of the gap may show a part of a value."""
        self._kept = ""
        self._blind = self._redactor.longest

    def _seen(self, text: str) -> str:
        """``text`` from where no value can reach over the gap: the end of a line, or so many characters on."""
        line, end, rest = text[: self._blind].partition("\n")
        self._blind = 0 if end else self._blind - len(line)
        return rest + text[len(line) + len(end) + len(rest) :]


NOTHING_SECRET = Redactor()


def _encodes(form: str) -> bool:
    """Whether there are bytes for it: JSON's escapes of half a character stand for none."""
    try:
        form.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _forms(value: str) -> Iterator[str]:
    """The ways in which ``value`` may stand in a text."""
    for text in {value, value.strip(), *value.splitlines()}:
        forms = {
            text,
            json.dumps(text)[1:-1],
            json.dumps(text, ensure_ascii=False)[1:-1],
            repr(text)[1:-1],
            text.replace("'", "'\"'\"'"),
            quote(text, safe="", errors="surrogateescape"),
            # Where the lines of a text are looked at as one.
            "".join(text.splitlines()),
            # As a terminal shows it, and as displays leave it that drop what cannot be seen.
            re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text),
            "".join(character for character in text if unicodedata.category(character) not in ("Cc", "Cf")),
        }
        yield from (form for form in forms if len(form) >= SHORTEST)
    encoded = base64.b64encode(value.encode("utf-8", "surrogateescape")).decode()
    if len(value) >= SHORTEST:
        yield encoded
        yield encoded.rstrip("=")
