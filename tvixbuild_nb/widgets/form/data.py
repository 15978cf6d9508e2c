"""What a request form shows, as plain data; all three forms are made from it."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.castore import DirectoryNode, FileNode, Node
from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.request.redactor import Redactor
from tvixbuild_nb.sandbox import Sandbox
from tvixbuild_nb.sandbox.code import python_of
from tvixbuild_nb.widgets.form.draft import LISTS, PAIRS, SCALARS, SHELL, Draft
from tvixbuild_nb.widgets.form.faults import Fault, faults_of
from tvixbuild_nb.widgets.kit import visible

# Bytes of one text that can be edited in place, rows of one field that are shown, bytes of code that are shown.
MAX_TEXT = 1 << 16
MAX_ROWS = 200
MAX_CODE = 1 << 18
MAX_SHOWN = 2000
DOTS = "••••••••"

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


def cell(value: object, redactor: Redactor) -> dict[str, Any]:
    """One text: ``shown`` to look at, ``value`` to edit or None, and then ``why``; ``odd`` when they differ."""
    text, size = _text(value)
    if text is None:
        shown = visible(value, keep="\n\t") if isinstance(value, bytes) else visible(repr(value))
        return _locked(shown, size, "not text")
    safe = redactor.text(text)
    shown = visible(safe, keep="\n\t")
    if safe != text:
        return _locked(shown, size, "holds the value of a secret variable")
    if size > MAX_TEXT:
        return _locked(shown, size, f"larger than {human(MAX_TEXT)}")
    # Text areas know no line end but the newline; those of Windows are put back when the text returns.
    plain = text.replace("\r\n", "\n")
    windows = plain != text
    if "\r" in plain or (windows and plain.count("\n") != text.count("\r\n")):
        return _locked(shown, size, "holds a carriage return")
    return {"value": plain, "shown": shown[:MAX_SHOWN], "size": size, "odd": shown != text, "windows": windows}


def secret_cell() -> dict[str, Any]:
    """The value of a variable that nobody is to see, not even how long it is."""
    return {"value": None, "shown": DOTS, "secret": True}


def _locked(shown: str, size: int, why: str) -> dict[str, Any]:
    return {"value": None, "shown": shown[:MAX_SHOWN], "size": size, "why": why}


def _text(value: object) -> tuple[str | None, int]:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8"), len(value)
        except UnicodeDecodeError:
            return None, len(value)
    if not isinstance(value, str):
        return None, 0
    try:
        return value, len(value.encode("utf-8"))
    except UnicodeEncodeError:
        return None, len(value)


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
        hidden = name == "env" and key in draft.secrets
        held = secret_cell() if hidden else cell(value, redactor)
        shown.append({"number": row.number, "key": cell(key, redactor), "cell": held})
    return {"rows": shown, "hidden": len(rows) - len(shown)}


def _scalar(value: object, redactor: Redactor) -> dict[str, Any]:
    return {"value": value} if isinstance(value, bool) else cell(value, redactor)


def _inputs(draft: Draft, redactor: Redactor) -> dict[str, Any]:
    named = sorted(draft.inputs.items(), key=lambda pair: str(pair[0]))
    rows = [
        {
            "name": input_name(name, redactor),
            "origin": "a node" if origin is None else visible(redactor.text(origin)),
            **_node(node),
        }
        for name, (node, origin) in named[:MAX_ROWS]
    ]
    return {"rows": rows, "hidden": len(named) - len(rows)}


def input_name(name: str, redactor: Redactor) -> str:
    """An input's name as the form has it."""
    return visible(redactor.text(str(name)))


def _node(node: Node) -> dict[str, Any]:
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
            target = visible(getattr(node, "target", repr(node)))
            return {"kind": "symlink", "digest": None, "size": f"to {target}"[:MAX_SHOWN]}


def _fault(fault: Fault, redactor: Redactor) -> dict[str, Any]:
    return {
        "field": fault.field,
        "row": input_name(fault.row, redactor) if isinstance(fault.row, str) else fault.row,
        "message": visible(redactor.text(fault.message))[:MAX_SHOWN],
        "hint": fault.hint and visible(redactor.text(fault.hint))[:MAX_SHOWN],
    }


def _request(sandbox: Sandbox, pending: bool) -> dict[str, Any]:
    redactor = sandbox.redactor
    try:
        request = sandbox.request
        size = sum(map(len, request.additional_files.values())) + sum(map(len, request.command_args))
        size += sum(map(len, request.environment_vars.values()))
        code = python_of(sandbox) if size <= MAX_CODE else "# too long to be shown here: sandbox.code.python_of(sb)\n"
    except InvalidRequest as error:
        return {"digest": None, "code": None, "trouble": visible(redactor.text(str(error)), keep="\n"), "kept": pending}
    return {
        "digest": str(request.digest),
        "code": visible(redactor.text(code), keep="\n"),
        "trouble": None,
        "kept": pending,
    }
