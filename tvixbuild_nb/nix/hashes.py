"""Hashes as Nix writes them: base 16, nixbase32, base 64, behind ``algorithm:`` or as SRI (``algorithm-base64``)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Literal, Self, get_args

from tvixbuild_nb.errors import InvalidNixHash
from tvixbuild_nb.nix import base32

HashAlgorithm = Literal["md5", "sha1", "sha256", "sha512"]
HashEncoding = Literal["base16", "nixbase32", "base64"]
ALGORITHMS: dict[str, HashAlgorithm] = {name: name for name in get_args(HashAlgorithm)}
_SIZES: dict[HashAlgorithm, int] = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}
_FIELD = "hash"
_SHOWN = 250


@dataclass(frozen=True, slots=True)
class NixHash:
    """A digest and the algorithm it comes from; an instance is a proof that the length is the algorithm's.

    :class:`InvalidNixHash` for anything else. ``str()`` is Nix's own form in databases and narinfo files,
    ``algorithm:`` and nixbase32.
    """

    algorithm: HashAlgorithm
    digest: bytes

    def __post_init__(self) -> None:
        size = _SIZES[algorithm_named(self.algorithm)]
        if len(self.digest) != size:
            raise InvalidNixHash(f"{self.algorithm} has {size} bytes, not {len(self.digest)}", path=_FIELD)

    @classmethod
    def of(cls, algorithm: HashAlgorithm, data: bytes | bytearray | memoryview) -> Self:
        """The hash of ``data``."""
        return cls(algorithm, hashlib.new(algorithm_named(algorithm), data, usedforsecurity=False).digest())

    @classmethod
    def parse(cls, text: str, algorithm: HashAlgorithm | None = None) -> Self:
        """Read ``algorithm:digits``, SRI, or bare digits of the given ``algorithm``; the length tells the encoding.

        Hex digits may be of either case, the padding of an SRI's base 64 may be missing and its bits beyond the last
        byte are not looked at: all as Nix reads them. A prefix that is not ``algorithm`` is refused.
        """
        prefix, separator, digits = text.partition("-")
        sri = bool(separator)
        if not sri:
            prefix, separator, digits = text.partition(":")
        if not separator:
            prefix, digits = "", text
        if algorithm is None and not separator:
            raise InvalidNixHash(
                f"{quoted(text)} does not say its algorithm", path=_FIELD, hint="write sha256:... or sha256-..."
            )
        found = algorithm if not separator else algorithm_named(prefix)
        if found is None or (algorithm is not None and found != algorithm):
            raise InvalidNixHash(f"{quoted(text)} is no hash of {algorithm}", path=_FIELD)
        return cls(found, _decode_sri(digits, found) if sri else _decode(digits, found))

    @property
    def base16(self) -> str:
        """The digest in lower-case hex."""
        return self.digest.hex()

    @property
    def nixbase32(self) -> str:
        """The digest in Nix's base 32."""
        return base32.encode(self.digest)

    @property
    def base64(self) -> str:
        """The digest in base 64, padded."""
        return base64.b64encode(self.digest).decode()

    @property
    def sri(self) -> str:
        """``algorithm-base64``, as the web and Nix's expressions write it."""
        return f"{self.algorithm}-{self.base64}"

    def prefixed(self, encoding: HashEncoding = "base16") -> str:
        """``algorithm:digits``."""
        digits: str = getattr(self, encoding)
        return f"{self.algorithm}:{digits}"

    def __str__(self) -> str:
        return self.prefixed("nixbase32")

    def __repr__(self) -> str:
        return f"NixHash({self})"


def algorithm_named(name: str) -> HashAlgorithm:
    """The algorithm of that name; :class:`InvalidNixHash` for one that Nix 2.8 does not know."""
    found = ALGORITHMS.get(name)
    if found is None:
        known = ", ".join(ALGORITHMS)
        raise InvalidNixHash(f"unknown hash algorithm {quoted(name)}", path=_FIELD, hint=f"known algorithms: {known}")
    return found


def compress_hash(digest: bytes, size: int) -> bytes:
    """``digest`` folded to ``size`` bytes by XOR: byte i of it goes into byte i modulo ``size``."""
    folded = 0
    for start in range(0, len(digest), size):
        folded ^= int.from_bytes(digest[start : start + size], "little")
    return folded.to_bytes(size, "little")


def _decode(digits: str, algorithm: HashAlgorithm) -> bytes:
    size = _SIZES[algorithm]
    try:
        if len(digits) == 2 * size:
            return binascii.unhexlify(digits)
        if len(digits) == base32.encoded_length(size):
            return base32.decode(digits)
        if len(digits) == _base64_length(size):
            return base64.b64decode(digits, validate=True)
    except ValueError as error:
        raise InvalidNixHash(f"{quoted(digits)} is no {algorithm}: {_reason(error)}", path=_FIELD) from error
    lengths = f"{2 * size} in base 16, {base32.encoded_length(size)} in nixbase32, {_base64_length(size)} in base 64"
    raise InvalidNixHash(
        f"{quoted(digits)} has the wrong length for {algorithm}", path=_FIELD, hint=f"digits needed: {lengths}"
    )


def _decode_sri(digits: str, algorithm: HashAlgorithm) -> bytes:
    size = _SIZES[algorithm]
    bare = digits.rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    if len(padded) != _base64_length(size) or len(digits) > len(padded):
        raise InvalidNixHash(f"{quoted(digits)} has the wrong length for {algorithm} in base 64", path=_FIELD)
    try:
        return base64.b64decode(padded, validate=True)
    except ValueError as error:
        raise InvalidNixHash(f"{quoted(digits)} is no base 64", path=_FIELD) from error


def _base64_length(size: int) -> int:
    return (size + 2) // 3 * 4


def _reason(error: ValueError) -> str:
    return error.message if isinstance(error, InvalidNixHash) else str(error)


def quoted(text: str) -> str:
    """``text`` for an error message: in quotes, its end left away when it is long."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."
