"""What workers can open by its address: the store they share with whoever sends builds, and the service that builds."""

from __future__ import annotations

import re

from tvixbuild_nb.errors import InvalidAddress, InvalidValue

# Also as a part of several stores that are one.
_IN_MEMORY = re.compile(r"(?:^|[(,]\s*)(?:objectstore\+)?memory:")
_ELSEWHERE = ("grpc+http", "grpc+https", "grpc+unix")
_KNOWN = "oci:, oci:/bundle/root, replay:/directory, grpc+http://host:port, grpc+https://host, grpc+unix:/path"


def check_store(address: str, *, forked: bool) -> None:
    """:class:`InvalidAddress` for a store that is in the memory of this process, :class:`InvalidValue` for forks.

    Both also where it is only a part of what ``address`` names.
    """
    if _IN_MEMORY.search(address):
        raise InvalidAddress(
            f"workers cannot open a store in this process's memory: {address}", path="store",
            hint="store='file:/a/directory/all/of/them/see', or the address of a served store",
        )  # fmt: skip
    if forked and "objectstore+" in address:
        # Its library lives on threads that a fork leaves behind, and waits for them without end.
        raise InvalidValue(
            f"processes that are forked from this one cannot open {address}", path="executor",
            hint="ProcessPoolExecutor(8, mp_context=multiprocessing.get_context('spawn'))",
        )  # fmt: skip


def check_builder(builder: str | None, builder_store: str | None, runtime: str | None) -> None:
    """:class:`InvalidAddress` or :class:`InvalidValue` for what no worker can build with; None is a worker's own."""
    scheme = "oci" if builder is None else builder.partition(":")[0]
    if scheme == "dummy":
        raise InvalidAddress(
            "a dummy's script does not travel", path="builder", hint="build with it here: executor=None"
        )
    if scheme in ("dask+tcp", "dask+tls"):
        raise InvalidAddress(
            f"workers build, they do not hand builds on to other workers: {builder}", path="builder",
            hint="builder='oci:' for the workers of the executor, executor=None for those of the cluster",
        )  # fmt: skip
    if scheme not in ("oci", "replay", *_ELSEWHERE):
        raise InvalidAddress(
            f"{builder!r} is no address of a build service that workers can open", path="builder",
            hint=f"known to them: {_KNOWN}",
        )  # fmt: skip
    if runtime is not None and scheme in _ELSEWHERE:
        raise InvalidValue(f"the build service {builder} has no choice of runtimes", path="runtime")
    if builder_store is not None and scheme not in _ELSEWHERE:
        raise InvalidValue(
            f"the build service {builder or 'oci:'} builds with the workers' store", path="builder_store",
            hint="a builder elsewhere (grpc+http://host:port) has one of its own",
        )  # fmt: skip
