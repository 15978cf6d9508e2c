"""How what a cell shows differs from what is stored of it; over scrubbed notebooks, pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import unified_diff
from typing import Any, NamedTuple

from tvixbuild_nb.lab.notebooks.kernel import is_code
from tvixbuild_nb.lab.notebooks.reports import CellPlace, Drift
from tvixbuild_nb.lab.scrub import html_text
from tvixbuild_nb.sandbox.printer import harmless

VOLATILE = "volatile"
"""The tag of a cell whose outputs are compared by their kinds alone."""

_STREAMS = ("stdout", "stderr")
# Which of the forms of one output is compared: the first that there is.
_FORMS = ("text/html", "text/plain", "text/markdown", "text/latex", "application/json")
_LINES, _WIDE = 40, 160


class Part(NamedTuple):
    """Something that a cell shows: of which ``kind``, and its text by form; forms that are no text are only named."""

    kind: str
    texts: dict[str, list[str]]


def drifts(stored: dict[str, Any], fresh: dict[str, Any]) -> tuple[Drift, ...]:
    """Cell by cell, where ``fresh`` shows another thing than ``stored``; their sources are the same."""
    cells = [pair for pair in zip(stored["cells"], fresh["cells"], strict=True) if is_code(pair[1])]
    found = (_drift(number, *pair) for number, pair in enumerate(cells, 1))
    return tuple(drift for drift in found if drift is not None)


def _drift(number: int, stored: dict[str, Any], fresh: dict[str, Any]) -> Drift | None:
    place = CellPlace.of(fresh, number)
    if stored["execution_count"] is None:
        return Drift(place, "is stored as never executed")
    before, now = list(parts(stored)), list(parts(fresh))
    if (words := _other_kinds(before, now)) is not None:
        return Drift(place, words, _diff(_lines(before), _lines(now)))
    if VOLATILE in fresh["metadata"].get("tags", ()):
        return None
    for old, new in zip(before, now, strict=True):
        # The form that a page shows; the others say the same for somebody else.
        form, text = next(iter(old.texts.items()))
        if text != new.texts[form]:
            return Drift(place, f"shows another text ({old.kind.partition(':')[0]})", _diff(text, new.texts[form]))
    return None


def parts(cell: dict[str, Any]) -> Iterator[Part]:
    """What a cell shows: each stream whole, since how two of them alternate is chance; then the rest in its order."""
    outputs = cell["outputs"]
    for name in _STREAMS:
        text = "".join(out["text"] for out in outputs if out["output_type"] == "stream" and out["name"] == name)
        if text:
            yield Part(name, {"text": _canonical(_overwritten(text))})
    for output in outputs:
        if output["output_type"] == "error":
            yield Part(f"error: {output['ename']}", {"text": _canonical(f"{output['ename']}: {output['evalue']}")})
        elif output["output_type"] != "stream":
            data = output["data"]
            ordered = [*(form for form in _FORMS if form in data), *sorted(set(data) - set(_FORMS))]
            texts = {form: _text(form, data[form]) for form in ordered}
            yield Part(f"output: {', '.join(sorted(data))}", texts)


def _text(form: str, value: Any) -> list[str]:
    if form == "text/html":
        return _canonical(html_text(value))
    if form.startswith("text/") or form.endswith("json"):
        return _canonical(value if isinstance(value, str) else repr(value))
    # A picture may be another one on another machine, and be the same to everybody.
    return []


def _canonical(text: str) -> list[str]:
    """Lines without colours, without what stands at their ends, runs of spaces and rules as one: widths follow figures
    that were taken out."""
    lines = harmless(text, colours=False).rstrip().split("\n")
    return [_indent(line) + " ".join(line.replace("──", " ").replace("─", " ").split()) for line in lines]


def _indent(line: str) -> str:
    return " " * (len(line) - len(line.lstrip(" ")))


def _overwritten(text: str) -> str:
    """What is left of lines that were written over, such as progress."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def _other_kinds(before: list[Part], now: list[Part]) -> str | None:
    """In words, which kinds of outputs came and went; None where they are the same, in the same order."""
    old, new = [part.kind for part in before], [part.kind for part in now]
    if old == new:
        return None
    gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
    said = []
    if gone:
        said.append(f"stored, and not shown now: {'; '.join(gone.elements())}")
    if come:
        said.append(f"shown now, and not stored: {'; '.join(come.elements())}")
    return ". ".join(said) or "shows the same in another order"


def _lines(parts: list[Part]) -> list[str]:
    """Of each part one form, the first that says something."""
    return [line for part in parts for line in next((text for text in part.texts.values() if text), [])]


def _diff(before: list[str], now: list[str]) -> tuple[str, ...]:
    lines = [line[:_WIDE] for line in unified_diff(before, now, "stored", "now", n=1, lineterm="")]
    more = len(lines) - _LINES
    return (*lines[:_LINES], *([f"[... {more} more lines ...]"] if more > 0 else []))
