"""Structured attributes as a builder finds them: .attrs.json and .attrs.sh, byte for byte as Nix 2.8 writes them."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from tvixbuild_nb.errors import InvalidDerivation

_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INT_MIN, _INT_MAX = -(1 << 31), (1 << 31) - 1
_SMALLEST_EXPONENT, _LARGEST_EXPONENT = -4, 15
_INTEGERS = range(-(1 << 63), 1 << 64)


def attributes_json(attributes: Mapping[str, Any]) -> bytes:
    """Compact JSON, keys sorted, numbers as Nix writes them; :class:`InvalidDerivation` for lone surrogates."""
    try:
        return _encoded("".join(_pieces(attributes)))
    except RecursionError:
        # Not every Python's own reader of JSON refuses what is nested so deeply.
        raise InvalidDerivation("structured attributes are nested too deeply", path="__json") from None


def attributes_shell(attributes: Mapping[str, Any]) -> bytes:
    """``declare`` lines for bash: of everything whose name is a variable's and whose value bash can hold."""
    lines = []
    for key, value in sorted(attributes.items()):
        if not _SHELL_NAME.fullmatch(key):
            continue
        simple = _simple(value)
        if simple is not None:
            lines.append(f"declare {key}={simple}\n")
        elif isinstance(value, list):
            items = [_simple(each) for each in value]
            if None not in items:
                lines.append(f"declare -a {key}=({''.join(f'{each} ' for each in items)})\n")
        elif isinstance(value, dict):
            members = [(name, _simple(each)) for name, each in sorted(value.items())]
            if all(each is not None for _, each in members):
                lines.append(f"declare -A {key}=({''.join(f'[{_quoted(name)}]={each} ' for name, each in members)})\n")
    return _encoded("".join(lines))


def _simple(value: Any) -> str | None:
    """A value that is one word of bash; None for what is not, a fraction too."""
    match value:
        case str():
            return _quoted(value)
        case bool():
            return "1" if value else ""
        case None:
            return "''"
        case int() | float():
            return _whole(value)
        case _:
            return None


def _whole(value: float) -> str | None:
    # Nix looks at the number as a 32-bit float, and writes it as a 32-bit integer.
    try:
        (seen,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        seen = math.inf
    if math.isfinite(seen) and math.ceil(seen) != seen:
        return None
    if isinstance(value, int) and value in _INTEGERS:
        return str((value - _INT_MIN) % (1 << 32) + _INT_MIN)
    cut = int(value)
    return str(cut if _INT_MIN <= cut <= _INT_MAX else _INT_MIN)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _pieces(value: Any) -> Iterable[str]:
    match value:
        case dict():
            comma = ""
            yield "{"
            for key, each in sorted(value.items()):
                yield f"{comma}{json.dumps(key, ensure_ascii=False)}:"
                yield from _pieces(each)
                comma = ","
            yield "}"
        case list():
            comma = ""
            yield "["
            for each in value:
                yield comma
                yield from _pieces(each)
                comma = ","
            yield "]"
        case bool() | None | str():
            yield json.dumps(value, ensure_ascii=False)
        case int() if value in _INTEGERS:
            yield str(value)
        case _:
            yield _float(float(value))


def _float(value: float) -> str:
    """The shortest digits that give the number again; with an exponent from 1e15 on, and below 1e-4."""
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    sign = "-" if value < 0 else ""
    digits, point = _shortest(abs(value))
    if len(digits) <= point <= _LARGEST_EXPONENT:
        return f"{sign}{digits}{'0' * (point - len(digits))}.0"
    if 0 < point <= _LARGEST_EXPONENT:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if _SMALLEST_EXPONENT < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{'-' if point < 1 else '+'}{abs(point - 1):02}"


def _shortest(value: float) -> tuple[str, int]:
    """The digits without zeros around them, and how many of them stand before the point (below 0: zeros after it)."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = f"{whole}{fraction}".lstrip("0")
    leading = len(whole) + len(fraction) - len(digits)
    return digits.rstrip("0"), len(whole) - leading + int(exponent or 0)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidDerivation("structured attributes hold half a surrogate pair", path="__json") from error
