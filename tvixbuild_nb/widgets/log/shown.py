"""Lines as they are shown: styled from where the line before left off, ``@nix`` messages read, secrets left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.log.ansi import Piece, Span, pieces, spans
from tvixbuild_nb.widgets.log.folds import nix_message
from tvixbuild_nb.widgets.log.hidden import Veil, may_hold, veiled, veils
from tvixbuild_nb.widgets.log.source import LogSource, SourceLine

_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_CLEAR = Veil([], None)


class Shown(NamedTuple):
    """A line, what is shown of it, its kind (None, nix, phase).

    ``hides``: a secret's value is left out; ``held``: what may be the beginning of one, until more has come.
    """

    line: SourceLine
    spans: list[Span]
    kind: str | None = None
    hides: bool = False
    held: bool = False


class _Read(NamedTuple):
    """A line's pieces before the stream's secrets are hidden; ``hides``: one of a message's own is hidden already."""

    pieces: list[Piece]
    kind: str | None = None
    hides: bool = False


def shown_lines(source: LogSource, lines: Sequence[SourceLine]) -> list[Shown]:
    """What is shown of these lines of ``source``, which follow each other."""
    read = [_read(source, line) for line in lines]
    hidden = _hidden(source, lines, [_text(each.pieces) for each in read])
    found = []
    for index, (line, (parts, kind, hides)) in enumerate(zip(lines, read, strict=True)):
        veil = hidden.get(index, _CLEAR)
        if veil is not _CLEAR:
            parts = veiled(parts, veil)
        found.append(Shown(line, spans(parts), kind, hides or bool(veil.places), veil.held is not None))
    return found


def plain_lines(source: LogSource, lines: Sequence[SourceLine]) -> list[str]:
    """The texts of these lines as they are shown, without styles: what is searched and copied."""
    hidden = _hidden(source, lines, None)
    return [_plain(source, line, hidden.get(index)) for index, line in enumerate(lines)]


def _plain(source: LogSource, line: SourceLine, veil: Veil | None) -> str:
    raw = line.raw
    if veil is None and raw.isascii() and raw[:5] != b"@nix ":
        # Most lines, and a search sees them all.
        text = _COLOURS.sub("", raw.decode("ascii"))
        if text.isprintable():
            return text
    parts = _read(source, line).pieces
    return "".join(visible(text, keep="\t") for text, _ in (parts if veil is None else veiled(parts, veil)))


def _read(source: LogSource, line: SourceLine) -> _Read:
    message = nix_message(line.raw)
    text, kind = None, "nix"
    if message is None:
        return _Read(pieces(line.raw.decode("utf-8", "replace"), source.style(line)))
    if message.get("action") == "setPhase":
        text, kind = f"phase: {message.get('phase', '')}", "phase"
    elif isinstance(message.get("msg"), str):
        text = message["msg"]
    if text is None:
        return _Read(pieces(line.raw.decode("utf-8", "replace")), kind)
    shown = source.redactor.text(text)
    one_line = shown.replace("\n", " ").encode("utf-8", "replace").decode()
    return _Read(pieces(one_line), kind, shown != text)


def _text(parts: Iterable[Piece]) -> str:
    return "".join(text for text, _ in parts)


def _hidden(source: LogSource, lines: Sequence[SourceLine], texts: list[str] | None) -> dict[int, Veil]:
    """By index what is hidden of the lines; nothing for lines that are shown in full."""
    if not source.redactor:
        return {}
    found: dict[int, Veil] = {}
    for stream in {line.stream for line in lines}:
        which = [index for index, line in enumerate(lines) if line.stream == stream]
        own = [lines[index] for index in which]
        before, after, more = source.around(own[0], own[-1])
        region = b"\n".join([*before, *(line.raw for line in own), *after])
        if not more and not may_hold(source.redactor, region):
            continue
        given = [texts[index] for index in which] if texts else [_text(_read(source, line).pieces) for line in own]
        behind, ahead = ([_text(pieces(raw.decode("utf-8", "replace"))) for raw in side] for side in (before, after))
        laid = veils(source.redactor, behind, given, ahead, more=more)
        found.update((index, veil) for index, veil in zip(which, laid, strict=True) if veil != _CLEAR)
    return found
