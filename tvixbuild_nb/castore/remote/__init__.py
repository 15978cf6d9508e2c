"""remote: a store at another address, spoken to over gRPC as Tvix and Snix speak to theirs.

``address`` says what addresses look like, ``connection`` finds out what the other side speaks and calls it,
``blobs`` and ``directories`` are the two services, ``store`` puts them together, ``upload`` brings there what it lacks.
grpc is imported when a connection is made, and not before.
"""

from tvixbuild_nb.castore.remote.address import SCHEMES, RemoteAddress
from tvixbuild_nb.castore.remote.store import RemoteStore, remote_store
from tvixbuild_nb.castore.remote.upload import upload

__all__ = ["SCHEMES", "RemoteAddress", "RemoteStore", "remote_store", "upload"]
