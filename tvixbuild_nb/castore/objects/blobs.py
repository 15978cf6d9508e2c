"""The BlobService over object storage."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.objects.bucket import Bucket
from tvixbuild_nb.castore.objects.chunked import ChunkedReader, ObjectWriter
from tvixbuild_nb.castore.objects.layout import (
    BLOBS,
    HEAD,
    Chunks,
    chunked_size,
    decode_chunks,
    digest_of,
    key,
    may_be_chunks,
    must_be_chunked,
)
from tvixbuild_nb.castore.reading import REPAIR, CheckedReader, ReaderStream
from tvixbuild_nb.castore.services import SMALL, BlobReader
from tvixbuild_nb.castore.writers import BytesReader
from tvixbuild_nb.errors import DigestMismatch, StoreError

# So many digests that begin alike are worth a listing of what begins so, of fewer pages than requests are spared.
_LISTED_FROM = 8


class ObjectBlobs:
    """Blobs in a bucket; ``writable`` False refuses to write."""

    def __init__(self, bucket: Bucket, *, writable: bool) -> None:
        self._bucket = bucket
        self._writable = writable

    def has(self, digest: Digest) -> bool:
        return self._bucket.size(key(BLOBS, digest)) is not None

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        return missing(self._bucket, BLOBS, digests)

    def size(self, digest: Digest) -> int | None:
        place = key(BLOBS, digest)
        size = self._bucket.size(place)
        if size is None or not may_be_chunks(size):
            return size
        head = self._bucket.begin(place, HEAD)
        return None if head is None else chunked_size(head) or size

    def open_read(self, digest: Digest) -> BinaryIO | None:
        found = self._open(digest)
        if isinstance(found, Chunks):
            reader = CheckedReader(ChunkedReader(self._bucket, found), digest)
            return io.BufferedReader(ReaderStream(reader))
        return None if found is None else io.BytesIO(found)

    def get_small(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        """See :class:`ManySmallBlobs`; many requests at once."""
        found = self._bucket.each(lambda digest: self._open(digest, SMALL), digests)
        return {digest: data for digest, data in zip(digests, found, strict=True) if isinstance(data, bytes)}

    def reader(self, digest: Digest) -> BlobReader | None:
        """Positional reads. Small blobs are checked here, of large ones each chunk when it is read."""
        found = self._open(digest)
        if isinstance(found, Chunks):
            return ChunkedReader(self._bucket, found)
        return None if found is None else BytesReader(found)

    def _open(self, digest: Digest, most: int | None = None) -> bytes | Chunks | None:
        """The blob, or its list of chunks; None when it is not there, or its object has more than ``most`` bytes."""
        place = key(BLOBS, digest)
        data = self._bucket.get(place, most)
        if data is None:
            return None
        try:
            chunks = decode_chunks(data, digest)
        except ValueError as error:
            self._bucket.distrust(place)
            raise DigestMismatch(
                f"the blob's list of chunks is damaged: {error}", path=str(digest), hint=REPAIR
            ) from error
        if chunks is not None:
            return chunks
        if Digest.of(data) != digest:
            self._bucket.distrust(place)
            raise DigestMismatch("the bytes in the store are not what their digest says", path=str(digest), hint=REPAIR)
        return data

    def open_write(self) -> ObjectWriter:
        self._check_writable()
        return ObjectWriter(self._bucket)

    def put_blobs(self, blobs: Sequence[tuple[Digest, bytes]]) -> None:
        """Store blobs that are not there, many at once; their digests are taken on trust."""
        self._check_writable()
        large = [data for _, data in blobs if must_be_chunked(data)]
        self._bucket.each(self._put, [blob for blob in blobs if not must_be_chunked(blob[1])])
        for data in large:
            with self.open_write() as writer:
                writer.write(data)

    def _put(self, blob: tuple[Digest, bytes]) -> None:
        self._bucket.put(key(BLOBS, blob[0]), blob[1])

    def _check_writable(self) -> None:
        if not self._writable:
            raise StoreError("the store was opened read-only", path=self._bucket.address)


def missing(bucket: Bucket, kind: str, digests: Iterable[Digest]) -> set[Digest]:
    """Those of ``digests`` of which there is no object of this kind: many asked for at once, or listed."""
    alike: defaultdict[str, set[Digest]] = defaultdict(set)
    for digest in digests:
        alike[key(kind, digest).rpartition("/")[0]].add(digest)
    many = [(prefix, group) for prefix, group in alike.items() if len(group) >= _LISTED_FROM]
    absent: set[Digest] = set()
    single = [digest for group in alike.values() if len(group) < _LISTED_FROM for digest in group]
    for (_, group), listed in zip(many, bucket.each(lambda item: _listed(bucket, *item), many), strict=True):
        if listed is None:
            single.extend(group)
        else:
            absent |= group - listed
    found = bucket.each(lambda digest: bucket.size(key(kind, digest)) is not None, single)
    return absent | {digest for digest, there in zip(single, found, strict=True) if not there}


def _listed(bucket: Bucket, prefix: str, wanted: set[Digest]) -> set[Digest] | None:
    """What there is below ``prefix``; None when that is so much that asking for each is less."""
    found: set[Digest] = set()
    for number, page in enumerate(bucket.pages(prefix)):
        if number >= max(1, len(wanted) // _LISTED_FROM):
            return None
        found.update(digest for place, _ in page if (digest := digest_of(place)) is not None)
    return found
