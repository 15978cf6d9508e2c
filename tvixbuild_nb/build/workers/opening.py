"""Pools: of an executor that somebody has, or behind an address."""

from __future__ import annotations

import sys
from typing import Any

from tvixbuild_nb.build.workers.pool import ExecutorPool, Pool
from tvixbuild_nb.build.workers.service import WorkersBuildService
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.errors import HostRefused, InvalidAddress, InvalidValue

# Seconds for a scheduler to answer.
_PATIENCE = 10.0


def pool_of(executor: Any) -> Pool:
    """The workers of ``executor``: a Dask ``Client`` or ``ClientExecutor``, or whatever has ``submit`` as executors do.

    :class:`InvalidValue` for anything else.
    """
    # Nobody has a client who has not imported it.
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        from distributed.cfexecutor import ClientExecutor

        from tvixbuild_nb.build.workers.dasks import DaskPool

        client = getattr(executor, "_client", executor)
        if isinstance(client, distributed.Client) and client.asynchronous:
            hint = "Client(cluster) without asynchronous=True, outside of its event loop"
            raise InvalidValue(
                "builds wait for a Dask client, which an asynchronous one cannot do", path="executor", hint=hint
            )
        if isinstance(executor, distributed.Client):
            return DaskPool(executor)
        if isinstance(executor, ClientExecutor):
            # It has no name for its client; without it nothing is heard before a build is over.
            return DaskPool(executor._client, executor._kwargs)
    if not callable(getattr(executor, "submit", None)):
        raise InvalidValue(
            f"{type(executor).__name__} has no submit()", path="executor",
            hint="a concurrent.futures executor, a Dask Client, or None for this process",
        )  # fmt: skip
    return ExecutorPool(executor)


def dask_service(address: str, castore: Castore | None, **options: Any) -> WorkersBuildService:
    """The build service that sends each build to the Dask cluster at ``address``, ``dask+tcp://scheduler:8786``.

    ``options``: those of :class:`WorkersBuildService`. ``dask+tls:`` takes certificates from Dask's configuration.
    """
    try:
        import distributed
    except ImportError as error:
        raise InvalidAddress(
            f"{address!r} needs Dask, which is not installed", hint="pip install 'tvixbuild-nb[dask]'"
        ) from error
    from tvixbuild_nb.build.workers.dasks import DaskPool

    store = castore if castore is not None else open_castore()
    try:
        connect: Any = distributed.Client
        client = connect(address.removeprefix("dask+"), set_as_default=False, timeout=_PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        hint = "dask scheduler starts one; certificates for dask+tls: are Dask's configuration"
        raise HostRefused(f"no Dask scheduler answers there: {error}", path=address, hint=hint) from error
    pool = DaskPool(client, own=True)
    try:
        return WorkersBuildService(pool, store, **options)
    except BaseException:
        pool.close()
        raise
