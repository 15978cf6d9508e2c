"""The Python that makes a request, to paste."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tvixbuild_nb.castore import DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.sandbox.literals import Literals, indented

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.sandbox import Sandbox

_SHELL = ("/bin/sh", "-c")
_SURROUNDINGS = ("options", "builder", "builder_store", "runtime")


def python_of(sandbox: Sandbox) -> str:
    """A program of a few lines that leaves a Sandbox with the same request in ``sb``.

    It says everything the request depends on, the system as well, so that it makes the same digest anywhere. Inputs are
    named by their digests, so it needs the store that has them; where they came from stands beside them. The value of
    a variable named in ``sb.secrets`` is not written down, wherever in the request it stands: the program takes it from
    its environment.
    :class:`InvalidRequest` where the sandbox has no valid request.
    """
    request = sandbox.request
    secret = frozenset(sandbox.secrets)
    variables = request.environment_vars
    write = Literals({name: variables[name].decode() for name in secret & variables.keys()})
    defaults = {name: parameter.default for name, parameter in inspect.signature(type(sandbox)).parameters.items()}
    arguments = [write.value(_command(request.command_args))]

    def add(name: str, value: object, written: str | None = None) -> None:
        if value != defaults[name]:
            arguments.append(f"{name}={write.value(value) if written is None else written}")

    add("outputs", request.outputs)
    if variables:
        values = {name: write.variable(name) if name in secret else write.text(variables[name]) for name in variables}
        add("env", values, write.mapping(values))
    if secret:
        add("secrets", tuple(sorted(secret)))
    if request.inputs:
        nodes = {name: _node(node, write) for name, node in request.inputs.items()}
        known = {name: origin for name in nodes if (origin := sandbox.origin(name)) is not None}
        add("inputs", nodes, write.mapping(nodes, {name: sandbox.redactor.text(text) for name, text in known.items()}))
    if request.additional_files:
        files = {path: write.text(contents) for path, contents in request.additional_files.items()}
        add("additional_files", files, write.mapping(files))
    add("working_dir", request.working_dir)
    add("scratch_paths", request.scratch_paths)
    add("inputs_dir", request.inputs_dir)
    add("refscan_needles", request.refscan_needles)
    if request.constraints is not None:
        for name, value in request.constraints:
            add(name, value)
    imports = _imports(request.inputs.values(), environment=write.environment)
    lines = [*imports, "", "sb = Sandbox(", *indented(arguments), ")"]
    if request.constraints is None:
        lines.append("sb.constraints = None")
    given = [name for name in _SURROUNDINGS if getattr(sandbox, f"_{name}", sandbox.__dict__.get(name)) is not None]
    if given:
        lines.append(f"# Not part of the request, and set beside it: {', '.join(given)}.")
    return "\n".join(lines) + "\n"


def _imports(nodes: Iterable[Node], *, environment: bool) -> list[str]:
    lines = ["import os", ""] if environment else []
    lines.append("from tvixbuild_nb import Sandbox")
    if kinds := {type(node).__name__ for node in nodes}:
        names = kinds | ({"Digest"} if kinds != {"SymlinkNode"} else set())
        lines.append(f"from tvixbuild_nb.castore import {', '.join(sorted(names))}")
    return lines


def _command(arguments: tuple[str, ...]) -> tuple[str, ...] | str:
    return arguments[2] if len(arguments) == 3 and arguments[:2] == _SHELL else arguments


def _node(node: Node, write: Literals) -> str:
    match node:
        case FileNode():
            executable = ", executable=True" if node.executable else ""
            return f"FileNode(Digest.from_hex({str(node.digest)!r}), {node.size}{executable})"
        case DirectoryNode():
            return f"DirectoryNode(Digest.from_hex({str(node.digest)!r}), {node.size})"
        case SymlinkNode():
            return f"SymlinkNode({write.binary(node.target)})"
