"""The one door between values and views.

Values call :func:`mimebundle` from ``_repr_mimebundle_``; whoever knows how to draw a type registers
a function for it with ``mimebundle.register(Type)``. Without one, a value shows its ``repr``;
:func:`plain` is for those whose ``str`` is made to be read.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any


@singledispatch
def mimebundle(value: object) -> dict[str, Any]:
    """The display bundle of ``value``: MIME type to data. The fallback is plain text, its ``repr``."""
    return {"text/plain": repr(value)}


def plain(value: object) -> dict[str, Any]:
    """A display bundle of plain text, the value's ``str``."""
    return {"text/plain": str(value)}
