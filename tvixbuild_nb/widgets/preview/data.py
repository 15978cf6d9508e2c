"""What a preview's view shows, as plain data: the rows of the tree that are unfolded, one part in full, a diff."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tvixbuild_nb.oci import Deviation, Diff, Explanation, Preview, Spec, Validity
from tvixbuild_nb.oci.compare import shown
from tvixbuild_nb.oci.drawing import NAMING, title
from tvixbuild_nb.oci.explanation import keys_of, parts, pointer
from tvixbuild_nb.oci.hiding import hidden
from tvixbuild_nb.oci.validity import check_config
from tvixbuild_nb.widgets.kit import visible

FIRST_OPEN = ("", "/root", "/process", "/mounts", "/linux", "/linux/namespaces")
FIRST_MEMBERS = 200
MOST_ROWS = 3000
MOST_FOUND = 1000
MOST_DIFFERENCES = 500
MOST_TEXT = 20_000
SUMMARY = 160
Data = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """A configuration to show: of a Preview with all that is to be said, of a Spec alone without."""

    config: Mapping[str, Any]
    explanations: Mapping[str, Explanation]
    marks: Mapping[str, list[str]]
    deviations: tuple[Deviation, ...]
    validity: Validity
    preview: Preview | None = None

    @classmethod
    def of(cls, value: Preview | Spec) -> Shown:
        """What is to be shown of a value; nothing secret is in it."""
        if isinstance(value, Spec):
            config = value.to_dict()
            return cls(hidden(config, value.redactor), {}, {}, (), check_config(config))
        return cls(value.config, value.explanations, value.marks, value.deviations, value.validity, value)

    def redacted(self, text: str) -> str:
        return text if self.preview is None else self.preview.redactor.text(text)


def first_open(shown: Shown) -> list[str]:
    """What is unfolded at first: not what is long."""
    sizes = {path: len(value) for path, value in parts(shown.config) if isinstance(value, Mapping | list)}
    return [path for path in FIRST_OPEN if 0 < sizes.get(path, 0) <= FIRST_MEMBERS]


def rows(shown: Shown, opened: Collection[str], changed: Collection[str] = ()) -> list[Data]:
    """The rows of the tree while the parts in ``opened`` (JSON pointers) are unfolded, at most MOST_ROWS."""
    found: list[Data] = []
    for row in _rows(shown, shown.config, "", "config.json", 1, frozenset(opened), frozenset(changed)):
        if len(found) == MOST_ROWS:
            break
        found.append(row)
    return found


def _rows(
    shown: Shown, value: Any, path: str, name: str, level: int, opened: frozenset[str], changed: frozenset[str]
) -> Iterator[Data]:
    nested = isinstance(value, Mapping | list) and bool(value)
    is_open = nested and path in opened
    folded = nested and not is_open
    yield {
        "path": path,
        "name": visible(name),
        "level": level,
        "open": is_open if nested else None,
        "text": "" if is_open else visible(summary(value)) if folded else visible(_json(value, SUMMARY)),
        "marks": [visible(mark) for mark in marks_of(shown, path, below=folded)],
        "changed": any(at == path or (folded and at.startswith(f"{path}/")) for at in changed),
    }
    if is_open:
        for key, item in members(value):
            yield from _rows(shown, item, path + pointer(key), member_name(key, item), level + 1, opened, changed)


def members(value: Any) -> list[tuple[str | int, Any]]:
    """The members of an object or a list with their keys."""
    return list(value.items()) if isinstance(value, Mapping) else list(enumerate(value))


def member_name(key: str | int, item: Any) -> str:
    """What a member is called in the tree: its key, or what names it in a list."""
    if isinstance(key, str):
        return key
    return title(item) or str(key)


def marks_of(shown: Shown, path: str, *, below: bool = False) -> list[str]:
    """The deviations that show in a part, or with ``below`` anywhere in it."""
    if not below:
        return list(shown.marks.get(path, ()))
    found = [name for at, names in shown.marks.items() if at == path or at.startswith(f"{path}/") for name in names]
    return list(dict.fromkeys(found))


def summary(value: Any) -> str:
    """A folded object or list in one line."""
    if isinstance(value, Mapping):
        naming = next((key for key in NAMING if key in value), None)
        short = {key: item for key, item in value.items() if key != naming and not isinstance(item, Mapping)}
        text = ", ".join(f"{key}: {_short(item)}" for key, item in short.items()) or ", ".join(value)
    else:
        text = ", ".join(map(_short, value))
    return text if len(text) <= SUMMARY else text[: SUMMARY - 1] + "…"


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value) or "none"
    return title(value) or _json(value, 40)


def _json(value: Any, most: int) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else text[: most - 1] + "…"


def part(shown: Shown, path: str) -> Any:
    """The part of that JSON pointer; KeyError when there is none."""
    value: Any = shown.config
    for key in keys_of(path):
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (ValueError, IndexError, TypeError):
            raise KeyError(path) from None
    return value


def detail(shown: Shown, path: str) -> Data:
    """One part in full, with all that is to be said about it; an explanation of None where nothing is."""
    explanation = shown.explanations.get(path)
    said = None if explanation is None else explanation.to_dict()
    names = marks_of(shown, path, below=True)
    value = json.dumps(part(shown, path), indent=2, ensure_ascii=False)
    cut = value[:MOST_TEXT]
    return {
        "path": visible(path) or "/",
        "value": visible(cut, keep="\n") + ("" if len(cut) == len(value) else f"\n… {len(value) - len(cut)} more"),
        "explanation": None if said is None else {key: visible(shown.redacted(text)) for key, text in said.items()},
        "deviations": [deviation for deviation in deviation_rows(shown) if deviation["name"] in map(visible, names)],
    }


def deviation_rows(shown: Shown) -> list[Data]:
    """Every deviation from Tvix: what Tvix does, what is done here, the reason, whose choice it is."""
    return [
        {
            name: visible(shown.redacted(str(getattr(deviation, name))))
            for name in ("name", "tvix", "ours", "reason", "asked_by")
        }
        for deviation in shown.deviations
    ]


def search(shown: Shown, text: str) -> list[str]:
    """The JSON pointers of parts whose name, value or explanation holds ``text``, whatever the case; in order."""
    wanted = text.casefold().strip()
    if not wanted:
        return []
    found = []
    for path, value in parts(shown.config):
        keys = keys_of(path)
        words = [member_name(int(keys[-1]) if keys[-1].isdigit() else keys[-1], value)] if keys else []
        if not isinstance(value, Mapping | list):
            words.append(str(value) if isinstance(value, str) else json.dumps(value))
        explanation = shown.explanations.get(path)
        if explanation is not None:
            words.append(explanation.what)
        if any(wanted in word.casefold() or wanted in visible(word).casefold() for word in words):
            found.append(path)
            if len(found) == MOST_FOUND:
                break
    return found


def diff_data(diff: Diff) -> Data:
    """A diff, at most MOST_DIFFERENCES rows of it."""
    return {
        "other": visible(diff.other),
        "count": len(diff),
        "rows": [
            {
                "where": visible(row.where),
                "path": row.path,
                "kind": row.kind,
                "ours": visible(shown(row, "ours"))[:MOST_TEXT],
                "theirs": visible(shown(row, "theirs"))[:MOST_TEXT],
                "why": visible(row.reason or (f"asked for by {row.asked_by}" if row.asked_by else "")),
            }
            for row in diff.rows[:MOST_DIFFERENCES]
        ],
    }


def validity_data(validity: Validity) -> Data:
    """The badge."""
    return {"ok": validity.ok, "text": visible(str(validity))}
