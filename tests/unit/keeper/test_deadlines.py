"""A limit on all of it, and one on silence."""

from __future__ import annotations

import math
import time

import pytest

from tvixbuild_nb.keeper.deadlines import Deadlines


def test_without_limits_there_is_time_for_ever() -> None:
    deadlines = Deadlines(None, None)
    deadlines.listen()
    assert deadlines.left() == math.inf and deadlines.passed() is None


def test_silence_counts_from_the_first_listening_and_anew_with_every_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    deadlines = Deadlines(10, 2)
    assert deadlines.left() == 10
    now = 105.0
    assert deadlines.passed() is None
    deadlines.listen()
    assert deadlines.left() == 2
    now = 106.5
    deadlines.listen()
    now = 108.0
    assert deadlines.passed() is None and deadlines.left() == 0.5
    now = 108.5
    assert deadlines.passed() == "silent" and deadlines.left() == 0
    now = 110.0
    assert deadlines.passed() == "timed-out"
