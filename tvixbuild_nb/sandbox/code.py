"""The Python that makes a request, to paste."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tvixbuild_nb.castore import DirectoryNode, FileNode, Node, SymlinkNode

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.sandbox import Sandbox

# A list or mapping that fits is written in one line.
WIDTH = 100
_SHELL = ("/bin/sh", "-c")
_SURROUNDINGS = ("options", "builder", "runtime")


def python_of(sandbox: Sandbox) -> str:
    """A program of a few lines that leaves a Sandbox with the same request in ``sb``.

    It says everything the request depends on, the system as well, so that it makes the same digest anywhere. Inputs are
    named by their digests, so it needs the store that has them; where they came from stands beside them. The value of
    a variable named in ``sb.secrets`` is not written down: the program takes it from its environment.
    :class:`InvalidRequest` where the sandbox has no valid request.
    """
    request = sandbox.request
    secret = frozenset(getattr(sandbox, "secrets", ()))
    defaults = {name: parameter.default for name, parameter in inspect.signature(type(sandbox)).parameters.items()}
    arguments = [_command(request.command_args)]

    def add(name: str, value: object, written: str | None = None) -> None:
        if value != defaults[name]:
            arguments.append(f"{name}={_written(value) if written is None else written}")

    add("outputs", request.outputs)
    if request.environment_vars:
        values = {
            name: f"os.environ[{name!r}]" if name in secret else _text(value)
            for name, value in request.environment_vars.items()
        }
        add("env", values, _mapping(values))
    if secret:
        add("secrets", tuple(sorted(secret)))
    if request.inputs:
        nodes = {name: _node(node) for name, node in request.inputs.items()}
        origins = {name: origin for name in nodes if (origin := sandbox.origin(name)) is not None}
        add("inputs", nodes, _mapping(nodes, origins))
    if request.additional_files:
        files = {path: _text(contents) for path, contents in request.additional_files.items()}
        add("additional_files", files, _mapping(files))
    add("working_dir", request.working_dir)
    add("scratch_paths", request.scratch_paths)
    add("inputs_dir", request.inputs_dir)
    add("refscan_needles", request.refscan_needles)
    if request.constraints is not None:
        for name, value in request.constraints:
            add(name, value)
    lines = [*_imports(sandbox, secret, request.inputs.values()), "", "sb = Sandbox(", *_indented(arguments), ")"]
    if request.constraints is None:
        lines.append("sb.constraints = None")
    given = [name for name in _SURROUNDINGS if getattr(sandbox, f"_{name}", sandbox.__dict__.get(name)) is not None]
    if given:
        lines.append(f"# Not part of the request, and set beside it: {', '.join(given)}.")
    return "\n".join(lines) + "\n"


def _imports(sandbox: Sandbox, secret: frozenset[str], nodes: Iterable[Node]) -> list[str]:
    lines = ["import os", ""] if secret & sandbox.env.keys() else []
    lines.append("from tvixbuild_nb import Sandbox")
    if kinds := {type(node).__name__ for node in nodes}:
        names = kinds | ({"Digest"} if kinds != {"SymlinkNode"} else set())
        lines.append(f"from tvixbuild_nb.castore import {', '.join(sorted(names))}")
    return lines


def _command(arguments: tuple[str, ...]) -> str:
    if len(arguments) == 3 and arguments[:2] == _SHELL:
        return _lines(arguments[2])
    return _written(arguments)


def _written(value: object) -> str:
    if not isinstance(value, tuple):
        return _lines(value) if isinstance(value, str) else repr(value)
    line = f"[{', '.join(map(repr, value))}]"
    return line if len(line) <= WIDTH else "\n".join(["[", *_indented(map(_written, value)), "]"])


def _mapping(values: Mapping[str, str], comments: Mapping[str, str] | None = None) -> str:
    comments = comments or {}
    line = "{" + ", ".join(f"{name!r}: {value}" for name, value in values.items()) + "}"
    if len(line) <= WIDTH and not comments and "\n" not in line:
        return line
    entries = []
    for name, value in values.items():
        if name in comments:
            # The form of a literal keeps whatever a path may hold within its line.
            entries.append(f"# {comments[name]!r}"[:400])
        entries.append(f"{name!r}: {value}")
    return "\n".join(["{", *_indented(entries), "}"])


def _text(value: bytes) -> str:
    try:
        return _lines(value.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(value)


def _lines(text: str) -> str:
    lines = text.split("\n")
    if len(lines) < 3:
        return repr(text)
    pieces = [repr(f"{line}\n") for line in lines[:-1]] + ([repr(lines[-1])] if lines[-1] else [])
    return "\n".join(["(", *(f"    {piece}" for piece in pieces), ")"])


def _node(node: Node) -> str:
    match node:
        case FileNode():
            executable = ", executable=True" if node.executable else ""
            return f"FileNode(Digest.from_hex({str(node.digest)!r}), {node.size}{executable})"
        case DirectoryNode():
            return f"DirectoryNode(Digest.from_hex({str(node.digest)!r}), {node.size})"
        case SymlinkNode():
            return f"SymlinkNode({node.target!r})"


def _indented(entries: Iterable[str]) -> list[str]:
    return [
        line
        for entry in entries
        for line in f"    {entry.replace(chr(10), chr(10) + '    ')}{'' if entry.startswith('#') else ','}".split("\n")
    ]
