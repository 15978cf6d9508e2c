"""JupyterLab and Chromium for the tests of this directory; screenshots land in ``test-artefacts/``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright

from support.lab import Lab, running_lab

ARTEFACTS = Path(__file__).parents[3] / "test-artefacts"


def _lab(playwright: Playwright, theme: str, places: pytest.TempPathFactory) -> Iterator[Lab]:
    ARTEFACTS.mkdir(exist_ok=True)
    with running_lab(playwright, places.mktemp(f"lab-{theme}"), theme, ARTEFACTS) as lab:
        yield lab


@pytest.fixture(scope="session")
def light_lab(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab in its light theme."""
    yield from _lab(playwright, "light", tmp_path_factory)


@pytest.fixture(scope="session")
def dark_lab(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab in its dark theme."""
    yield from _lab(playwright, "dark", tmp_path_factory)


@pytest.fixture(params=["light", "dark"])
def lab(request: pytest.FixtureRequest) -> Lab:
    """Both themes, one after the other."""
    found: Lab = request.getfixturevalue(f"{request.param}_lab")
    return found
