"""Build services by address, as in Tvix."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.build.dummy import DummyBuildService
from tvixbuild_nb.build.oci import OCIBuildService
from tvixbuild_nb.build.records import ReplayBuildService
from tvixbuild_nb.build.service import BuildService
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.errors import InvalidAddress

KNOWN = (
    "dummy:, oci: (the default bundle root), oci:/bundle/root, replay:/directory/with/records, "
    "dask+tcp://scheduler:8786, dask+tls://scheduler:8786, "
    "grpc+http://host:port, grpc+https://host, grpc+unix:/path"
)


def build_service_from_addr(address: str, castore: Castore | None = None, **options: Any) -> BuildService:
    """Open the build service at ``address``; ``options`` are those of its class (runtime, concurrency, ...).

    ``castore`` holds inputs and gets the outputs; a builder elsewhere (``grpc+...``) has a store of its own for these.

    Raises :class:`InvalidAddress` that lists the known schemes.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "dummy" and not rest and ":" in address:
        return DummyBuildService(castore, **options)
    if scheme == "oci" and ":" in address:
        if rest and not rest.startswith("/"):
            raise InvalidAddress(f"{address!r}: the bundle root must be an absolute path", hint="oci:/bundle/root")
        return OCIBuildService(rest or None, castore, **options)
    if scheme == "replay" and ":" in address:
        if not rest.startswith("/"):
            raise InvalidAddress(f"{address!r}: the directory must be an absolute path", hint="replay:/my/records")
        return ReplayBuildService(rest, castore, **options)
    if scheme in ("dask+tcp", "dask+tls"):
        if not rest.startswith("//") or not rest.rpartition(":")[2].isdecimal():
            raise InvalidAddress(f"{address!r}: a scheduler is host and port", hint="dask+tcp://scheduler:8786")
        from tvixbuild_nb.build.workers.opening import dask_service  # workers open services by address, too

        return dask_service(address, castore, **options)
    if scheme in ("grpc+http", "grpc+https", "grpc+unix") and ":" in address:
        from tvixbuild_nb.build.remote import RemoteBuildService  # loaded where somebody builds elsewhere

        return RemoteBuildService(address, castore, **options)
    raise InvalidAddress(f"{address!r} is no address of a build service", hint=f"known: {KNOWN}")
