from __future__ import annotations

import pytest

from support.cli import Command


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    """Runs the command in this process."""
    return Command(capfdbinary)
