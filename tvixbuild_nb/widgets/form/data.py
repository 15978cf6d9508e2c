"""What a request form shows, as plain data; all three forms are made from it."""

from __future__ import annotations

import os
from typing import Any

from tvixbuild_nb.castore import DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.request.redactor import Redactor
from tvixbuild_nb.sandbox import Sandbox
from tvixbuild_nb.sandbox.code import python_of
from tvixbuild_nb.widgets.form.cells import MAX_SHOWN, cell, secret_cell
from tvixbuild_nb.widgets.form.draft import LISTS, PAIRS, SCALARS, SHELL, Draft
from tvixbuild_nb.widgets.form.faults import Fault, faults_of
from tvixbuild_nb.widgets.kit import visible

# Rows of one field that are shown, bytes of code that are shown.
MAX_ROWS = 200
MAX_CODE = 1 << 18
_HIDDEN = "# A secret's value stands here in another guise and is hidden: this makes another request.\n"

TITLES = {
    "command": "Command",
    "env": "Environment variables",
    "inputs": "Inputs",
    "working_dir": "Working directory",
    "inputs_dir": "Directory of the inputs",
    "scratch_paths": "Scratch paths",
    "outputs": "Outputs",
    "additional_files": "Additional files",
    "refscan_needles": "Needles",
    "system": "System",
    "min_memory": "Memory at least, in bytes",
    "available_ro_paths": "Read-only paths of the host",
    "network_access": "Network access",
    "provide_bin_sh": "A shell at /bin/sh",
    "constrained": "With constraints",
}


def form_data(sandbox: Sandbox, draft: Draft | None = None) -> dict[str, Any]:
    """The draft (None: the sandbox as it is), what is wrong with it, and what the sandbox's request is.

    Every key is a part that can be sent alone. Texts to look at are safe; ``value`` of a cell is the text itself, for
    an input element and nothing else, and None where it cannot be edited as text.
    """
    draft = Draft(sandbox) if draft is None else draft
    redactor = redactor_of(draft)
    faults = faults_of(draft)
    data: dict[str, Any] = {name: _list(draft, name, redactor) for name in LISTS}
    data |= {name: _pairs(draft, name, redactor) for name in PAIRS}
    data |= {name: _scalar(draft.scalars[name], redactor) for name in SCALARS}
    data["shell"] = len(draft.rows["command"]) == 3 and draft.value("command")[:2] == SHELL
    data["inputs"] = _inputs(draft, redactor)
    data["faults"] = [_fault(fault, redactor) for fault in faults]
    data["request"] = _request(sandbox, bool(faults))
    return data


def redactor_of(draft: Draft) -> Redactor:
    """What hides the values of the draft's secret variables."""
    pairs = [row.value for row in draft.rows["env"]]
    return Redactor.of({key: value for key, value in pairs if isinstance(value, (str, bytes))}, draft.secrets)


def _list(draft: Draft, name: str, redactor: Redactor) -> dict[str, Any]:
    rows = draft.rows[name]
    shown = [{"number": row.number, "cell": cell(row.value, redactor)} for row in rows[:MAX_ROWS]]
    return {"rows": shown, "hidden": len(rows) - len(shown)}


def _pairs(draft: Draft, name: str, redactor: Redactor) -> dict[str, Any]:
    rows = draft.rows[name]
    shown = []
    for row in rows[:MAX_ROWS]:
        key, value = row.value
        hidden = name == "env" and (row.secret is not None or key in draft.secrets)
        held = secret_cell() if hidden else cell(value, redactor)
        shown.append({"number": row.number, "key": cell(key, redactor), "cell": held})
    return {"rows": shown, "hidden": len(rows) - len(shown)}


def _scalar(value: object, redactor: Redactor) -> dict[str, Any]:
    return {"value": value} if isinstance(value, bool) else cell(value, redactor)


def _inputs(draft: Draft, redactor: Redactor) -> dict[str, Any]:
    rows = draft.rows["inputs"]
    shown = [
        {
            "number": row.number,
            "key": cell(row.value.name, redactor),
            "origin": "a node" if row.value.origin is None else visible(redactor.text(row.value.origin)),
            **_node(row.value.node, redactor),
        }
        for row in rows[:MAX_ROWS]
    ]
    return {"rows": shown, "hidden": len(rows) - len(shown)}


def _node(node: Node, redactor: Redactor) -> dict[str, Any]:
    match node:
        case FileNode():
            kind = "executable file" if node.executable else "file"
            return {"kind": kind, "digest": str(node.digest), "size": human(node.size)}
        case DirectoryNode():
            count = node.entry_count
            return {
                "kind": "directory",
                "digest": str(node.digest),
                "size": f"{count:,} entr{'y' if count == 1 else 'ies'}",
            }
        case _:
            target = os.fsdecode(node.target) if isinstance(node, SymlinkNode) else repr(node)
            shown = visible(redactor.text(target))
            return {"kind": "symlink", "digest": None, "size": f"to {shown}"[:MAX_SHOWN]}


def _fault(fault: Fault, redactor: Redactor) -> dict[str, Any]:
    return {
        "field": fault.field,
        "row": fault.row,
        "message": visible(redactor.text(fault.message))[:MAX_SHOWN],
        "hint": fault.hint and visible(redactor.text(fault.hint))[:MAX_SHOWN],
    }


def _request(sandbox: Sandbox, pending: bool) -> dict[str, Any]:
    redactor = sandbox.redactor
    try:
        request = sandbox.request
        size = sum(map(len, request.additional_files.values())) + sum(map(len, request.command_args))
        size += sum(map(len, request.environment_vars.values()))
        plain = python_of(sandbox) if size <= MAX_CODE else "# too long to be shown here: sandbox.code.python_of(sb)\n"
    except InvalidRequest as error:
        return {"digest": None, "code": None, "trouble": visible(redactor.text(str(error)), keep="\n"), "kept": pending}
    code = redactor.text(plain)
    return {
        "digest": str(request.digest),
        "code": visible(code if code == plain else _HIDDEN + code, keep="\n"),
        "trouble": None,
        "kept": pending,
    }
