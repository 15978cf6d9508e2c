"""Configurations without the values of secret variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvixbuild_nb.request import Redactor


def hidden(value: Any, redactor: Redactor, env: bool = False) -> Any:
    """``value`` (JSON data of a configuration) as it may be shown; ``env``: its texts are ``NAME=value``."""
    match value:
        case str() if env:
            name, equals, rest = value.partition("=")
            return f"{name}{equals}{redactor.value(name, rest)}"
        case str():
            return redactor.text(value)
        case Mapping():
            return {redactor.text(key): hidden(item, redactor, key == "env") for key, item in value.items()}
        case list() | tuple():
            return [hidden(item, redactor, env) for item in value]
    return value
