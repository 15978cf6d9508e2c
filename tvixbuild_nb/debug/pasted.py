"""A log that somebody pasted, from a terminal, a chat or `nix log`: made plain, then looked through for known texts."""

from __future__ import annotations

import codecs
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from tvixbuild_nb.build.failures import explain_text
from tvixbuild_nb.debug.explanation import Confidence, Evidence, Explanation, Finding
from tvixbuild_nb.debug.following import following
from tvixbuild_nb.debug.telling import failing, telling
from tvixbuild_nb.oci.shown import shown

# What went wrong stands near the end; a log may have any size.
MAX_LINES = 20_000
MAX_CHARACTERS = 1024
# Of all lines together: looking through them takes about a second for each million.
MAX_TOGETHER = 4_000_000
# A line of Nix's own log holds the last lines of a builder's in one text.
_MAX_JSON = 1 << 16
# Colours and cursor movements; titles of windows and links.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")
# The time before each line, as CI services have it.
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*Z ")
# How Nix quotes a builder's lines: "       > line", "error: ... last 10 log lines:", and with the derivation's name.
_QUOTED = re.compile(r"^ *(?:>|[\w.+?=-]+>) ?")
_NIX_JSON = "@nix "
_ENVELOPE = re.compile(
    r"builder for '(?P<drv>[^']+)' failed (?P<how>with exit code \d+|due to signal \d+[^;]*)"
    r"|Cannot build '(?P<new>[^']+)'"
)
# Newer ones say how on the line after.
_REASON = re.compile(r"^\s*Reason: (?P<reason>.+?)\.?$")


def explain_pasted(pieces: Iterable[bytes]) -> Explanation:
    """What is known of the texts in a log; nothing of where it ran can be looked into, so nothing is certain.

    ``pieces`` are the bytes as they come: the last 20 000 lines are kept, 1024 characters of each, four million of all.
    Colours, quoting of Nix and its JSON lines are taken off first. An empty log has nothing wrong.
    """
    lines = list(_lines(pieces))
    found = list(_findings(lines))
    failed = bool(found) or any(failing(text) for _, text in lines)
    known = [*_envelopes(lines), *map(shown, telling(lines))]
    nothing = "nothing in it is known to be a failure" if any(text.strip() for _, text in lines) else "the log is empty"
    return Explanation(tuple(found), wrong=failed, known=tuple(known), otherwise=nothing)


def _findings(lines: list[tuple[int, str]]) -> Iterator[Finding]:
    texts = [text for _, text in lines]
    for known in explain_text("\n".join(texts)):
        told = (known.line_number, *following(texts, known.line_number))
        evidence = (Evidence("log", shown(text.strip()), number) for number, text in (lines[at] for at in told))
        confidence: Confidence = "possible" if known.failure.symptom else "likely"
        yield Finding(shown(known.cause), tuple(evidence), shown(known.elsewhere), confidence)


def _envelopes(lines: Iterable[tuple[int, str]]) -> Iterator[str]:
    for number, text in lines:
        for match in _ENVELOPE.finditer(text):
            how = f" {match['how']}" if match["how"] else ""
            what = f"the builder of {match['drv']} failed{how}" if match["drv"] else f"{match['new']} was not built"
            yield shown(f"log line {number}: {what}")
        reason = _REASON.match(text)
        if reason is not None:
            yield shown(f"log line {number}: {reason['reason']}")


def _lines(pieces: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """The last lines as a person read them with their numbers; what a line of Nix's JSON says as lines of its own."""
    first, lines = _gathered(pieces)
    for number, line in enumerate(lines, first):
        for text in _from_json(line).split("\n") if line.startswith(_NIX_JSON) else (_overwritten(line),):
            yield number, _QUOTED.sub("", _TIME.sub("", _ESCAPES.sub("", text)))[:MAX_CHARACTERS]


def _gathered(pieces: Iterable[bytes]) -> tuple[int, deque[str]]:
    """The number of the first line that is kept, and the lines; none is held whole that is very long."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    kept, first, together, rest = deque[str](), 1, 0, ""
    for piece in pieces:
        *whole, rest = (rest + decoder.decode(piece)).split("\n")
        rest = _cut(rest)
        kept.extend(line if len(line) <= MAX_CHARACTERS else _cut(line) for line in whole)
        together += sum(map(len, islice(reversed(kept), len(whole))))
        while len(kept) > MAX_LINES or together > MAX_TOGETHER:
            together -= len(kept.popleft())
            first += 1
    rest += decoder.decode(b"", final=True)
    if rest:
        kept.append(rest)
    return first, kept


def _cut(line: str) -> str:
    if len(line) <= MAX_CHARACTERS:
        return line
    if line.startswith(_NIX_JSON):
        return line[:_MAX_JSON]
    # The end of one line may still overwrite it.
    return _overwritten(line)[:MAX_CHARACTERS] + ("\r" if line.endswith("\r") else "")


def _overwritten(line: str) -> str:
    """What was left of the line to be read."""
    return line.removesuffix("\r").rpartition("\r")[2]


def _from_json(line: str) -> str:
    """The message of one of Nix's own log lines; the line itself when it is none."""
    try:
        data = json.loads(line.removeprefix(_NIX_JSON))
    except (ValueError, RecursionError):
        return line
    if not isinstance(data, dict):
        return line
    fields = data.get("fields")
    said = [data.get("msg"), data.get("raw_msg"), *(fields if isinstance(fields, list) else [])]
    return "\n".join(dict.fromkeys(part for part in said if isinstance(part, str)))
