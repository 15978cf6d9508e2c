"""objects: a store on object storage (``objectstore+s3://bucket/prefix``, ``objectstore+file:/path``), through obstore.

    version             "tvixbuild-nb objects 1"; a newer one is refused
    blobs/ab/HEX        a blob of up to 4 MiB as it is, or else the list of a larger one's chunks (``layout.Chunks``)
    chunks/ab/HEX       4 MiB of a larger blob (its last chunk is shorter), under the digest of the chunk itself
    directories/ab/HEX  a directory's canonical encoding
    pins/NAME           a pinned node; the name in hex

Nothing is ever changed: every key but a pin's says by a digest what is under it, so that writers need no locks, and
two that store the same do no harm. A larger blob's list of chunks is written when all of them are there: who dies
before leaves chunks, which the next attempt finds and need not send again, and nothing under the blob's digest.
Everything is checked when it is read, also a part of a large blob, by its chunks' digests.

Nothing is collected as garbage: that would need to know what all others are about to refer to.
"""

from tvixbuild_nb.castore.objects.store import ObjectStore

__all__ = ["ObjectStore"]
