"""A request form's page without a browser: it calls, and keeps what it is told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tvixbuild_nb import Sandbox
from tvixbuild_nb.widgets.form.live import FormView


def wait(condition: Callable[[], object], seconds: float = 10) -> None:
    """Until ``condition`` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class Page:
    """What a page does to a view: calls, and what it was told."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.view = FormView(sandbox)
        self.heard: list[dict[str, Any]] = []
        self.parts: dict[str, Any] = {}
        self.view.send = self._hear  # type: ignore[method-assign]
        self.parts.update(self.call("begin"))

    def _hear(self, content: dict[str, Any], buffers: object = None) -> None:
        json.dumps(content, ensure_ascii=False).encode("utf-8")  # as the kernel sends it
        self.heard.append(content)
        if content.get("topic") == "parts":
            self.parts.update(content["value"])

    def call(self, name: str, /, *buffers: bytes, **arguments: Any) -> Any:
        """Ask the view, as the front end does; ValueError with what it refuses."""
        said = {"call": 7, "name": name, "arguments": arguments}
        self.view._heard(None, said, [memoryview(buffer) for buffer in buffers])
        answer = next(said for said in reversed(self.heard) if said.get("answer") == 7)
        if "error" in answer:
            raise ValueError(f"{answer['error']} {answer.get('hint')}")
        return answer["value"]

    def number(self, field: str, index: int = 0) -> int:
        return int(self.parts[field]["rows"][index]["number"])

    def faults(self) -> list[tuple[str, object]]:
        return [(fault["field"], fault["row"]) for fault in self.parts["faults"]]

    def told(self) -> list[dict[str, Any]]:
        """What was said about inputs, in order."""
        return [content["value"] for content in self.heard if content.get("topic") == "input"]
