"""A whole notebook without what is another every time."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tvixbuild_nb.lab.scrub.ids import ids_in, rename, renamed
from tvixbuild_nb.lab.scrub.marked import marked_in, unmarked
from tvixbuild_nb.lab.scrub.reading import html_text
from tvixbuild_nb.lab.scrub.rules import Mark, Numbers, Rule, apply_all
from tvixbuild_nb.lab.scrub.standard import MARKS, RULES

Json = dict[str, Any]

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# A frame as IPython writes it, in the package's or Python's own directories as they are called by then.
_INSTALLED = re.compile(r"(?:\x1b\[[\d;]*m)*File (?:\x1b\[[\d;]*m)*(?:…|<frozen )")
# What Jupyter itself notes about an execution, and other programs that execute.
_OF_AN_EXECUTION = ("execution", "papermill", "ExecuteTime")
_LANGUAGE = ("file_extension", "mimetype", "name", "nbconvert_exporter", "pygments_lexer")


def scrub_notebook(notebook: Json, rules: Sequence[Rule] = RULES, marks: Mapping[str, Mark] = MARKS) -> Json:
    """A copy of ``notebook`` (as nbformat reads it, lines joined) without volatile parts; again changes nothing.

    Widgets, the notes of an execution and the language's patch version go; cells without an id get one by their place;
    executed cells are numbered in order; HTML loses what views mark in it and then says what its plain text says; the
    rest of what is shown goes through ``rules``, then subordinate ids are renamed.
    """
    found = copy.deepcopy(notebook)
    metadata = found["metadata"]
    for name in ("widgets", *_OF_AN_EXECUTION):
        metadata.pop(name, None)
    if "language_info" in metadata:
        metadata["language_info"] = {key: metadata["language_info"][key] for key in _LANGUAGE
                                     if key in metadata["language_info"]}  # fmt: skip
    _identify(found)
    number = 0
    for cell in found["cells"]:
        for name in _OF_AN_EXECUTION:
            cell["metadata"].pop(name, None)
        if cell["cell_type"] == "code" and cell["source"].strip():
            number += 1
            _number(cell, number)
    numbers = Numbers()
    for cell in found["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = _merged([out for out in cell["outputs"] if _is_left(out, marks, numbers)])
    names = renamed(number for text in _texts(found) for number in ids_in(text))
    _each_text(found, lambda text: rename(apply_all(rules, text, numbers), names))
    for cell in found["cells"]:
        for output in cell.get("outputs", ()):
            _tell(output.get("data", {}))
    _shorten_tracebacks(found)
    return found


def _tell(data: Json) -> None:
    """Give HTML with marks a plain text of its own: what a form for terminals shows around marked figures depends on
    how long they were, columns and line breaks alike."""
    html = data.get("text/html")
    if isinstance(html, str) and ("text/plain" not in data or marked_in(html)):
        data["text/plain"] = html_text(html)


def _identify(notebook: Json) -> None:
    """Give every cell an id that is its own; nbformat would make up another one each time."""
    if (notebook["nbformat"], notebook["nbformat_minor"]) < (4, 5):
        return
    taken: set[str] = set()
    for index, cell in enumerate(notebook["cells"]):
        if not cell.get("id") or cell["id"] in taken:
            cell["id"] = next(name for name in _names(index) if name not in taken)
        taken.add(cell["id"])


def _names(index: int) -> Iterator[str]:
    yield f"cell-{index:02}"
    for more in range(2, 1 << 30):
        yield f"cell-{index:02}-{more}"


def _number(cell: Json, number: int) -> None:
    executed = cell.get("execution_count") is not None or bool(cell["outputs"])
    cell["execution_count"] = number if executed else None
    for output in cell["outputs"]:
        if output["output_type"] == "execute_result":
            output["execution_count"] = number


def _is_left(output: Json, marks: Mapping[str, Mark], numbers: Numbers) -> bool:
    """Take widgets and what is marked out of an output; whether anything is left of it."""
    data = output.get("data")
    if data is None:
        return True
    data.pop(WIDGET_VIEW, None)
    html = data.get("text/html")
    if isinstance(html, str) and marked_in(html):
        data["text/html"] = unmarked(html, marks, numbers)
        data.pop("text/plain", None)
        if not html_text(data["text/html"]):
            return False
    return bool(data)


def _merged(outputs: list[Json]) -> list[Json]:
    """Pieces of one stream that follow one another as one: how it was cut is chance."""
    merged: list[Json] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output["output_type"] == last["output_type"] == "stream" and output["name"] == last["name"]:
            last["text"] += output["text"]
        else:
            merged.append(output)
    return merged


def _shorten_tracebacks(notebook: Json) -> None:
    """Leave out the frames of installed packages, this one's among them: other versions have other lines there."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            if output["output_type"] == "error":
                output["traceback"] = [part for part in output["traceback"] if not _INSTALLED.match(part)]


def _texts(notebook: Json) -> list[str]:
    found: list[str] = []

    def keep(text: str) -> str:
        found.append(text)
        return text

    _each_text(notebook, keep)
    return found


def _each_text(notebook: Json, change: Callable[[str], str]) -> None:
    """Put every text that outputs show through ``change``, in order."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            if "text" in output:
                output["text"] = change(output["text"])
            if "evalue" in output:
                output["evalue"] = change(output["evalue"])
                output["traceback"] = [change(line) for line in output["traceback"]]
            data = output.get("data", {})
            for kind, value in data.items():
                if kind.startswith("text/") or kind.endswith("json"):
                    data[kind] = _changed(value, change)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _changed(item, change) for key, item in value.items()}
    return value
