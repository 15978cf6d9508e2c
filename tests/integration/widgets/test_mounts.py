"""The mount table in a real JupyterLab."""

from __future__ import annotations

import pytest

from support.lab import Lab

pytestmark = pytest.mark.integration
SETUP = """
from tvixbuild_nb import Sandbox
sb = Sandbox("true", outputs=["nix/store/out"], store="memory:")
sb.mount_table()
"""


def test_shows_every_mount(lab: Lab) -> None:
    with lab.notebook("mounts", SETUP) as notebook:
        notebook.run_all()
        view = notebook.view("mounts")
        view.wait_for()
        assert view.locator("tbody tr").count() == int(notebook.ask("print(len(sb.mount_table()))"))
        notebook.picture("table")
        assert notebook.violations("mounts") == []
