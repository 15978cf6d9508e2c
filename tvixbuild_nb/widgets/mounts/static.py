"""A mount table without a kernel."""

from __future__ import annotations

from collections.abc import Sequence

from tvixbuild_nb.oci import MountTable, RootNode
from tvixbuild_nb.widgets.kit import Html, fragment, tag, visible
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.kit.tables import table as drawn_table
from tvixbuild_nb.widgets.mounts.data import Row, columns, mounts_data, unplanned_data

MAX_ROWS = 200
_TITLES = {"order": "#", "seen": "seen in the process"}
_LONG = frozenset({"destination", "source", "options", "asked for by", "input", "seen in the process", "why"})


def mounts_html(table: MountTable) -> Html:
    """The table, the tree of ``/`` and what else was seen; self-contained."""
    rows = mounts_data(table)
    names = columns(rows, observed=table.observed)
    head = [_TITLES.get(name, name) for name in names]
    body = [_row(row, names) for row in rows[:MAX_ROWS]]
    title = "mounts, in order" + (", and beside them what the process had" if table.observed else "")
    parts = [drawn_table(head, body, long=_LONG, caption=title), _rest(len(rows))]
    if table.observed:
        parts.append(_folded(f"{len(table.unplanned)} mounts besides", _unplanned(table)))
    if table.root is not None:
        parts.append(_folded("the resulting tree of /", _tree(table.root)))
    elif table.refused is not None:
        parts.append(tag("p", f"no tree of /: {table.refused}"))
    return tag("div", *parts)


def _row(row: Row, names: Sequence[str]) -> list[Child]:
    at = [tag("code", row["destination"])]
    if row["mounted_at"]:
        at.append(tag("div", "really at ", tag("code", row["mounted_at"])))
    if row["shadowed_by"]:
        at.append(tag("div", "hidden by ", tag("code", row["shadowed_by"])))
    if row["shadows"]:
        at.append(tag("div", "hides ", tag("code", ", ".join(row["shadows"]))))
    source = [tag("code", row["source"])]
    if row["host"] and row["host"] != row["source"]:
        source.append(tag("div", tag("code", row["host"])))
    cells: dict[str, Child] = {
        "order": str(row["order"]),
        "destination": at,
        "type": row["type"],
        "source": source,
        "options": _options(row["options"]),
        "asked for by": row["asked_for_by"],
        "writable": "writable" if row["writable"] else "read-only",
        "input": _input(row),
        "seen": _seen(row) if "seen" in names else None,
    }
    return [cells[name] for name in names]


def _options(options: list[dict[str, str | None]]) -> Html | None:
    if not options:
        return None
    items = [tag("li", tag("code", str(option["text"])), f": {option['meaning'] or '?'}") for option in options]
    names = ", ".join(str(option["text"]) for option in options)
    return tag("details", tag("summary", tag("code", names)), tag("ul", items, style="margin:0;padding-left:1.2em"))


def _input(row: Row) -> Html | None:
    if row["digest"] is None:
        return None
    unit = {"file": "bytes", "directory": "entries"}.get(row["kind"], "")
    return fragment(tag("code", row["digest"][:12]), f" {row['size']} {unit}")


def _seen(row: Row) -> Html:
    seen = row["seen"]
    differs = [tag("div", tag("strong", f"⚠ {text}")) for text in row["differs"]]
    if seen is None:
        return fragment(*differs) if differs else fragment("made as a symlink")
    options = ",".join(option["text"] for option in seen["options"])
    mode = f" mode {seen['mode']}, owner {seen['owner']}" if seen["mode"] else ""
    return fragment(*differs, seen["type"], " ", tag("code", options), mode)


def _unplanned(table: MountTable) -> Html:
    rows = unplanned_data(table)
    body = [
        (
            tag("code", row["destination"]),
            row["type"],
            _options(row["options"]),
            "writable" if row["writable"] else "read-only",
            row["why"],
        )
        for row in rows[:MAX_ROWS]
    ]
    head = ["destination", "type", "options", "writable", "why"]
    return fragment(drawn_table(head, body, long=_LONG), _rest(len(rows)))


def _tree(root: RootNode) -> Html:
    left = [MAX_ROWS]
    drawn = _node(root, left)
    hidden = sum(1 for _ in root.walk()) - (MAX_ROWS - left[0])
    return fragment(drawn, tag("p", f"{hidden} more are not shown") if hidden > 0 else None)


def _node(node: RootNode, left: list[int], depth: int = 0) -> Html:
    left[0] -= 1
    name = visible(node.name) + ("" if node.target is None else f" → {visible(node.target)}")
    said = f" {visible(node.origin)} · {'writable' if node.writable else 'read-only'}"
    line = fragment(tag("code", name), tag("small", said))
    inside = []
    for child in node.children or ():
        if left[0] <= 0:
            break
        inside.append(_node(child, left, depth + 1))
    if node.more:
        inside.append(tag("div", f"… and {node.more} more"))
    if not inside:
        return tag("div", line, style="padding-left:1.3em")
    style = "padding-left:1em" if depth else None
    return tag("details", tag("summary", line), *inside, style=style, open=depth == 0)


def _folded(title: str, content: Html) -> Html:
    return tag("details", tag("summary", title), content)


def _rest(count: int) -> Html | None:
    return tag("p", f"{count - MAX_ROWS} more are not shown") if count > MAX_ROWS else None
