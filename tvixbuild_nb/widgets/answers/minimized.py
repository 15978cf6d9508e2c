"""Which inputs can go: each with what it holds, and the runs that prove it."""

from __future__ import annotations

from collections.abc import Iterator

from tvixbuild_nb.castore import DirectoryNode, FileNode, Node
from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.request.redactor import NOTHING_SECRET
from tvixbuild_nb.sandbox.minimizing import Minimized
from tvixbuild_nb.widgets.kit import Forms, Html, tag
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.kit.tables import left_out, table

MAX_INPUTS = 200
_HEAD = ("input", "found", "holds")
_NEEDED = "needed: nothing of it was looked at, and without it the outputs are others or the build fails"


def minimized_forms(found: Minimized) -> Forms:
    """How it shows itself."""
    return Forms(text=lambda: str(found), html=lambda: _html(found))


def _html(found: Minimized) -> Html:
    if not found.deterministic:
        return tag("p", str(found))
    total = len(found.inputs)
    said = [f"all {total:,} inputs are needed", f" (run {found.base})"]
    if found:
        said = [f"{len(found.removable):,} of {total:,} inputs can go", f", {human(found.size)} in their files"]
    rows = list(_rows(found))
    used = total - len(rows)
    return tag(
        "div",
        tag("p", tag("b", said[0]), said[1]),
        table(_HEAD, rows[:MAX_INPUTS], long=_HEAD, caption="inputs of which nothing was looked at") if rows else None,
        left_out(len(rows) - MAX_INPUTS, "inputs"),
        tag("p", f"{used:,} {'input was' if used == 1 else 'inputs were'} used") if used and rows else None,
        _proof(found) if found else None,
    )


def _rows(found: Minimized) -> Iterator[tuple[Child, ...]]:
    hide = NOTHING_SECRET if found.sandbox is None else found.sandbox.redactor
    for name in found.removable:
        yield tag("code", hide.text(name)), tag("b", "can go"), _holds(found.inputs.get(name))
    for name in found.needed:
        yield tag("code", hide.text(name)), _NEEDED, _holds(found.inputs.get(name))


def _holds(node: Node | None) -> str:
    if isinstance(node, DirectoryNode):
        return f"{node.entry_count:,} {'entry' if node.entry_count == 1 else 'entries'}"
    return human(node.size) if isinstance(node, FileNode) else ""


def _proof(found: Minimized) -> Html:
    proof = f"proof: run {found.proof} without them has the outputs of run {found.base}; "
    return tag("p", proof, tag("code", ".apply()"), " takes them out of the sandbox")
