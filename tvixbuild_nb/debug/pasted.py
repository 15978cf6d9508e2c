"""A log that somebody pasted, from a terminal, a chat or `nix log`: made plain, then looked through for known texts."""

from __future__ import annotations

import codecs
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator

from tvixbuild_nb.build.failures import explain_text
from tvixbuild_nb.debug.explanation import Confidence, Evidence, Explanation, Finding
from tvixbuild_nb.oci.shown import shown

# What went wrong stands near the end; a log may have any size.
MAX_LINES = 20_000
MAX_CHARACTERS = 1024
_LAST = 5
# Colours and cursor movements; titles of windows and links.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")
# How Nix quotes a builder's lines: "       > line", "error: ... last 10 log lines:", and with the derivation's name.
_QUOTED = re.compile(r"^ *(?:>|[\w.+-]+>) ?")
_NIX_JSON = "@nix "
_ENVELOPE = re.compile(
    r"builder for '(?P<drv>[^']+)' failed (?P<how>with exit code \d+|due to signal \d+[^;]*)"
    r"|Cannot build '(?P<new>[^']+)'"
)
# Newer ones say how on the line after.
_REASON = re.compile(r"^\s*Reason: (?P<reason>.+?)\.?$")
_FAILURE = re.compile(r"(?i)\berror\b|failed|fatal|not found|denied|cannot")


def explain_pasted(pieces: Iterable[bytes]) -> Explanation:
    """What is known of the texts in a log; nothing of where it ran can be looked into, so nothing is certain.

    ``pieces`` are the bytes as they come: the last 20 000 lines are kept, 1024 characters of each. Colours, quoting of
    Nix and its JSON lines are taken off first. An empty log has nothing wrong.
    """
    lines: deque[tuple[int, str]] = deque(enumerate(_lines(pieces), 1), maxlen=MAX_LINES)
    found = list(_findings(lines))
    failed = bool(found) or any(_FAILURE.search(text) for _, text in lines)
    known = [f"log line {number}: {shown(text.strip())}" for number, text in list(lines)[-_LAST:] if text.strip()]
    return Explanation(tuple(found), wrong=failed, known=(*_envelopes(lines), *known))


def _findings(lines: Iterable[tuple[int, str]]) -> Iterator[Finding]:
    numbered = list(lines)
    for known in explain_text("\n".join(text for _, text in numbered)):
        number, text = numbered[known.line_number]
        confidence: Confidence = "possible" if known.failure.symptom else "likely"
        yield Finding(
            shown(known.cause), (Evidence("log", shown(text.strip()), number),), shown(known.cure), confidence
        )


def _envelopes(lines: Iterable[tuple[int, str]]) -> Iterator[str]:
    for number, text in lines:
        for match in _ENVELOPE.finditer(text):
            how = f" {match['how']}" if match["how"] else ""
            what = f"the builder of {match['drv']} failed{how}" if match["drv"] else f"{match['new']} was not built"
            yield shown(f"log line {number}: {what}")
        reason = _REASON.match(text)
        if reason is not None:
            yield shown(f"log line {number}: {reason['reason']}")


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """The lines as a person read them, each cut to 1024 characters while it is gathered."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + decoder.decode(piece)).split("\n")
        yield from map(_plain, whole)
        rest = rest[:MAX_CHARACTERS]
    rest += decoder.decode(b"", final=True)
    if rest:
        yield _plain(rest)


def _plain(line: str) -> str:
    line = line[:MAX_CHARACTERS]
    if line.startswith(_NIX_JSON):
        line = _from_json(line.removeprefix(_NIX_JSON))
    line = _ESCAPES.sub("", line).removesuffix("\r")
    # What was overwritten on the same line was not left to be read.
    return _QUOTED.sub("", line.rpartition("\r")[2])


def _from_json(text: str) -> str:
    """The message of one of Nix's own log lines; the text itself when it is none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(data, dict):
        return text
    fields = data.get("fields")
    said = [data.get("msg"), data.get("raw_msg"), *(fields if isinstance(fields, list) else [])]
    return " ".join(part for part in said if isinstance(part, str)).replace("\n", " ")
