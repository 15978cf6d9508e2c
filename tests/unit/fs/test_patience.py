"""Waiting awake for the next request, as long as it pays."""

from __future__ import annotations

from tvixbuild_nb.fs.patience import AWAKE, FAILURES, MOST_SLEEPS, Patience


def waits_until_awake(patience: Patience) -> int:
    """How many waits are slept through until one is not."""
    count = 0
    while patience.wait() == 0:
        count += 1
    return count


def test_a_burst_is_waited_for_awake() -> None:
    patience = Patience()
    for _ in range(1000):
        assert patience.wait() == AWAKE
        patience.rewarded()


def test_a_pause_between_bursts_changes_nothing() -> None:
    patience = Patience()
    for _ in range(100):
        patience.wait()
        patience.disappointed()
        assert patience.wait() == AWAKE
        patience.rewarded()


def test_waiting_in_vain_becomes_rare_and_is_tried_again() -> None:
    patience = Patience()
    for _ in range(FAILURES):
        assert patience.wait() == AWAKE
        patience.disappointed()
    slept = []
    for _ in range(20):
        slept.append(waits_until_awake(patience))
        patience.disappointed()
    assert slept == sorted(slept)
    assert slept[0] > 0
    assert slept[-1] == MOST_SLEEPS
    assert waits_until_awake(patience) == MOST_SLEEPS
    patience.rewarded()
    assert patience.wait() == AWAKE
