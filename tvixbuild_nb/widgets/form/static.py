"""A request form without a kernel: every field, and the Python that makes the request."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.widgets.form.cells import MAX_HEX, MAX_SHOWN
from tvixbuild_nb.widgets.form.data import TITLES
from tvixbuild_nb.widgets.kit import Html, fragment, tag
from tvixbuild_nb.widgets.kit.tables import WORDS, table

_VALUE = f"{WORDS};overflow-wrap:anywhere"
_CODE = "white-space:pre-wrap;overflow-wrap:anywhere"
_PRE = f"{_CODE};font-family:monospace"
_FIELDS = (
    "command", "env", "inputs", "working_dir", "inputs_dir", "scratch_paths", "outputs", "additional_files",
    "refscan_needles", "system", "min_memory", "available_ro_paths", "network_access", "provide_bin_sh",
)  # fmt: skip
_CONSTRAINTS = frozenset(_FIELDS[-5:])


def form_html(data: dict[str, Any]) -> Html:
    """The fields as a table, what is wrong with them, the code below."""
    rows = [_row(name, data) for name in shown_fields(data)]
    request = data["request"]
    parts = [
        tag("table", tag("caption", "Build request"), tag("tbody", rows)),
        tag("p", "Request digest: ", tag("code", request["digest"])) if request["digest"] else None,
    ]
    if request["trouble"]:
        parts.append(tag("p", tag("strong", "Not valid: "), request["trouble"]))
    if request["code"]:
        parts.append(
            tag("details", tag("summary", "Python that makes this request"), tag("pre", request["code"], style=_PRE))
        )
    return tag("div", parts)


def shown_fields(data: dict[str, Any]) -> list[str]:
    """The fields worth a line, in the form's order; constraints only where there are any."""
    constrained = data["constrained"]["value"]
    return [name for name in _FIELDS if constrained or name not in _CONSTRAINTS]


def faults_at(data: dict[str, Any], name: str, row: object = None) -> list[str]:
    """What is wrong with a field, or with a row of it, one text each."""
    found = [fault for fault in data["faults"] if (fault["field"], fault["row"]) == (name, row)]
    return [f"{fault['message']} ({fault['hint']})" if fault["hint"] else fault["message"] for fault in found]


def _row(name: str, data: dict[str, Any]) -> Html:
    wrong = [tag("div", tag("strong", "Not valid: "), text) for text in faults_at(data, name)]
    return tag("tr", tag("th", TITLES[name], style=WORDS), tag("td", _value(name, data), wrong, style=_VALUE))


def _value(name: str, data: dict[str, Any]) -> Html:
    field = data[name]
    if name == "command" and data["shell"]:
        return tag("pre", field["rows"][2]["cell"]["shown"], style=_PRE)
    if name == "inputs":
        return _inputs(field, data)
    if "rows" not in field:
        return _plain(field)
    lines = [
        tag("div", _pair(name, row), _wrong(data, name, row["number"])) if "key" in row
        else tag("div", _shown(row["cell"]), _wrong(data, name, row["number"]))
        for row in field["rows"]
    ]  # fmt: skip
    return fragment(lines or "none", _hidden(field))


def _pair(name: str, row: dict[str, Any]) -> Html:
    if name == "additional_files":
        cell = row["cell"]
        why = f": {cell['why']}" if cell.get("why") else ""
        start = "\n".join(cell["hex"]) if "hex" in cell else cell["shown"]
        return tag(
            "details",
            tag("summary", _shown(row["key"]), f" ({cell['size']:,} bytes){why}"),
            tag("pre", start, style=_PRE) if start else None,
            tag("div", tag("em", "only the beginning is shown")) if _cut(cell) else None,
        )
    return fragment(_shown(row["key"]), " = ", _shown(row["cell"]))


def _cut(cell: dict[str, Any]) -> bool:
    shown = MAX_HEX if "hex" in cell else MAX_SHOWN
    return bool(cell["size"] > shown)


def _inputs(field: dict[str, Any], data: dict[str, Any]) -> Html:
    if not field["rows"]:
        return fragment("none")
    rows = [
        (
            [_shown(row["key"]), *_wrong(data, "inputs", row["number"])],
            row["kind"],
            row["size"],
            tag("code", row["digest"] or "", style=_CODE),
            row["origin"],
        )
        for row in field["rows"]
    ]
    head = ("name", "kind", "size", "digest", "from")
    return fragment(table(head, rows, long=("name", "size", "digest", "from")), _hidden(field))


def _plain(field: dict[str, Any]) -> Html:
    if isinstance(field["value"], bool):
        return fragment("yes" if field["value"] else "no")
    return _shown(field) if field["shown"] else tag("em", "empty: the root")


def _shown(cell: dict[str, Any]) -> Html:
    return tag("code", cell["shown"], style=_CODE) if cell["shown"] else tag("em", "empty")


def _wrong(data: dict[str, Any], name: str, row: object) -> list[Html]:
    return [tag("div", tag("strong", "Not valid: "), text) for text in faults_at(data, name, row)]


def _hidden(field: dict[str, Any]) -> Html | None:
    return tag("div", tag("em", f"and {field['hidden']:,} more")) if field["hidden"] else None
