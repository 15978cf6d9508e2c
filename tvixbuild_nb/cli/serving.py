"""The command serve: contents and builds for others, until somebody ends it."""

from __future__ import annotations

import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tvixbuild_nb.build import BuildService, build_service_from_addr, default_bundle_root
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.castore.remote.connection import load_grpc
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.sandbox.services import BUILDER_VARIABLE

if TYPE_CHECKING:
    from tvixbuild_nb.serve import Tls

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(args: Namespace) -> int:
    """Serve until SIGINT or SIGTERM; what goes on then is ended, and nothing of it stays."""
    load_grpc()
    from tvixbuild_nb.serve import Listen, Server, ServerOptions  # which need it

    options = ServerOptions(
        tls=_tls(args),
        insecure=args.insecure,
        max_builds=args.max_builds,
        ro_paths=frozenset(map(_ro_path, args.allow_ro_path)),
    )
    listen = Listen.parse(args.listen)
    with ExitStack() as stack:
        over = stack.enter_context(_asked_to_end())
        castore = stack.enter_context(open_castore(args.store))
        builder = _builder(args, castore)
        if builder is not None:
            stack.enter_context(closing(builder))
        server = stack.enter_context(Server(listen, castore, builder, options))
        what = "contents" if builder is None else f"contents and builds by {builder.address}"
        sys.stdout.write(f"serving {what} of {castore.address} at {server.address}\n")
        sys.stdout.flush()
        logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
        logging.getLogger("tvixbuild_nb.serve").setLevel(logging.INFO)
        over()
    return 0


@contextmanager
def _asked_to_end() -> Iterator[Callable[[], object]]:
    """What waits until this process is asked to end, from the beginning of the block on.

    By a pipe: a thread of gRPC's may get the signal, and this one would not wake from waiting for a lock.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    earlier = signal.set_wakeup_fd(told)
    try:
        yield lambda: os.read(heard, 1)
    finally:
        signal.set_wakeup_fd(earlier)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(heard)
        os.close(told)


def _ro_path(path: str) -> str:
    """As requests name it; one that is not here would be refused only by the first build that asks."""
    if not os.path.isabs(path) or os.path.normpath(path) != path:
        raise InvalidValue(f"{path!r} is no absolute path in its shortest form", path="--allow-ro-path")
    if not os.path.exists(path):
        raise InvalidValue("this host has no such path", path=path, hint="--allow-ro-path names what is there")
    return path


def _builder(args: Namespace, castore: Castore) -> BuildService | None:
    usual = os.environ.get(BUILDER_VARIABLE, "")
    # What names a builder elsewhere is for clients, and may well name this server.
    address = args.builder or ("" if usual.startswith("grpc+") else usual) or f"oci:{default_bundle_root()}"
    if address == "none":
        return None
    options = {"concurrency": args.max_builds} if address.startswith("oci:") else {}
    return build_service_from_addr(address, castore, **options)


def _tls(args: Namespace) -> Tls | None:
    from tvixbuild_nb.serve import Tls  # which needs gRPC

    if args.tls_cert is None and args.tls_key is None and args.client_ca is None:
        return None
    if args.tls_cert is None or args.tls_key is None:
        raise InvalidValue("a certificate and its key belong together", path="--tls-cert, --tls-key")
    return Tls(Path(args.tls_cert), Path(args.tls_key), None if args.client_ca is None else Path(args.client_ca))
