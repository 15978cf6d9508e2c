"""Sandboxes in a real kernel: output stays bounded, the stop button cancels."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager, start_new_kernel
from nbclient import NotebookClient

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root", "no_leftovers")]


def _texts(cell: nbformat.NotebookNode) -> str:
    found = []
    for output in cell.get("outputs", []):
        found.append(output.get("text") or output.get("data", {}).get("text/plain") or "")
    return "".join(found)


def test_a_long_log_stays_bounded_in_a_saved_notebook() -> None:
    code = (
        "from tvixbuild_nb import Sandbox\nrun = Sandbox('head -c 20000000 /dev/zero | tr \"\\\\0\" x').run()\nrun.ok"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=120, store_widget_state=False).execute()
    text = _texts(notebook.cells[0])
    assert text.endswith("True") and "20,000,000 bytes" in text and "more characters" in text
    assert len(nbformat.writes(notebook)) < 100_000


@pytest.mark.parametrize(
    "statement", ["run = sandbox.run()", "run = sandbox.start()\nawait run", "run = sandbox.start()\nrun.wait()"]
)
def test_the_stop_button_cancels_and_the_kernel_goes_on(statement: str) -> None:
    manager, client = start_new_kernel()
    try:
        code = f"from tvixbuild_nb import Sandbox\nsandbox = Sandbox('echo up; sleep 61.5')\n{statement}"
        stop = threading.Thread(target=_interrupt_the_build, args=(manager,))
        stop.start()
        reply = client.execute_interactive(code, timeout=40, output_hook=lambda message: None)
        stop.join(30)
        if "wait" in statement and "await" not in statement:
            # A blocking wait is interrupted as any call is; the build goes on until it is cancelled.
            assert reply["content"]["status"] == "error" and reply["content"]["ename"] == "KeyboardInterrupt"
            client.execute_interactive("sandbox.last_run.cancel(); sandbox.last_run.wait()", timeout=40)
        else:
            assert reply["content"]["status"] == "ok", reply
        answer = client.execute("", user_expressions={"status": "sandbox.last_run.status"}, reply=True, timeout=40)
        assert answer["content"]["user_expressions"]["status"]["data"]["text/plain"] == "'cancelled'"
        client.execute_interactive("sandbox.last_run.delete()", timeout=40)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _interrupt_the_build(manager: KernelManager) -> None:
    """Press stop as soon as the build's command runs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                # A program of its own, or within the shell: as busybox was built.
                if b"sleep 61.5" in status.read_bytes().replace(b"\0", b" "):
                    manager.interrupt_kernel()
                    return
            except OSError:
                continue
        time.sleep(0.05)
