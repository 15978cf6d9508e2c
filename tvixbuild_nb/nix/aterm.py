"""The text of a .drv file, an ATerm, byte for byte as Nix writes it.

``Derive([outputs],[input derivations],[input sources],system,builder,[args],[environment])``; strings in quotes. Only
builder, args and environment have escapes (``\\" \\\\ \\n \\r \\t``): Nix puts the others as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from tvixbuild_nb.errors import InvalidDerivation, InvalidNixHash, InvalidStorePath
from tvixbuild_nb.nix.derivation import (
    Deferred,
    Derivation,
    Fixed,
    Floating,
    Impure,
    InputAddressed,
    Output,
    name_in,
)
from tvixbuild_nb.nix.hashes import NixHash, algorithm_named
from tvixbuild_nb.nix.storepath import NIX_STORE, StoreDir, StorePath, check_name, parse_method

_IMPURE = "impure"
# Besides backslash and carriage return, which come first in writing and last in reading.
_ESCAPES = ((b'"', b'\\"'), (b"\n", b"\\n"), (b"\t", b"\\t"))
_SWAPPED = bytes.maketrans(b"\r\\", b"\\\r")
_TO_ESCAPE = re.compile(rb'["\\\n\r\t]')
# Possessive, so that a string of any length is matched in constant memory.
_STRING_CONTENT = re.compile(rb'[^"\\\n\r\t]*+(?:\\["\\nrt][^"\\\n\r\t]*+)*+')
_STRING = re.compile(rb'"(%b)"' % _STRING_CONTENT.pattern)
_PLAIN = re.compile(rb'"([^"\\]*+)"')
_PLAIN_END = re.compile(rb'["\\]')
_SHOWN = 24


class _Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


K = TypeVar("K", bound=_Ordered)
V = TypeVar("V")
T = TypeVar("T")


def write_aterm(
    derivation: Derivation,
    *,
    mask_outputs: bool = False,
    inputs: Mapping[str, Iterable[str]] | None = None,
) -> bytes:
    """The bytes of the .drv file.

    For hashing modulo: ``mask_outputs`` leaves the outputs' own paths empty, also in the variables of their names;
    ``inputs`` stands for the input derivations.
    """
    join = derivation.store_dir.join
    if inputs is None:
        inputs = {join(path): names for path, names in derivation.input_derivations.items()}
    outputs = (
        (name, *_output_fields(output, "" if mask_outputs or output.path is None else join(output.path)))
        for name, output in derivation.outputs.items()
    )
    masked = {name.encode() for name in derivation.outputs} if mask_outputs else frozenset[bytes]()
    env = (
        b"(%b,%b)" % (_quoted(key), b'""' if key in masked else _quoted(value)) for key, value in derivation.env.items()
    )
    parts = (
        _list(b"(%b)" % b",".join(map(_plain, fields)) for fields in outputs),
        _list(b"(%b,%b)" % (_plain(path), _list(map(_plain, sorted(inputs[path])))) for path in sorted(inputs)),
        _list(_plain(join(path)) for path in derivation.input_sources),
        b'"%b"' % derivation.system,
        _quoted(derivation.builder),
        _list(map(_quoted, derivation.args)),
        _list(env),
    )
    return b"Derive(%b)" % b",".join(parts)


def _output_fields(output: Output, path: str) -> tuple[str, str, str]:
    match output:
        case Fixed():
            return path, output.hash_algorithm, output.hash.base16
        case Floating():
            return path, output.hash_algorithm, ""
        case Impure():
            return path, output.hash_algorithm, _IMPURE
        case InputAddressed() | Deferred():
            return path, "", ""


def _list(items: Iterable[bytes]) -> bytes:
    return b"[%b]" % b",".join(items)


def _plain(text: str) -> bytes:
    return b'"%b"' % text.encode()


def _quoted(data: bytes) -> bytes:
    if _TO_ESCAPE.search(data):
        data = data.replace(b"\\", b"\\\\").replace(b"\r", b"\\r")
        for plain, escaped in _ESCAPES:
            data = data.replace(plain, escaped)
    return b'"%b"' % data


def _unquoted(data: bytes) -> bytes:
    # A carriage return, which cannot stand here as it is, marks a backslash while the others are read, and the other
    # way round; where two backslashes stand side by side, the first one can only be the beginning of an escape.
    data = data.replace(b"\\\\", b"\r")
    for plain, escaped in _ESCAPES:
        data = data.replace(escaped, plain)
    return data.replace(b"\\r", b"\\").translate(_SWAPPED)


def parse_aterm(
    data: bytes, name: str | None = None, *, store_dir: StoreDir = NIX_STORE, source: str = "derivation"
) -> Derivation:
    """Read what :func:`write_aterm` writes, and nothing else: writing it again gives the same bytes.

    Parameters: ``name``, the derivation's, which is not in the text (None: what its environment says); ``source``,
    for error messages. :class:`InvalidDerivation` with the offset in bytes. Takes memory in proportion to ``data``.
    """
    reader = _Reader(data, store_dir, source)
    try:
        return reader.derivation(name)
    except InvalidDerivation as error:
        if error.path == source:
            raise
        # A rule about the whole, which no offset can tell.
        field = "" if error.path is None else f"{error.path}: "
        raise InvalidDerivation(f"{field}{error.message}", path=source, hint=error.hint) from error


class _Reader:
    """A position in the text; every method reads one thing from there on, or raises with the offset."""

    def __init__(self, data: bytes, store_dir: StoreDir, source: str) -> None:
        self._data = data
        self._store_dir = store_dir
        self._source = source
        self._position = 0

    def derivation(self, name: str | None) -> Derivation:
        if self._data.startswith(b"DrvWithVersion("):
            raise self._error(
                "dynamic derivations (DrvWithVersion) are not supported", 0, hint="Nix 2.8 does not know them either"
            )
        self._expect(b"Derive(")
        outputs = dict(self._sorted(self._output, "outputs"))
        self._expect(b",")
        input_derivations = dict(self._sorted(self._input_derivation, "input derivations"))
        self._expect(b",")
        input_sources = tuple(path for path, _ in self._sorted(self._input_source, "input sources"))
        self._expect(b",")
        system = self._plain()
        self._expect(b",")
        builder = self._string()
        self._expect(b",")
        args = tuple(self._string() for _ in self._items())
        self._expect(b",")
        env = dict(self._sorted(self._variable, "environment"))
        self._expect(b")")
        if self._position < len(self._data):
            raise self._error("something follows the derivation", self._position)
        return Derivation(
            name=name_in(env) if name is None else name,
            outputs=outputs,
            system=system,
            builder=builder,
            args=args,
            env=env,
            input_derivations=input_derivations,
            input_sources=input_sources,
            store_dir=self._store_dir,
        )

    def _output(self) -> tuple[str, Output]:
        self._expect(b"(")
        start = self._position
        name = self._name()
        self._expect(b",")
        path_at = self._position
        path = self._optional_path()
        self._expect(b",")
        algorithm_at = self._position
        algorithm = self._ascii()
        self._expect(b",")
        hash_at = self._position
        digits = self._ascii()
        self._expect(b")")
        if not algorithm:
            if digits:
                raise self._error(f"output {name} has a hash but no algorithm", hash_at)
            return name, Deferred() if path is None else InputAddressed(path)
        method, algorithm = parse_method(algorithm)
        known = self._checked(algorithm_named, algorithm, algorithm_at)
        if not digits or digits == _IMPURE:
            if path is not None:
                raise self._error(f"output {name} has a path, which only its contents can tell", path_at)
            return name, (Impure if digits else Floating)(known, method)
        if path is None:
            raise self._error(f"output {name} has a hash but no path", start)
        value = self._checked(lambda text: NixHash.parse(text, known), digits, hash_at)
        if value.base16 != digits:
            raise self._error("the hash is not in base 16, in lower case", hash_at)
        return name, Fixed(path, value, method)

    def _input_derivation(self) -> tuple[StorePath, tuple[str, ...]]:
        self._expect(b"(")
        path = self._path()
        self._expect(b",")
        names = tuple(name for name, _ in self._sorted(lambda: (self._name(), None), "outputs of an input"))
        self._expect(b")")
        return path, names

    def _input_source(self) -> tuple[StorePath, None]:
        return self._path(), None

    def _variable(self) -> tuple[bytes, bytes]:
        self._expect(b"(")
        key = self._string()
        self._expect(b",")
        value = self._string()
        self._expect(b")")
        return key, value

    def _sorted(self, read: Callable[[], tuple[K, V]], what: str) -> Iterator[tuple[K, V]]:
        """The items of a list whose keys must rise."""
        last: K | None = None
        for start in self._items():
            key, value = read()
            if last is not None and not last < key:
                problem = "twice the same" if last == key else "out of order"
                raise self._error(f"{what}: {problem}", start)
            last = key
            yield key, value

    def _items(self) -> Iterator[int]:
        """The offsets of the items of a list; who iterates reads each item."""
        self._expect(b"[")
        if self._skip(b"]"):
            return
        while True:
            yield self._position
            if self._skip(b"]"):
                return
            self._expect(b",")

    def _path(self) -> StorePath:
        start = self._position + 1
        return self._checked(self._store_dir.parse, self._ascii(), start)

    def _optional_path(self) -> StorePath | None:
        return None if self._skip(b'""') else self._path()

    def _plain(self) -> bytes:
        found = _PLAIN.match(self._data, self._position)
        if found is None:
            self._expect(b'"')
            end = _PLAIN_END.search(self._data, self._position)
            if end is None:
                raise self._error("the string does not end", self._position - 1)
            raise self._error("Nix writes no escape in this string", end.start())
        self._position = found.end()
        return found[1]

    def _ascii(self) -> str:
        start = self._position + 1
        data = self._plain()
        try:
            return data.decode("ascii")
        except UnicodeDecodeError as error:
            raise self._error("Nix writes ASCII here", start + error.start) from error

    def _name(self) -> str:
        start = self._position + 1
        return self._checked(check_name, self._ascii(), start)

    def _checked(self, parse: Callable[[str], T], text: str, start: int) -> T:
        try:
            return parse(text)
        except (InvalidStorePath, InvalidNixHash) as error:
            raise self._error(error.message, start + (error.index or 0), hint=error.hint) from error

    def _string(self) -> bytes:
        found = _STRING.match(self._data, self._position)
        if found is None:
            raise self._bad_string()
        self._position = found.end()
        content = found[1]
        return _unquoted(content) if b"\\" in content else content

    def _bad_string(self) -> InvalidDerivation:
        start = self._position
        self._expect(b'"')
        found = _STRING_CONTENT.match(self._data, self._position)
        end = self._position if found is None else found.end()
        if end == len(self._data):
            return self._error("the string does not end", start)
        what = "an escape" if self._data[end : end + 1] == b"\\" else "a character"
        return self._error(f"Nix does not write {what} like this in a string: {self._here(end)}", end)

    def _expect(self, token: bytes) -> None:
        if not self._skip(token):
            raise self._error(f"expected {ascii(token)[1:]}, found {self._here(self._position)}", self._position)

    def _skip(self, token: bytes) -> bool:
        found = self._data.startswith(token, self._position)
        if found:
            self._position += len(token)
        return found

    def _here(self, position: int) -> str:
        found = self._data[position : position + _SHOWN]
        return ascii(found)[1:] if found else "the end"

    def _error(self, message: str, offset: int, hint: str | None = None) -> InvalidDerivation:
        return InvalidDerivation(message, path=self._source, index=offset, hint=hint)
