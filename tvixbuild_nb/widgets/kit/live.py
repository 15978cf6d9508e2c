"""The live half of a view: a widget whose front end asks the kernel for the slice it shows.

The front end calls methods marked with :func:`callable_from_front`; the kernel pushes with :meth:`LiveView.tell`.
Messages sent before a view is displayed are lost, so a front end asks for everything it needs when it is drawn.
"""

from __future__ import annotations

import base64
import threading
import zlib
from collections.abc import Callable
from importlib import resources
from typing import Any, TypeVar

import anywidget
import traitlets

from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.escaping import visible

Method = TypeVar("Method", bound=Callable[..., Any])
_MARK = "_callable_from_front"


def callable_from_front(method: Method) -> Method:
    """Let the front end call this method by name with keyword arguments; what it returns is sent as JSON.

    It may return ``(value, [bytes, ...])`` to send buffers beside the value; buffers that come are its ``buffers``.
    It is called on whatever thread the kernel likes, one call at a time, and must not block for long.
    """
    setattr(method, _MARK, True)
    return method


def front(kind: str, *names: str) -> str:
    """The front end of a view as one text: the kit's file, then those of ``names`` in order; ``kind`` is js or css.

    Only the last of them exports; the others are parts that several views share. A part need not have css.
    """
    directory = resources.files("tvixbuild_nb.widgets") / "front"
    parts = [directory / f"{name}.{kind}" for name in ("kit", *names)]
    return "\n".join(part.read_text(encoding="utf-8") for part in parts if part.is_file())


def lean(text: str) -> str:
    """``text`` of a front end without indentation and without lines that are comments: it is sent for every view.

    Not for files with template literals of several lines.
    """
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/**")))


def packed(text: str) -> str:
    """An ES module that is ``text``, compressed: half of what is sent for a large view would be its front end.

    Browsers of 2023 and later unpack it (DecompressionStream). It imports itself as anywidget does, from a blob, so
    that every host that shows anywidgets shows it.
    """
    data = base64.b64encode(zlib.compress(lean(text).encode(), 9)).decode()
    return (
        f'const packed = Uint8Array.from(atob("{data}"), (letter) => letter.charCodeAt(0));\n'
        'const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));\n'
        'const code = new Blob([await new Response(stream).text()], { type: "text/javascript" });\n'
        "const url = URL.createObjectURL(code);\n"
        "const view = await import(url);\n"
        "URL.revokeObjectURL(url);\n"
        "export default view.default;\n"
    )


class LiveView(anywidget.AnyWidget):
    """A widget with calls and pushes. Subclasses set ``_esm`` and ``_css`` from :func:`front`.

    ``faults`` holds what went wrong in calls, one text each: tests want it empty. ``note`` is a line above the view.
    """

    note = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self.faults: list[str] = []
        self._calling = threading.RLock()
        super().__init__(**traits)
        self.on_msg(self._heard)

    def _send(self, msg: Any, buffers: Any = None) -> None:
        super()._send(msg, buffers)
        # ipykernel 7.4 takes what a page says to where it was last spoken to from: pushes come from a thread beside the
        # cell, whose shell hears nothing while it waits. Forgotten, every message goes where the page sends it.
        getattr(self.comm, "__dict__", {}).pop("_reply_subshell_id", None)

    def tell(self, topic: str, value: object, buffers: list[bytes] | None = None) -> None:
        """Push ``value`` (JSON) to every displayed view, which hears it under ``topic``."""
        self.send({"topic": topic, "value": value}, buffers)

    def _heard(self, _: object, content: dict[str, Any], buffers: list[memoryview]) -> None:
        number, name = content.get("call"), content.get("name")
        method = getattr(type(self), name, None) if isinstance(name, str) else None
        if not getattr(method, _MARK, False):
            self._answer(number, error=f"no such call: {name!r}")
            return
        assert method is not None
        try:
            with self._calling:
                sent_along = {"buffers": [bytes(buffer) for buffer in buffers]} if buffers else {}
                value = method(self, **content.get("arguments", {}), **sent_along)
        except TvixBuildError as error:
            # Part of the interface: the view shows it where it was asked for, the hint beside it.
            text = error.message if error.where is None else f"{error.where}: {error.message}"
            self.send({"answer": number, "error": visible(text), "hint": error.hint and visible(error.hint)})
        except Exception as error:
            self._answer(number, error=repr(error))
        else:
            value, sent = value if isinstance(value, tuple) else (value, None)
            self.send({"answer": number, "value": value}, sent)

    def _answer(self, number: object, error: str) -> None:
        self.faults.append(error)
        self.send({"answer": number, "error": visible(error)})
