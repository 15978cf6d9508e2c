"""Subordinate ids: which range /etc/subuid and /etc/subgid give to whom."""

from __future__ import annotations

from typing import NamedTuple


class SubordinateRange(NamedTuple):
    """``size`` ids from ``start`` that belong to somebody besides their own."""

    start: int
    size: int


def subordinate_range(path: str, name: str, number: int, minimum: int = 2) -> SubordinateRange | None:
    """The first range of at least ``minimum`` ids for the account, by name or number; None without one.

    The file's lines are ``account:start:count``, as subuid(5) has them.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    for line in lines:
        account, _, rest = line.strip().partition(":")
        start, _, count = rest.partition(":")
        if account in (name, str(number)) and start.isdigit() and count.isdigit() and int(count) >= minimum:
            return SubordinateRange(int(start), int(count))
    return None
