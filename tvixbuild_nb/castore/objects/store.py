"""The store on object storage as a whole: its two services, its version, its pins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import decode_node, encode_node
from tvixbuild_nb.castore.nodes import Node
from tvixbuild_nb.castore.objects.addresses import open_bucket
from tvixbuild_nb.castore.objects.blobs import ObjectBlobs
from tvixbuild_nb.castore.objects.directories import ObjectDirectories
from tvixbuild_nb.castore.objects.layout import (
    BLOBS,
    DIRECTORIES,
    PINS,
    VERSION_KEY,
    check_version,
    digest_of,
    version_text,
)
from tvixbuild_nb.castore.services import Batch, GcReport
from tvixbuild_nb.castore.writers import ServiceBatch
from tvixbuild_nb.errors import NoStore, StoreError


class ObjectStore:
    """One bucket and prefix, used by many processes on many machines at once.

    Parameters: ``kind`` and ``rest`` are the address ``objectstore+<kind>:<rest>``; ``read_only`` opens what is there
    and writes nothing. :class:`StoreError` when there is no store, something else, a newer format, no such bucket, or
    the storage refuses or does not answer.
    """

    local_path: Path | None = None  # another process opens it by address

    def __init__(self, kind: str, rest: str, *, read_only: bool = False) -> None:
        self._bucket = open_bucket(kind, rest, read_only)
        self._on_disk = kind == "file"
        self._read_only = read_only
        self._prepare(create=not read_only)
        self.blobs = ObjectBlobs(self._bucket, writable=not read_only)
        self.directories = ObjectDirectories(self._bucket, writable=not read_only)

    def _prepare(self, *, create: bool) -> None:
        address = self._bucket.address
        version = self._bucket.ask(VERSION_KEY)
        if version is None:
            if not create:
                raise NoStore("there is no store here", path=address)
            stranger = next((place for page in self._bucket.pages("") for place, _ in page), None)
            # Never in the place of another one, who may know a newer format.
            if stranger is None and self._bucket.create(VERSION_KEY, version_text()):
                return
            version = self._bucket.ask(VERSION_KEY)
            if version is None:
                raise StoreError(
                    f"this is no store and not empty: it holds {stranger!r}", path=address, hint="name another prefix"
                )
        check_version(version, address)

    @property
    def address(self) -> str:
        return self._bucket.address

    def batch(self) -> Batch:
        if self._read_only:
            raise StoreError("the store was opened read-only", path=self.address)
        return ObjectBatch(self.blobs, self.directories)

    def hold(self, node: Node) -> None:
        """Nothing to do: nothing is ever deleted."""

    def pin(self, name: str, node: Node) -> None:
        self._bucket.put(_pin_key(name), encode_node(b"", node))

    def unpin(self, name: str) -> bool:
        there = self._bucket.size(_pin_key(name)) is not None
        if there:
            self._bucket.delete(_pin_key(name))
        return there

    def pins(self) -> Mapping[str, Node]:
        keys = sorted(place for page in self._bucket.pages(PINS) for place, _ in page)
        found = zip(keys, self._bucket.each(self._bucket.get, keys), strict=True)
        return {
            bytes.fromhex(place.rpartition("/")[2]).decode(): decode_node(data, named=False)[1]
            for place, data in found
            if data is not None
        }

    def all_blobs(self) -> Iterator[Digest]:
        return self._all(BLOBS)

    def all_directories(self) -> Iterator[Digest]:
        return self._all(DIRECTORIES)

    def _all(self, prefix: str) -> Iterator[Digest]:
        places = (place for page in self._bucket.pages(prefix) for place, _ in page)
        return (digest for place in places if (digest := digest_of(place)) is not None)

    def beginning_with(self, prefix: str, limit: int) -> list[Digest]:
        """All that shares the first two digits is listed, of both kinds."""
        found = {
            digest
            for kind in (BLOBS, DIRECTORIES)
            for digest in self._all(f"{kind}/{prefix[:2]}" if len(prefix) >= 2 else kind)
            if digest.hex().startswith(prefix)
        }
        return sorted(found)[:limit]

    def gc(self, roots: Iterable[Node], *, dry_run: bool = False) -> GcReport:
        raise StoreError(
            "a store on object storage collects no garbage: nobody knows what others are about to refer to",
            path=self.address,
            hint="`tvixbuild-nb castore sync OLD NEW ROOT...` copies what is needed; the old one can be deleted then",
        )

    def sync(self) -> None:
        """Object storage answers when it has it safe; a disk is told to."""
        if self._on_disk and hasattr(os, "sync"):
            os.sync()

    def close(self) -> None:
        self._bucket.close()


class ObjectBatch(ServiceBatch):
    """A Batch over object storage: small blobs many at once; an abort leaves blobs that nothing refers to."""

    def __init__(self, blobs: ObjectBlobs, directories: ObjectDirectories) -> None:
        super().__init__(blobs, directories)
        self._objects = blobs

    def put_blobs(self, blobs: Sequence[tuple[Digest, bytes]]) -> None:
        fresh = dict(blobs)
        absent = self._objects.missing(fresh)
        self._objects.put_blobs([(digest, data) for digest, data in fresh.items() if digest in absent])


def _pin_key(name: str) -> str:
    return f"{PINS}/{name.encode().hex()}"
