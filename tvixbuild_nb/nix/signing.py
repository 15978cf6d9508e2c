"""Signatures of store paths: Ed25519 with named keys, in the forms that Nix keeps them.

A public key is ``name:`` and 32 bytes in base 64, a signature the same with 64 bytes; a secret key has 64 as well, the
seed and the public key.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tvixbuild_nb.errors import InvalidNarInfo, Untrusted
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.storepath import StoreDir

CACHE_NIXOS_ORG: Final = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
_NAMED = re.compile(r"([^:\s]+):([A-Za-z0-9+/]+={0,2})")
_PUBLIC_BYTES, _SECRET_BYTES, _SIGNATURE_BYTES = 32, 64, 64


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with."""

    name: str
    data: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read ``name:base64``; :class:`InvalidNarInfo` otherwise."""
        return cls(*_named(text, _PUBLIC_BYTES, "a public key"))

    def verifies(self, fingerprint: bytes, signature: str) -> bool:
        """Whether ``signature`` is this key's, and of ``fingerprint``; one that is no signature is nobody's."""
        try:
            name, data = _named(signature, _SIGNATURE_BYTES, "a signature")
            if name != self.name:
                return False
            Ed25519PublicKey.from_public_bytes(self.data).verify(data, fingerprint)
        except (InvalidNarInfo, InvalidSignature):
            return False
        return True

    def __str__(self) -> str:
        return f"{self.name}:{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key that signs; its ``repr`` does not show it."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> SecretKey:
        """Read what ``nix key generate-secret`` prints; :class:`InvalidNarInfo` otherwise, without the key in it."""
        name, data = _named(text, _SECRET_BYTES, "a secret key")
        key = cls(name, data[:_PUBLIC_BYTES])
        if key.public.data != data[_PUBLIC_BYTES:]:
            raise InvalidNarInfo("a secret key whose public half is another one's", path=name)
        return key

    @classmethod
    def generate(cls, name: str) -> SecretKey:
        """A new one."""
        if not _NAMED.fullmatch(f"{name}:AA=="):
            raise InvalidNarInfo(f"not a name of a key: {name!r}", path="name")
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def public(self) -> PublicKey:
        """The key that checks what this one signs."""
        return PublicKey(self.name, self._key.public_key().public_bytes_raw())

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def sign(self, fingerprint: bytes) -> str:
        """The signature, ``name:base64``."""
        return f"{self.name}:{base64.b64encode(self._key.sign(fingerprint)).decode()}"

    def reveal(self) -> str:
        """The key itself, as :meth:`parse` reads it."""
        return f"{self.name}:{base64.b64encode(self.seed + self.public.data).decode()}"


def signed(info: PathInfo, store: StoreDir, key: SecretKey) -> PathInfo:
    """``info`` with one more signature, unless it is there already."""
    signature = key.sign(info.fingerprint(store))
    return info if signature in info.signatures else replace(info, signatures=(*info.signatures, signature))


def check_signed(info: PathInfo, store: StoreDir, keys: Iterable[PublicKey], *, path: str | None = None) -> None:
    """Raise :class:`Untrusted` unless one of ``keys`` has signed ``info``, or its path proves its contents."""
    fingerprint = info.fingerprint(store)
    keys = tuple(keys)
    if any(key.verifies(fingerprint, signature) for key in keys for signature in info.signatures):
        return
    if info.proves_itself(store):
        return
    signers = sorted({signature.partition(":")[0] for signature in info.signatures})
    trusted = {key.name for key in keys}
    if not signers:
        message = f"{info.path} is not signed"
    elif forged := [name for name in signers if name in trusted]:
        message = f"{info.path} has a signature named {', '.join(forged)} that this trusted key did not make"
    else:
        message = f"{info.path} is signed by {', '.join(signers)}, which is not trusted"
    wanted = ", ".join(sorted(trusted)) or "none"
    raise Untrusted(
        message, path=path, hint=f"trusted keys: {wanted}; name the public key of who signed it, if you do trust"
    )


def _named(text: str, size: int, what: str) -> tuple[str, bytes]:
    found = _NAMED.fullmatch(text.strip())
    try:
        data = base64.b64decode(found[2], validate=True) if found else b""
    except ValueError:
        data = b""
    if found is None or len(data) != size:
        # Nothing of the text is shown: it may be a secret.
        raise InvalidNarInfo(f"not {what}", hint=f"a name, a colon, and {size} bytes in base 64")
    return found[1], data
