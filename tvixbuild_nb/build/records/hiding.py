"""What of a run's files must not leave the machine: values of secrets, and where its user's home is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from tvixbuild_nb.castore import Node, SymlinkNode
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.request import BuildRequest, Redactor
from tvixbuild_nb.request.redactor import label

_SHORTEST_HOME = 4


class Hiding:
    """Takes values of secrets out of documents; where they cannot be taken out, :class:`InvalidValue` says so."""

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        home = os.path.expanduser("~")
        # Whose it is stands in no path of root's.
        self._home = home if home.startswith("/") and home != "/root" and len(home) >= _SHORTEST_HOME else None

    def text(self, text: str) -> str:
        """``text`` without values, and with ``~`` for the home of who saves it."""
        text = self.redactor.text(text)
        return text if self._home is None else text.replace(self._home, "~")

    def document(self, data: bytes, *, home: bool = True) -> bytes:
        """A JSON document with every text in it so; ``home`` False leaves paths as they are."""
        value = json.loads(data.decode("utf-8", "surrogateescape"))
        return json.dumps(
            self._walked(value, self.text if home else self.redactor.text), separators=(",", ":")
        ).encode()

    def lines(self, data: bytes) -> bytes:
        """A document a line."""
        complete = data[: data.rfind(b"\n") + 1]
        return b"".join(self.document(line) + b"\n" for line in complete.splitlines())

    def _walked(self, value: Any, change: Callable[[str], str]) -> Any:
        if isinstance(value, str):
            return change(value)
        if isinstance(value, list):
            return [self._walked(each, change) for each in value]
        if isinstance(value, dict):
            for key in value:
                self.refuse(key, "a name in the record")
            return {key: self._walked(each, change) for key, each in value.items()}
        return value

    def request(self, request: BuildRequest) -> BuildRequest:
        """The request with ``[secret NAME]`` for every value: in variables, arguments and additional files."""
        if not self.redactor:
            return request
        hidden = self.redactor
        for path in (*request.outputs, *request.scratch_paths, *request.inputs, *request.refscan_needles):
            self.refuse(path, f"the path {hidden.text(path)!r} of the request")
        for name, node in request.inputs.items():
            self.node(node, f"the input {name!r}")
        return request.replace(
            command_args=[hidden.text(word) for word in request.command_args],
            environment_vars={
                name: label(name) if name in hidden.names else self.raw(value)
                for name, value in request.environment_vars.items()
            },
            additional_files={path: self.raw(data) for path, data in request.additional_files.items()},
        )

    def raw(self, data: bytes) -> bytes:
        """``data`` with ``[secret NAME]`` for every value in it."""
        parts, position = [], 0
        for start, end, name in self.redactor.byte_places(data):
            parts += [data[position:start], label(name).encode()]
            position = end
        return b"".join([*parts, data[position:]])

    def node(self, node: Node, what: str) -> None:
        """Refuse a symlink whose target holds a value."""
        if isinstance(node, SymlinkNode):
            self.refuse(node.target, f"the target of {what}")

    def refuse(self, text: str | bytes, what: str) -> None:
        """:class:`InvalidValue` when a value stands in what cannot be changed without becoming something else."""
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        for _, _, name in self.redactor.byte_places(data):
            raise InvalidValue(
                f"{what} holds the value of the secret {name}, which must not be in a record", path="secrets",
                hint="outputs=False, inputs=False leave contents out; else let the build not write it",
            )  # fmt: skip
