"""What is known of a store path, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from tvixbuild_nb.errors import InvalidNixData
from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.storepath import StoreDir, StorePath, parse_method


@dataclass(frozen=True, slots=True)
class PathInfo:
    """A store path, the SHA-256 and size of its NAR in bytes, and what it refers to, sorted, perhaps itself too.

    ``signatures`` are ``key name:base64``, as Nix keeps them; ``ca`` says how a content-addressed path was computed.
    :class:`InvalidNixData` for another algorithm or a negative size.
    """

    path: StorePath
    nar_hash: NixHash
    nar_size: int
    references: tuple[StorePath, ...] = ()
    deriver: StorePath | None = None
    signatures: tuple[str, ...] = ()
    ca: str | None = None

    def __post_init__(self) -> None:
        if self.nar_hash.algorithm != "sha256":
            raise InvalidNixData(f"a NAR is known by its SHA-256, not by {self.nar_hash}", path="nar_hash")
        if self.nar_size < 0:
            raise InvalidNixData(f"a size is not negative: {self.nar_size}", path="nar_size")
        object.__setattr__(self, "references", tuple(sorted(set(self.references))))

    @property
    def others(self) -> tuple[StorePath, ...]:
        """The references without the path itself: what has to be there before it."""
        return tuple(path for path in self.references if path != self.path)

    def fingerprint(self, store: StoreDir) -> bytes:
        """What a signature signs: path, NAR hash and size, and the references, all with the store directory."""
        references = ",".join(map(store.join, self.references))
        return f"1;{store.join(self.path)};{self.nar_hash};{self.nar_size};{references}".encode()

    def proves_itself(self, store: StoreDir) -> bool:
        """Whether the path was computed from this very NAR hash, so that nobody need have signed it."""
        if self.ca is None or not self.ca.startswith("fixed:"):
            return False
        method, digits = parse_method(self.ca.removeprefix("fixed:"))
        if method != "nar" or self.path in self.references or NixHash.parse(digits) != self.nar_hash:
            return False
        return store.fixed_output_path(self.path.name, "nar", self.nar_hash, self.references) == self.path
