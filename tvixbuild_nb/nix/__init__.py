"""nix: Nix's formats and what becomes of a derivation.

``base32``, ``hashes`` and ``storepath`` are the values everything else is made of.
"""

from tvixbuild_nb.nix.hashes import HashAlgorithm, HashEncoding, NixHash, compress_hash
from tvixbuild_nb.nix.storepath import ContentMethod, StoreDir, StorePath

__all__ = [
    "ContentMethod",
    "HashAlgorithm",
    "HashEncoding",
    "NixHash",
    "StoreDir",
    "StorePath",
    "compress_hash",
]
