"""What a preview's view shows, as plain data: a configuration and its parts, one part in full, search, a diff."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tvixbuild_nb.oci import Deviation, Diff, Explanation, Preview, Spec, Validity
from tvixbuild_nb.oci.compare import shown
from tvixbuild_nb.oci.drawing import NAMING, title
from tvixbuild_nb.oci.explanation import keys_of, parts
from tvixbuild_nb.oci.hiding import hidden
from tvixbuild_nb.oci.validity import check_config
from tvixbuild_nb.widgets.kit import visible

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
    return _cut(text, SUMMARY)


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value) or "none"
    return title(value) or _json(value, 40)


def _json(value: Any, most: int) -> str:
    return _cut(json.dumps(value, ensure_ascii=False), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def in_a_line(value: Any) -> str:
    """A part in one line, safe to look at: nested ones summed up."""
    nested = isinstance(value, Mapping | list) and bool(value)
    return visible(summary(value) if nested else _json(value, SUMMARY))


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
    return {
        "path": visible(path) or "config.json",
        "value": value_text(part(shown, path)),
        "explanation": None if said is None else {key: visible(shown.redacted(text)) for key, text in said.items()},
        "deviations": [deviation for deviation in deviation_rows(shown) if deviation["name"] in map(visible, names)],
    }


def value_text(value: Any) -> str:
    """A part's JSON, safe to look at; of a long one the beginning, and how much there is besides."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    rest = len(text) - MOST_TEXT
    return visible(text[:MOST_TEXT], keep="\n") + (f"\n… {rest} more characters" if rest > 0 else "")


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
    """The JSON pointers of parts whose name, value or explanation holds ``text``, whatever the case; in order.

    At most MOST_FOUND and one more, which says that there are more.
    """
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
            if len(found) > MOST_FOUND:
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
