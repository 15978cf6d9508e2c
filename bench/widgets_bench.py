"""Views in a real JupyterLab: time to first paint, messages and bytes sent for it, CPU of the kernel.

``rows()`` measures and returns the table; run as a program it prints it. Time goes from the order to run the cell to
the first frame that has rows in it, in a notebook that has shown such a view before; bytes are those of every message
from the kernel until then, whatever they are for: the front end's code and the static form are among them.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from playwright.sync_api import WebSocket, sync_playwright

from support.lab import Lab, Notebook, running_lab

ROUNDS = 7

_TREES = """
import tempfile, time
from tvixbuild_nb.castore import Directory, DirectoryNode, open_castore
place = tempfile.TemporaryDirectory(prefix="widgets-bench-")
store = open_castore(place.name)
leaf = store.ingest_bytes(b"contents")
def folder(entries):
    made = Directory(entries)
    return DirectoryNode(store.directories.put(made), made.size)
def nested(depth):
    if depth == 0:
        return folder([(b"file-%02d" % n, leaf) for n in range(100)])
    return folder([(b"directory-%02d" % n, nested_below) for nested_below in [nested(depth - 1)] for n in range(100)])
million = store.tree(nested(2), b"million")
flat = store.tree(folder([(b"file-%06d" % n, leaf) for n in range(100_000)]), b"flat")
small = store.tree(leaf, b"small")
"""
_SHOW = "cpu = time.process_time()\n{}"
_PAINT = """
async (index) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = index;
  notebook.deselectAll();
  const cell = notebook.widgets[index].node;
  const start = performance.now();
  window.jupyterapp.commands.execute("notebook:run-cell");
  while (!cell.querySelector("SELECTOR")) {
    if (performance.now() - start > 30000) throw new Error("nothing is painted");
    await new Promise((next) => requestAnimationFrame(next));
  }
  return performance.now() - start;
}
"""


class Traffic:
    """Messages that come in over a page's web sockets."""

    def __init__(self) -> None:
        self.messages = self.bytes = 0

    def hear(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._count)

    def _count(self, payload: bytes | str) -> None:
        self.messages += 1
        self.bytes += len(payload)


def rows(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Every view that has load: what, milliseconds, messages, bytes, kernel CPU in milliseconds, what is wanted."""
    with (
        tempfile.TemporaryDirectory(prefix="widgets-bench-") as place,
        sync_playwright() as playwright,
        running_lab(playwright, Path(place, "lab"), Path(place)) as lab,
    ):
        return tree_rows(lab, rounds)


def tree_rows(lab: Lab, rounds: int) -> list[dict[str, Any]]:
    """The tree browser: a nested million, and one directory of a hundred thousand."""
    cases = [
        ("tree of 1,010,100 entries, nested", "million", 200, 64 * 1024),
        ("tree of 100,000 entries in one directory", "flat", 300, None),
    ]
    found = []
    for what, name, milliseconds, limit in cases:
        cells = [_TREES, _SHOW.format("small"), *[_SHOW.format(name)] * rounds]
        traffic = Traffic()
        with lab.notebook(f"bench-{name}", *cells) as notebook:
            notebook.page.on("websocket", traffic.hear)
            notebook.reload()  # its sockets are opened anew, and counted
            _run(notebook, 0)
            paint(notebook, 1, ".tvixbuild-tree .space .tr")
            samples = []
            for index in range(2, len(cells)):
                notebook.page.wait_for_timeout(700)
                before = traffic.messages, traffic.bytes
                took = paint(notebook, index, ".tvixbuild-tree .space .tr:nth-child(15)")
                sent = traffic.messages - before[0], traffic.bytes - before[1]
                cpu = float(notebook.ask("print((time.process_time() - cpu) * 1000)"))
                samples.append((took, *sent, cpu))
        took, messages, sent_bytes, cpu = (statistics.median(column) for column in zip(*samples, strict=True))
        target = f"{milliseconds} ms" + (f", {limit} bytes" if limit else "")
        met = took <= milliseconds and (limit is None or sent_bytes <= limit)
        measured = {"ms": took, "messages": messages, "bytes": sent_bytes, "cpu": cpu}
        found.append({"what": what, **measured, "target": target, "met": met})
    return found


def paint(notebook: Notebook, index: int, selector: str) -> float:
    """Run that cell; milliseconds until ``selector`` is within it."""
    took: float = notebook.page.evaluate(_PAINT.replace("SELECTOR", selector), index)
    return took


def _run(notebook: Notebook, index: int) -> None:
    notebook.page.evaluate(
        """(index) => {
          window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
          return window.jupyterapp.commands.execute("notebook:run-cell");
        }""",
        index,
    )
    notebook.await_kernel()


if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS):
        counted = f"{row['messages']:3.0f} messages  {row['bytes']:8.0f} bytes  kernel CPU {row['cpu']:4.0f} ms"
        judged = f"{row['target']}  {'met' if row['met'] else 'MISSED'}"
        print(f"{row['what']:42} first paint {row['ms']:5.0f} ms  {counted}  {judged}")
