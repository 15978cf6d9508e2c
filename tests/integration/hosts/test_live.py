"""Views, live on the last ipykernel 6."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from support.lab import Lab
from support.views import FAULTS, SETUP, VIEWS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]
OLDER = Path(sys.prefix) / "older-kernel"
SLOW = "slow = Sandbox('n=0; while true; do n=$((n+1)); echo line $n; sleep 0.2; done')"


@pytest.fixture(scope="module")
def older(light_lab: Lab) -> Lab:
    """JupyterLab with a kernel ``older`` to choose: ipykernel 6.31."""
    assert OLDER.is_dir(), "the older kernel is missing: run .ci/setup test"
    light_lab.server.add_kernel("older", PYTHONPATH=str(OLDER))
    return light_lab


def test_views_on_the_last_ipykernel_6(older: Lab) -> None:
    shown = [view for view in VIEWS if view.name in ("run", "form", "tree")]
    with older.notebook("older", SETUP, *(view.cell for view in shown), kernel="older") as notebook:
        assert notebook.ask("import ipykernel; print(ipykernel.__version__)").startswith("6.31")
        notebook.run_all()
        for view in shown:
            view.act(notebook.view(view.name).first)
        assert notebook.ask(FAULTS) == "[]"


def test_the_stop_button_on_the_last_ipykernel_6(older: Lab) -> None:
    with older.notebook("older-stop", SETUP, SLOW, "slow.run()", kernel="older") as notebook:
        notebook.run_all(wait=False)
        run = notebook.view("run")
        expect(run.locator(".run-log")).to_contain_text("line ")
        notebook.page.evaluate("void window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
        expect(run.locator(".run-status")).to_have_text("cancelled")
        notebook.await_kernel()
        assert notebook.ask("print(slow.last_run.status)") == "cancelled" and notebook.ask(FAULTS) == "[]"


def test_cancel_on_the_last_ipykernel_6(older: Lab) -> None:
    with older.notebook("older-cancel", SETUP, SLOW, "slow.start()", kernel="older") as notebook:
        notebook.run_all(wait=False)
        run = notebook.view("run")
        expect(run.locator(".run-log")).to_contain_text("line ")
        run.locator(".run-cancel").click()
        expect(run.locator(".run-status")).to_have_text("cancelled")
        assert notebook.ask("print(slow.last_run.status)") == "cancelled" and notebook.ask(FAULTS) == "[]"
