"""Names of a package that are imported when somebody first asks for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def imported_when_asked_for(package: str, names: Mapping[str, str | None]) -> Callable[[str], object]:
    """The ``__getattr__`` of ``package`` (PEP 562); ``names``: name -> module below it. Kept once found.

    None in the place of a module: the name is a module itself.
    """

    def __getattr__(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = names[name]
        found = import_module(f"{package}.{module or name}")
        value: object = found if module is None else getattr(found, name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
