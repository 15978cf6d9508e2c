"""The browser's driver, shared by all tests that look at pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Playwright, expect, sync_playwright


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Playwright's driver: there can be one in a thread."""
    # Five seconds are its own patience: too few on a machine that has other things to do.
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        yield playwright
