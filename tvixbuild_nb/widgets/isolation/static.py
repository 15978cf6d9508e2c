"""An isolation without a kernel: panels side by side, arrows as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvixbuild_nb.build.isolationtext import NO_USER_NAMESPACE, NOBODY
from tvixbuild_nb.widgets.kit import Html, tag, volatile
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.kit.tables import table

# Aspects of which the host's side is the host's own, by how that is marked.
_OF_THE_HOST = {"process number": "host", "uid": "subid", "gid": "subid", "host name": "host", "cgroup": "host"}
# A limit's numbers and the short words keep together; everything else may be long.
_WHOLE = frozenset({"", "namespace", "how", "limit", "unit", "seen"})


def isolation_html(data: dict[str, Any]) -> Html:
    """The whole of it, self-contained."""
    return tag(
        "div",
        tag("p", tag("strong", data["title"])),
        _sides(data),
        _folded("namespaces", _namespaces(data), unfolded=True),
        _folded(f"ids inside ⟶ outside ({data['outside']})", _ids(data), unfolded=True),
        _folded(f"{len(data['kept'])} capabilities kept", _capabilities(data["kept"])),
        _folded(f"{len(data['dropped'])} capabilities dropped", _capabilities(data["dropped"])),
        _folded("masked and read-only paths", _paths(data)),
        _folded("limits (soft / hard)", _limits(data)),
    )


def _sides(data: dict[str, Any]) -> Html:
    """Each thing about the process beside its counterpart."""
    rows: list[Sequence[Child]] = [
        (tag("strong", row["name"]), tag("code", _outside(row)), tag("code", row["inside"]), tag("small", row["note"]))
        for row in data["aspects"]
    ]
    return _table(("", "from the host", "from inside", ""), rows)


def _outside(row: dict[str, Any]) -> Child:
    """What an aspect is on the host, marked where another host, or another time, has another."""
    kind = _OF_THE_HOST.get(row["name"])
    return row["host"] if kind is None else volatile(kind, row["host"])


def _namespaces(data: dict[str, Any]) -> Html:
    rows: list[Sequence[Child]] = [
        (
            tag("code", row["type"]),
            row["whose"],
            tag("code", row["host"]),
            "≠" if row["own"] else "=",
            tag("code", row["inside"]),
            row["what"],
            row["without"] if row["own"] else tag("strong", row["without"]),
        )
        for row in data["namespaces"]
    ]
    return _table(("namespace", "whose", "the host's", "", "inside", "what it gives", "without it"), rows)


def _ids(data: dict[str, Any]) -> Html:
    if not data["ids"]:
        return tag("p", NO_USER_NAMESPACE)
    rows: list[Sequence[Child]] = []
    for row in data["ids"]:
        outside = tag("code", volatile("subid", row["outside"]) if row["mapped"] else "every other id")
        arrow = "⟶" if row["mapped"] else "⟵"
        further = tag("code", "⟶ ", volatile("subid", row["host"]), " on the host") if row["host"] else None
        note = row["name"] if row["mapped"] else NOBODY
        rows.append((row["kind"], tag("code", row["inside"]), arrow, [outside, " ", further], note))
    return _table(("", "inside", "", "outside", ""), rows)


def _capabilities(rows: list[dict[str, Any]]) -> Html:
    return _table(("name", "allows to"), [(tag("code", row["name"]), _with(row["what"], row["sets"])) for row in rows])


def _with(what: str, sets: str) -> str:
    return f"{what} ({sets})" if sets else what


def _paths(data: dict[str, Any]) -> Html:
    rows: list[Sequence[Child]] = [
        (tag("code", row["path"]), row["kind"], tag("strong", row["seen"]) if row["open"] else row["seen"], row["what"])
        for row in data["paths"]
    ]
    return _table(("path", "how", "seen", "what is there"), rows)


def _limits(data: dict[str, Any]) -> Html:
    rows: list[Sequence[Child]] = [
        (tag("code", row["name"]), _limit(row, "inside"), _limit(row, "host"), row["unit"], _asked(row))
        for row in data["limits"]
    ]
    return _table(("limit", "inside", "the host's", "unit", "of what"), rows)


def _limit(row: dict[str, Any], side: str) -> Child:
    """A limit that nobody asked for is the host's."""
    return row[side] if side == "inside" and row["asked"] else volatile("amount", row[side])


def _asked(row: dict[str, Any]) -> str:
    return f"{row['what']} (asked for)" if row["asked"] else str(row["what"])


def _table(head: Sequence[str], rows: Sequence[Sequence[Child]]) -> Html:
    return table(head, rows, long=frozenset(head) - _WHOLE)


def _folded(title: str, content: Html, *, unfolded: bool = False) -> Html:
    return tag("details", tag("summary", tag("strong", title)), content, open=unfolded)
