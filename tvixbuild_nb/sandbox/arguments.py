"""What a Sandbox is given, refused early where Python would take it for something else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tvixbuild_nb.errors import InvalidRequest


def shell_command(text: str) -> tuple[str, ...]:
    """What runs one text."""
    return ("/bin/sh", "-c", text)


def texts(values: Iterable[str], field: str) -> tuple[str, ...]:
    if isinstance(values, str):
        raise InvalidRequest("expected several texts, not one", path=field, hint=f"{field}=[{values!r}]")
    return tuple(values)


def mapping(values: Mapping[str, str | bytes] | None, field: str) -> dict[str, str | bytes]:
    if values is not None and not isinstance(values, Mapping):
        raise InvalidRequest("expected a mapping of names to values", path=field, hint=f"{field}={{'NAME': 'value'}}")
    return dict(values or {})
