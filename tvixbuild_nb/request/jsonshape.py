"""The shape of a request's protobuf-JSON: is every value of its field's kind? Said in plain words, with its place.

protobuf's own reader comes after this: its texts are about its types, do not reliably say where, and it takes
some things in silence (letters in base64 that are none, a field under both its names).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.request.model import unknown_field

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_DIGITS = re.compile(r"[0-9]{1,20}")
_SHOWN = 40
_UINT64 = 1 << 64


def check_shape(value: Mapping[str, Any], descriptor: Any, path: str = "") -> None:
    """Refuse (:class:`InvalidRequest`) the first field that does not exist, stands twice or has a wrong kind of value.

    ``path`` of the error is made of the names as they stand in the JSON, camelCase or not; ``index`` is the
    position in the outermost list of single values.
    """
    known = _fields(descriptor)
    taken: dict[str, str] = {}
    for name, item in value.items():
        where = f"{path}.{name}" if path else str(name)
        field = known.get(name)
        if field is None:
            raise unknown_field(str(name), [each.name for each in descriptor.fields], InvalidRequest, path=where)
        if item is None:  # protobuf-JSON: as if it were left out
            continue
        slot = field.name if field.containing_oneof is None else field.containing_oneof.name
        if slot in taken:
            raise InvalidRequest(f"only one of {taken[slot]} and {name} may be given", path=where)
        taken[slot] = str(name)
        if field.is_repeated:
            _check_list(item, field, where)
        else:
            _check_one(item, field, where, None)


@cache
def _fields(descriptor: Any) -> dict[str, FieldDescriptor]:
    """The fields by both their names; a request may have thousands of messages, but of few kinds."""
    return {name: field for field in descriptor.fields for name in (field.name, field.json_name)}


def _check_list(value: object, field: FieldDescriptor, where: str) -> None:
    if not isinstance(value, list):
        hint = f"for one, write [{_short(value)}]" if isinstance(value, str) else None
        raise InvalidRequest(f"expected a list, got {_kind(value)}", path=where, hint=hint)
    for index, item in enumerate(value):
        _check_one(item, field, where, index)


def _check_one(value: object, field: FieldDescriptor, where: str, index: int | None) -> None:
    if field.message_type is not None:
        if isinstance(value, Mapping):
            check_shape(value, field.message_type, where if index is None else f"{where}[{index}]")
            return
        names = ", ".join(each.json_name for each in field.message_type.fields)
        expected = f"an object ({names})"
    elif field.type == FieldDescriptor.TYPE_STRING:
        expected = "text that is Unicode" if isinstance(value, str) else "text"
        if isinstance(value, str) and _is_unicode(value):
            return
    elif field.type == FieldDescriptor.TYPE_BYTES:
        expected = "bytes as base64 text"
        if isinstance(value, str) and _is_base64(value):
            return
    elif field.type == FieldDescriptor.TYPE_BOOL:
        expected = "true or false"
        if isinstance(value, bool):
            return
    else:
        expected = "a whole number from 0 to 2^64-1"
        if _is_uint64(value):
            return
    raise InvalidRequest(f"expected {expected}, got {_kind(value)}", path=where, index=index)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_base64(text: str) -> bool:
    # Both alphabets, with padding or without, as protobuf-JSON has it.
    return _BASE64.fullmatch(text) is not None and len(text.rstrip("=")) % 4 != 1


def _is_uint64(value: object) -> bool:
    if isinstance(value, str):
        return _DIGITS.fullmatch(value) is not None and int(value) < _UINT64
    if isinstance(value, float):
        return math.isfinite(value) and value.is_integer() and 0 <= value < _UINT64
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _UINT64


def _kind(value: object) -> str:
    """What a value is, in words; single values shown."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {_short(value)}"
        case int() | float():
            return f"the number {value!r:.{_SHOWN}}"
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
    return type(value).__name__


def _short(text: str) -> str:
    return json.dumps(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
