"""Front ends other than JupyterLab with everything in it; screenshots land in ``test-artefacts/``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright

from support.lab import JUPYTERLAB, LAB_OPTIONS, NOTEBOOK, Application, Lab, running_lab

ARTEFACTS = Path(__file__).parents[3] / "test-artefacts"
BARE = Application(
    "jupyterlab",
    JUPYTERLAB.page,
    LAB_OPTIONS,
    disabled=("anywidget",),
    says=("No version of module anywidget is registered",),
)


def _running(playwright: Playwright, places: pytest.TempPathFactory, application: Application) -> Iterator[Lab]:
    ARTEFACTS.mkdir(exist_ok=True)
    with running_lab(playwright, places.mktemp("host"), ARTEFACTS, application) as lab:
        yield lab


@pytest.fixture(scope="module")
def notebook7(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Jupyter Notebook 7; its server has Voilà's pages as well."""
    yield from _running(playwright, tmp_path_factory, NOTEBOOK)


@pytest.fixture(scope="module")
def bare_lab(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab without anywidget's front end, and without a network to fetch it from."""
    yield from _running(playwright, tmp_path_factory, BARE)
