"""The rules of a build request, one small function each; all raise InvalidRequest with field and index.

Paths, keys and arguments are text that UTF-8 can hold; ``field`` is the name shown in the error.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode, Node, SymlinkNode, check_name
from tvixbuild_nb.errors import InvalidNode, InvalidRequest
from tvixbuild_nb.request.sortedmap import by_bytes

T = TypeVar("T")
MAX_UINT64 = 2**64 - 1


def text(value: object, field: str, index: int | None = None) -> str:
    """``value`` as text: str, or a path; UTF-8 must hold it, and it has no NUL."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise InvalidRequest(f"expected text, got {_kind(value)}", path=field, index=index)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest(f"{value!r} cannot be written as UTF-8", path=field, index=index) from None
    if "\0" in value:
        raise InvalidRequest(f"{value!r} holds a NUL", path=field, index=index)
    return value


def items(value: object, field: str) -> Sequence[object]:
    """``value`` as a list of items; a single text is refused, since it would fall apart into letters."""
    if isinstance(value, (str, bytes, os.PathLike)):
        hint = f"write {field}=[{value!r}]"
        raise InvalidRequest(f"expected a list, got {_kind(value)}", path=field, hint=hint)
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise InvalidRequest(f"expected a list, got {_kind(value)}", path=field)
    return list(value)


def mapping(value: object, field: str) -> Mapping[object, object]:
    """``value`` as a mapping; pairs are accepted, so that a duplicate key is seen and refused."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise InvalidRequest(f"expected a mapping, got {_kind(value)}", path=field)
    found: dict[object, object] = {}
    for index, pair in enumerate(value):
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise InvalidRequest(f"expected a mapping or pairs, got {_kind(pair)}", path=field, index=index)
        if pair[0] in found:
            raise InvalidRequest(f"{pair[0]!r} occurs twice", path=field, index=index)
        found[pair[0]] = pair[1]
    return found


def relative_path(value: object, field: str, index: int | None = None, *, empty: bool = False) -> str:
    """A clean relative path: no leading, trailing or doubled slash, no ``.`` or ``..``."""
    path = text(value, field, index)
    if path == "":
        if empty:
            return path
        raise InvalidRequest("a path must not be empty", path=field, index=index)
    if path.startswith("/"):
        hint = f"paths are relative to the sandbox's root: {path.strip('/')!r}"
        raise InvalidRequest(f"{path!r} is not relative", path=field, index=index, hint=hint)
    _clean(path, path.split("/"), field, index)
    return path


def absolute_path(value: object, field: str, index: int | None = None) -> str:
    """A clean absolute path: as a relative one after its leading slash; ``/`` itself is clean."""
    path = text(value, field, index)
    if not path.startswith("/"):
        raise InvalidRequest(f"{path!r} is not absolute", path=field, index=index)
    if path != "/":
        _clean(path, path[1:].split("/"), field, index)
    return path


def _clean(path: str, parts: Sequence[str], field: str, index: int | None) -> None:
    for part in parts:
        if part in (".", ".."):
            raise InvalidRequest(f"{path!r} is not clean: it holds {part!r}", path=field, index=index)
        if part == "":
            raise InvalidRequest(f"{path!r} is not clean: a doubled or trailing slash", path=field, index=index)


def unique(values: Sequence[T], field: str) -> Sequence[T]:
    """``values``, refused when one of them occurs twice; the index is that of the second."""
    seen: set[T] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise InvalidRequest(f"{value!r} occurs twice", path=field, index=index)
        seen.add(value)
    return values


def in_order(values: Sequence[str], field: str) -> None:
    """Refuse a wire form whose list is not sorted by bytes, or holds something twice."""
    for index in range(1, len(values)):
        before, here = by_bytes(values[index - 1]), by_bytes(values[index])
        if before == here:
            raise InvalidRequest(f"{values[index]!r} occurs twice", path=field, index=index)
        if before > here:
            raise InvalidRequest(
                f"not sorted: {values[index]!r} comes after {values[index - 1]!r}",
                path=field,
                index=index,
                hint="the wire form is sorted by bytes; the Python constructor sorts for you",
            )


def environment_key(value: object, field: str, index: int) -> str:
    """A variable's name: not empty, without ``=`` and NUL."""
    key = text(value, field, index)
    if not key:
        raise InvalidRequest("a variable's name must not be empty", path=field, index=index)
    if "=" in key:
        raise InvalidRequest(f"the variable's name {key!r} holds a '='", path=field, index=index)
    return key


def environment_value(key: str, value: object, field: str, index: int) -> bytes:
    """A variable's value: text, a path, or UTF-8 bytes; without NUL."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        try:
            value = value.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequest(f"the value of {key!r} cannot be written as UTF-8", path=field, index=index) from None
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise InvalidRequest(
            f"the value of {key!r} must be text or bytes, got {_kind(value)}",
            path=field,
            index=index,
            hint=f"write str({value!r})" if isinstance(value, (int, float)) else None,
        )
    value = bytes(value)
    if b"\0" in value:
        raise InvalidRequest(f"the value of {key!r} holds a NUL", path=field, index=index)
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(f"the value of {key!r} is not UTF-8: {value!r}", path=field, index=index) from None
    return value


def contents(path: str, value: object, field: str, index: int) -> bytes:
    """The contents of an additional file: any bytes, or text to be written as UTF-8."""
    if isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequest(f"the text of {path!r} cannot be written as UTF-8", path=field, index=index) from None
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise InvalidRequest(
            f"the contents of {path!r} must be bytes or text, got {_kind(value)}", path=field, index=index
        )
    return bytes(value)


def input_name(value: object, field: str, index: int) -> str:
    """A name that can be a path component; bytes are accepted when they are UTF-8."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        raw = bytes(value)
        try:
            value = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidRequest(f"the name {raw!r} is not UTF-8", path=field, index=index) from None
    name = text(value, field, index)
    try:
        check_name(name.encode("utf-8"))
    except InvalidNode as error:
        raise InvalidRequest(error.message, path=field, index=index) from None
    return name


def node(name: str, value: object, field: str, index: int) -> Node:
    """A castore node."""
    if not isinstance(value, (FileNode, DirectoryNode, SymlinkNode)):
        raise InvalidRequest(
            f"input {name!r} must be a castore node, got {_kind(value)}",
            path=field,
            index=index,
            hint="ingest paths and bytes first; Sandbox.add_input does it for you",
        )
    return value


def uint64(value: object, field: str) -> int:
    """A number of bytes between 0 and 2^64-1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{repr(value)[:60]} is not a whole number of bytes", path=field)
    if not 0 <= value <= MAX_UINT64:
        raise InvalidRequest(f"expected a number between 0 and 2^64-1, got {value}", path=field)
    return value


def boolean(value: object, field: str) -> bool:
    """True or False, nothing that merely looks like it."""
    if not isinstance(value, bool):
        raise InvalidRequest(f"expected True or False, got {_kind(value)}", path=field)
    return value


def is_below(path: str, parent: str) -> bool:
    """Whether ``path`` lies strictly below ``parent``; everything lies below the empty path."""
    return path != parent and (parent == "" or path.startswith(parent + "/"))


def outputs_below_scratch(outputs: Sequence[str], scratch_paths: Sequence[str]) -> None:
    """Every output lies strictly below a scratch path."""
    for index, output in enumerate(outputs):
        if not any(is_below(output, scratch) for scratch in scratch_paths):
            known = ", ".join(map(repr, scratch_paths)) or "there is none"
            raise InvalidRequest(
                f"{output!r} does not lie below a scratch path",
                path="outputs",
                index=index,
                hint=f"only scratch paths are writable ({known}); add one that holds it",
            )


def outputs_not_inputs(outputs: Sequence[str], inputs_dir: str, names: Iterable[str]) -> None:
    """No output has an input's path."""
    taken = {join(inputs_dir, name) for name in names}
    for index, output in enumerate(outputs):
        if output in taken:
            raise InvalidRequest(f"{output!r} is an input's path", path="outputs", index=index)


def join(directory: str, name: str) -> str:
    """``directory/name``, where the empty directory is the root."""
    return f"{directory}/{name}" if directory else name


def _kind(value: object) -> str:
    return f"{type(value).__name__} ({value!r:.60})"
