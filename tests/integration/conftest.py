"""The browser and JupyterLab, shared by all tests that look at pages; screenshots land in ``test-artefacts/``."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect, sync_playwright

from support.lab import Lab, running_lab

ARTEFACTS = Path(__file__).parents[2] / "test-artefacts"


@pytest.fixture(scope="session", autouse=True)
def tracker() -> None:
    """Python's own helper for processes that are spawned: it stays as long as this process, so no test leaves it."""
    resource_tracker.ensure_running()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Playwright's driver: there can be one in a thread."""
    # Five seconds are its own patience: too few on a machine that has other things to do.
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def lab(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab and Chromium, of which every test opens pages of its own."""
    ARTEFACTS.mkdir(exist_ok=True)
    with running_lab(playwright, tmp_path_factory.mktemp("lab"), ARTEFACTS) as lab:
        yield lab
