"""The .narinfo files of binary caches: one field a line, ``Name: value``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tvixbuild_nb.errors import InvalidNarInfo, InvalidNixData
from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.storepath import StoreDir, StorePath

# What a file without the field means, since the first binary caches had nothing else.
DEFAULT_COMPRESSION = "bzip2"
_UNKNOWN_DERIVER = "unknown-deriver"
_SEVERAL = "Sig"
_NEEDED = ("StorePath", "URL", "NarHash", "NarSize")
_KNOWN = frozenset({*_NEEDED, "Compression", "FileHash", "FileSize", "References", "Deriver", "System", "CA"})
_LINE = re.compile(r"[^\n]*\n")
_NUMBER = re.compile(r"[0-9]{1,20}")
_MAX_SIZE = 2**64 - 1

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class NarInfo:
    """A store path in a binary cache: ``url`` and compression of its NAR, and hash and bytes of that file."""

    info: PathInfo
    url: str
    compression: str = "none"
    file_hash: NixHash | None = None
    file_size: int | None = None
    system: str | None = None

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self, store: StoreDir | None = None) -> str:
        """The file, as Nix writes it."""
        store, info = store or StoreDir(), self.info
        lines = [("StorePath", store.join(info.path)), ("URL", self.url), ("Compression", self.compression)]
        if self.file_hash is not None:
            lines.append(("FileHash", str(self.file_hash)))
        if self.file_size is not None:
            lines.append(("FileSize", str(self.file_size)))
        lines += [
            ("NarHash", str(info.nar_hash)),
            ("NarSize", str(info.nar_size)),
            ("References", " ".join(map(str, info.references))),
        ]
        if info.deriver is not None:
            lines.append(("Deriver", str(info.deriver)))
        if self.system is not None:
            lines.append(("System", self.system))
        lines += [("Sig", signature) for signature in info.signatures]
        if info.ca is not None:
            lines.append(("CA", info.ca))
        return "".join(f"{name}: {value}\n" for name, value in lines)


def parse_narinfo(data: bytes | str, store: StoreDir | None = None, *, path: str | None = None) -> NarInfo:
    """Read a .narinfo; :class:`InvalidNarInfo` with the line for what Nix would not take.

    ``path`` is what errors call the file.  Fields nobody knows are passed over, as Nix does; of known ones only a
    ``Sig`` may come more than once.
    """
    fields = _Fields(data, path)
    store = store or StoreDir()
    for name in _NEEDED:
        fields.need(name)
    own = fields.read("StorePath", store.parse)
    assert own is not None
    info = PathInfo(
        own,
        fields.must("NarHash", _sha256),
        fields.must("NarSize", _size),
        fields.read("References", lambda text: tuple(map(StorePath.parse, text.split()))) or (),
        fields.read("Deriver", lambda text: None if text == _UNKNOWN_DERIVER else StorePath.parse(text)),
        tuple(fields.several),
        fields.read("CA", _text) if fields.value("CA") else None,
    )
    return NarInfo(
        info,
        fields.must("URL", _text),
        fields.read("Compression", _text) or DEFAULT_COMPRESSION,
        fields.read("FileHash", NixHash.parse),
        fields.read("FileSize", _size),
        fields.read("System", _text),
    )


class _Fields:
    """The lines of a file by their names."""

    def __init__(self, data: bytes | str, path: str | None) -> None:
        self._path = path
        self._known: dict[str, tuple[int, str]] = {}
        self.several: list[str] = []
        try:
            text = data if isinstance(data, str) else data.decode()
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise InvalidNarInfo("bytes that are not UTF-8", path=path, index=line) from error
        if text and not text.endswith("\n"):
            raise InvalidNarInfo("the last line does not end", path=path, index=text.count("\n") + 1)
        for number, found in enumerate(_LINE.finditer(text), 1):
            name, colon, value = found[0][:-1].partition(":")
            if not colon or not name or name != name.strip():
                raise InvalidNarInfo("no field: a name, a colon, a space and a value", path=path, index=number)
            self._take(number, name, value.removeprefix(" "))

    def _take(self, number: int, name: str, value: str) -> None:
        if name == _SEVERAL:
            self.several.append(value)
        elif name not in _KNOWN:
            return
        elif name in self._known:
            raise InvalidNarInfo(f"{name} occurs twice", path=self._path, index=number)
        else:
            self._known[name] = (number, value)

    def value(self, name: str) -> str | None:
        found = self._known.get(name)
        return None if found is None else found[1]

    def need(self, name: str) -> None:
        if not self.value(name):
            index = self._known[name][0] if name in self._known else None
            raise InvalidNarInfo(f"{name} is missing", path=self._path, index=index)

    def read(self, name: str, parse: Callable[[str], _T]) -> _T | None:
        """The field as ``parse`` understands it; None when it is not there."""
        found = self._known.get(name)
        return None if found is None else self._parsed(name, *found, parse)

    def must(self, name: str, parse: Callable[[str], _T]) -> _T:
        return self._parsed(name, *self._known[name], parse)

    def _parsed(self, name: str, number: int, value: str, parse: Callable[[str], _T]) -> _T:
        try:
            return parse(value)
        except InvalidNixData as error:
            raise InvalidNarInfo(f"{name}: {error.message}", path=self._path, index=number, hint=error.hint) from error


def _text(value: str) -> str:
    if not value or not value.isprintable() or " " in value:
        raise InvalidNixData(f"not one word: {value[:100]!r}")
    return value


def _sha256(value: str) -> NixHash:
    found = NixHash.parse(value)
    if found.algorithm != "sha256":
        raise InvalidNixData(f"{found.algorithm} where sha256 is wanted")
    return found


def _size(value: str) -> int:
    if not _NUMBER.fullmatch(value) or int(value) > _MAX_SIZE:
        raise InvalidNixData(f"not a number of bytes: {value[:100]!r}")
    return int(value)
