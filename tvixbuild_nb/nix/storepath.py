"""Store paths: 20 bytes of hash and a name below a store directory, and how Nix computes them.

How the fingerprints are put together is told in Nix's manual, "Complete Store Path Calculation".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Self, get_args

from tvixbuild_nb.errors import InvalidNixHash, InvalidStorePath
from tvixbuild_nb.nix import base32
from tvixbuild_nb.nix.hashes import NixHash, compress_hash, quoted

HASH_SIZE = 20
HASH_DIGITS = 32
MAX_NAME = 211
# What of a file-system object is hashed: a file's contents; its NAR; its contents, which may refer to other paths.
ContentMethod = Literal["flat", "nar", "text"]
_PREFIXES: dict[ContentMethod, str] = {"flat": "", "nar": "r:", "text": "text:"}
_NAME = re.compile(r"[0-9a-zA-Z+\-._?=]+")
# Nix 2.8 takes them; later ones do not, since they would be or begin like the entries . and .. of a directory.
_DOTS = re.compile(r"\.\.?(-|$)")


def check_name(name: str) -> str:
    """``name`` when it can stand in a store path, else :class:`InvalidStorePath` with the offset of what cannot.

    1 to 211 letters, digits and ``+-._?=``, neither ``.`` nor ``..`` nor one of these before a ``-``.
    """
    if not name:
        raise InvalidStorePath("a name in the store is not empty", path="name")
    found = _NAME.match(name)
    end = found.end() if found else 0
    if end < len(name):
        raise InvalidStorePath(f"a name in the store holds no {name[end]!a}: {quoted(name)}", path="name", index=end)
    if len(name) > MAX_NAME:
        raise InvalidStorePath(
            f"a name in the store has at most {MAX_NAME} characters, not {len(name)}: {quoted(name)}", path="name"
        )
    if _DOTS.match(name):
        raise InvalidStorePath(f"a name in the store does not begin like . or ..: {quoted(name)}", path="name")
    return name


@dataclass(frozen=True, slots=True, order=True)
class StorePath:
    """The last component of a path in the store, ``<hash part>-<name>``; ordered as its text, as Nix orders paths.

    Parameters: ``digest``, 20 bytes; ``name``, see :func:`check_name`. ``str()`` is ``basename``;
    the absolute path is a :class:`StoreDir`'s business.
    """

    digest: bytes = field(compare=False)
    name: str = field(compare=False)
    basename: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.digest) != HASH_SIZE:
            raise InvalidStorePath(f"a store path's hash has {HASH_SIZE} bytes, not {len(self.digest)}", path="digest")
        object.__setattr__(self, "basename", f"{base32.encode(self.digest)}-{check_name(self.name)}")

    @classmethod
    def parse(cls, basename: str) -> Self:
        """Read ``<32 digits of nixbase32>-<name>``, nothing before it and nothing behind it."""
        digits, dash, name = (
            basename[:HASH_DIGITS],
            basename[HASH_DIGITS : HASH_DIGITS + 1],
            basename[HASH_DIGITS + 1 :],
        )
        if len(digits) < HASH_DIGITS or dash != "-":
            raise InvalidStorePath(
                f"not a store path: {quoted(basename)}", path="path", hint=f"{HASH_DIGITS} digits, -, and a name"
            )
        try:
            return cls._checked(base32.decode(digits), check_name(name), basename)
        except InvalidNixHash as error:
            raise InvalidStorePath(
                f"not a store path: {quoted(basename)}: {error.message}", path="path", index=error.index
            ) from error
        except InvalidStorePath as error:
            offset = None if error.index is None else HASH_DIGITS + 1 + error.index
            raise InvalidStorePath(f"not a store path: {error.message}", path="path", index=offset) from error

    @classmethod
    def _checked(cls, digest: bytes, name: str, basename: str) -> Self:
        # What was read need not be written again to know its text: closures are read by the ten thousand references.
        path = object.__new__(cls)
        for field_name, value in (("digest", digest), ("name", name), ("basename", basename)):
            object.__setattr__(path, field_name, value)
        return path

    @property
    def hash_part(self) -> str:
        """The 32 digits: what a reference scan looks for."""
        return self.basename[:HASH_DIGITS]

    @property
    def is_derivation(self) -> bool:
        """Whether the name says that a derivation is stored here."""
        return self.name.endswith(".drv")

    def __str__(self) -> str:
        return self.basename


@dataclass(frozen=True, slots=True)
class StoreDir:
    """The directory that store paths lie in; part of every hash, hence of every path computed here.

    ``path`` is absolute and clean (:class:`InvalidStorePath` otherwise); Nix's own is ``/nix/store``.
    """

    path: str = "/nix/store"

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or posixpath.normpath(self.path) != self.path or self.path in ("/", "//"):
            raise InvalidStorePath(f"not a store directory: {quoted(self.path)}", path="store directory")

    def join(self, path: StorePath) -> str:
        """The absolute path."""
        return f"{self.path}/{path.basename}"

    def parse(self, text: str) -> StorePath:
        """Read the absolute path of an object of the store, not of something in it."""
        before = f"{self.path}/"
        if not text.startswith(before):
            raise InvalidStorePath(f"not below {self.path}: {quoted(text)}", path="path")
        try:
            return StorePath.parse(text[len(before) :])
        except InvalidStorePath as error:
            if error.index is not None:
                error.index += len(before)
            raise

    def split(self, text: str) -> tuple[StorePath, str]:
        """The object of the store that an absolute path leads into, and the rest of the path, not beginning with /."""
        top = f"{self.path}/"
        end = text.find("/", len(top))
        return (self.parse(text), "") if end < 0 else (self.parse(text[:end]), text[end + 1 :])

    def make_path(self, kind: str, inner: NixHash, name: str) -> StorePath:
        """The path whose fingerprint is ``kind:inner:directory:name``; ``inner`` is written in base 16."""
        fingerprint = f"{kind}:{inner.prefixed('base16')}:{self.path}:{check_name(name)}"
        return StorePath(compress_hash(NixHash.of("sha256", fingerprint.encode()).digest, HASH_SIZE), name)

    def text_path(self, name: str, contents: bytes, references: Iterable[StorePath] = ()) -> StorePath:
        """Where ``builtins.toFile`` and derivations land: by their contents and what they refer to."""
        return self.make_path(self._kind("text", references), NixHash.of("sha256", contents), name)

    def output_path(self, derivation: str, output: str, inner: NixHash) -> StorePath:
        """An input-addressed output's path; ``inner`` is the derivation's hash modulo, ``derivation`` its name."""
        return self.make_path(f"output:{output}", inner, output_name(derivation, output))

    def fixed_output_path(
        self,
        name: str,
        method: ContentMethod,
        content: NixHash,
        references: Iterable[StorePath] = (),
        *,
        refers_to_itself: bool = False,
    ) -> StorePath:
        """The path of something known by its own hash: a fixed output, a source, a content-addressed output.

        ``content`` is the hash that ``method`` gives. Only a SHA-256 of a NAR, or of a text (which must not refer to
        itself), can have references: :class:`InvalidStorePath` otherwise.
        """
        references = tuple(references)
        sha256 = content.algorithm == "sha256"
        if method == "nar" and sha256:
            return self.make_path(self._kind("source", references, refers_to_itself), content, name)
        if method == "text":
            if not sha256 or refers_to_itself:
                raise InvalidStorePath("a text is known by its SHA-256, and cannot refer to itself", path="method")
            return self.make_path(self._kind("text", references), content, name)
        if references or refers_to_itself:
            raise InvalidStorePath(
                "only what is known by the SHA-256 of its NAR can have references", path="references"
            )
        fixed = f"fixed:out:{method_prefix(method)}{content.prefixed('base16')}:"
        return self.make_path("output:out", NixHash.of("sha256", fixed.encode()), name)

    def _kind(self, kind: str, references: Iterable[StorePath], refers_to_itself: bool = False) -> str:
        return ":".join([kind, *map(self.join, sorted(set(references))), *(["self"] if refers_to_itself else [])])

    def __str__(self) -> str:
        return self.path


NIX_STORE = StoreDir()


def output_name(derivation: str, output: str) -> str:
    """The name in the store of a derivation's output: the derivation's, and the output's unless it is ``out``."""
    return derivation if output == "out" else f"{derivation}-{output}"


def method_prefix(method: ContentMethod) -> str:
    """What stands before the algorithm in derivations and fingerprints: nothing, ``r:`` or ``text:``."""
    return _PREFIXES[method]


def parse_method(text: str) -> tuple[ContentMethod, str]:
    """Split ``r:sha256`` and the like into the method and what follows its prefix."""
    for method in get_args(ContentMethod):
        prefix = _PREFIXES[method]
        if prefix and text.startswith(prefix):
            return method, text[len(prefix) :]
    return "flat", text
