"""The stores and build services of this process, opened once per address and shared."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from tvixbuild_nb.build import BuildService, build_service_from_addr, default_bundle_root
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.castore.castore import STORE_VARIABLE, default_store_path
from tvixbuild_nb.errors import InvalidValue

BUILDER_VARIABLE = "TVIXBUILD_NB_BUILDER"

_lock = threading.Lock()
_stores: dict[tuple[int, str], Castore] = {}
_builders: dict[tuple[int, str, str | None, str, str | int | None], BuildService] = {}


def shared_store(address: str | None = None) -> Castore:
    """The store at ``address``; None is the default one. Opened once per process, since it is shared."""
    address = address or os.environ.get(STORE_VARIABLE) or default_store_path()
    key = (os.getpid(), address)
    with _lock:
        if key not in _stores:
            _stores[key] = open_castore(address)
        return _stores[key]


def stores_at_hand() -> list[Castore]:
    """The stores that this process shares, and the default one if it is there already; none is made for this."""
    address = os.environ.get(STORE_VARIABLE) or default_store_path()
    if os.path.isdir(address.removeprefix("file:")):
        shared_store(address)
    with _lock:
        return [castore for (process, _), castore in _stores.items() if process == os.getpid()]


def shared_builder(
    address: str | None, castore: Castore, runtime: str | None, builder_store: Castore | str | None = None
) -> BuildService:
    """The build service at ``address`` over ``castore``; None: ``TVIXBUILD_NB_BUILDER``, else this host.

    ``builder_store`` is where a service elsewhere has its contents, None for its own address.
    Shared, so that its limit on concurrent builds holds for all sandboxes of the process.
    """
    address = address or os.environ.get(BUILDER_VARIABLE) or f"oci:{default_bundle_root()}"
    theirs = id(builder_store) if isinstance(builder_store, Castore) else builder_store
    key = (os.getpid(), address, runtime, f"{castore.address} {id(castore)}", theirs)
    with _lock:
        if key not in _builders:
            given = {"runtime": runtime, "builder_store": builder_store}
            options = {name: value for name, value in given.items() if value is not None}
            _check_choices(address, options)
            _builders[key] = build_service_from_addr(address, castore, **options)
        return _builders[key]


def elsewhere(builder: str) -> bool:
    """Whether the build service of that address is not this process's own."""
    return builder.startswith("grpc+")


def _check_choices(address: str, options: Mapping[str, object]) -> None:
    """:class:`InvalidValue` when a build service is asked for what it has no choice of."""
    if "runtime" in options and elsewhere(address):
        raise InvalidValue(f"the build service {address} has no choice of runtimes", path="runtime")
    if "builder_store" in options and not elsewhere(address):
        raise InvalidValue(
            f"the build service {address} builds with this process's store", path="builder_store",
            hint="a builder elsewhere (grpc+http://host:port) has one of its own",
        )  # fmt: skip
