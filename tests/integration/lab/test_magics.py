"""%%sandbox in a real kernel with real builds: what it writes streams, failures explain themselves."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager, start_new_kernel
from nbclient.exceptions import CellExecutionError

from support.static import executed

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root", "no_leftovers")]

LOAD = "%load_ext tvixbuild_nb.lab"


def texts(notebook: object, number: int) -> str:
    found = notebook.cells[number].outputs  # type: ignore[attr-defined]
    return "".join(out.get("text") or out.get("data", {}).get("text/plain", "") for out in found)


def test_from_a_script_to_its_output(tmp_path: Path) -> None:
    (tmp_path / "poem").write_text("so much depends\n")
    notebook = executed(
        (
            LOAD,
            "%sandbox new first --input src=poem --output nix/store/loud",
            "%%sandbox --to run --env WHO=you\necho hello $WHO; tr a-z A-Z < /nix/store/src > /nix/store/loud",
            "%sandbox cat nix/store/loud",
            "%%sandbox --keep never\necho on its way >&2; exit 3",
            "run.ok, _run.exit_code, _run.bundle, first.env, _run is first.last_run",
            "%%sandbox --timeout 0.5\nsleep 60",
            "%sandbox exec echo from inside",
            "_run.delete()",
        ),
        tmp_path,
    )
    assert texts(notebook, 2) == "hello you\n" and notebook.cells[2].outputs[0].name == "stdout"
    assert texts(notebook, 3) == "SO MUCH DEPENDS\n"
    assert "on its way\n" in texts(notebook, 4) and "failed at build" in texts(notebook, 4)
    assert "text/html" in notebook.cells[4].outputs[-1].data, "and the explanation"
    assert texts(notebook, 5) == "(True, 3, None, {}, True)"
    assert "timed-out" in texts(notebook, 6)
    assert "from inside" in texts(notebook, 7)


def test_output_streams_while_it_runs(tmp_path: Path) -> None:
    """The first line arrives as a message of its own, long before the last."""
    notebook = executed(
        (
            f"{LOAD}\nfrom tvixbuild_nb import Sandbox\nsandbox = Sandbox()",
            "import builtins, sys, time\n"
            "class Watch:\n"
            "    def __init__(self, out): self.out, self.seen = out, []\n"
            "    def write(self, text):\n"
            "        self.seen.append((time.monotonic(), text)); return self.out.write(text)\n"
            "    def __getattr__(self, name): return getattr(self.out, name)\n"
            "sys.stdout = watch = Watch(sys.stdout)",
            "%%sandbox\necho early; sleep 1; echo late",
            "sys.stdout = watch.out\nwhen = {text.strip(): at for at, text in watch.seen if text.strip()}\n"
            "when['late'] - when['early'] > 0.5",
        ),
        tmp_path,
    )
    assert texts(notebook, 2) == "early\nlate\n" and texts(notebook, 3) == "True"


def test_a_slip_ends_an_execution_as_a_message(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError) as raised:
        executed((LOAD, "%sandbox prevew"), tmp_path)
    assert "did you mean 'preview'" in str(raised.value)


def test_setup_where_builds_run(tmp_path: Path) -> None:
    notebook = executed(
        (
            "import time\nfrom tvixbuild_nb import lab, runs\nbegan = time.monotonic()",
            "found = lab.setup()\ntook = time.monotonic() - began",
            "found",
            "found.where, len(runs()), took < 10",
        ),
        tmp_path,
    )
    assert texts(notebook, 2) == "builds run here, by runc" and texts(notebook, 3) == "('here', 0, True)"


def test_the_stop_button_and_completion_in_a_kernel() -> None:
    manager, client = start_new_kernel()
    try:
        load = f"{LOAD}\nfrom tvixbuild_nb import Sandbox\nsandbox = Sandbox()"
        client.execute_interactive(load, timeout=40)
        stop = threading.Thread(target=_interrupt_the_build, args=(manager,))
        stop.start()
        reply = client.execute_interactive(
            "%%sandbox --keep never\necho up; sleep 61.6", timeout=40, output_hook=lambda message: None
        )
        stop.join(30)
        assert reply["content"]["status"] == "ok", reply
        answer = client.execute("", user_expressions={"status": "_run.status"}, reply=True, timeout=40)
        assert answer["content"]["user_expressions"]["status"]["data"]["text/plain"] == "'cancelled'"
        found = client.complete("%sandbox exp", reply=True, timeout=40)["content"]
        assert found["matches"] == ["explain"] and (found["cursor_start"], found["cursor_end"]) == (9, 12)
        client.execute_interactive("_run.delete()", timeout=40)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _interrupt_the_build(manager: KernelManager) -> None:
    """Press stop as soon as the build's command runs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if b"sleep 61.6" in status.read_bytes().replace(b"\0", b" "):
                    manager.interrupt_kernel()
                    return
            except OSError:
                continue
        time.sleep(0.05)
