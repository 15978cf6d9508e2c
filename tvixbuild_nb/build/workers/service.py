"""WorkersBuildService: each build is done by one of a pool's workers; only request, addresses and policy go there."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tvixbuild_nb.build.inputs import absent_input
from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.build.workers.fitness import MENDED
from tvixbuild_nb.build.workers.job import Unfit
from tvixbuild_nb.build.workers.reachable import check_builder, check_store
from tvixbuild_nb.build.workers.sending import Sending
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.errors import HostRefused
from tvixbuild_nb.request import BuildRequest

if TYPE_CHECKING:
    from tvixbuild_nb.build.workers.pool import Pool


class WorkersBuildService:
    """Sends builds to the workers of ``pool``, which take inputs from, and leave outputs in, the store by its address.

    Parameters: ``builder`` is the address of the build service that each worker opens, None for ``oci:`` with its
    default bundle root; ``runtime`` as there; ``builder_store``, the address of the store of a builder elsewhere
    (``grpc+...``) where it is not at the builder's own, from which workers bring the outputs. A store in memory is
    refused with :class:`InvalidAddress`, since no other process can open it, and so is a builder that hands builds on
    to workers. What is built is recorded here, as any run. A worker that cannot build says so with what its
    ``doctor()`` found (:attr:`unfit`), and gets no more for a minute; a build whose worker is lost is done again, twice
    at most.

    Bundles of failed builds do not stay on workers (``keep="failure"`` is ``"never"`` there); those of
    ``keep="always"`` do. Nobody can enter a sandbox there.
    """

    def __init__(
        self, pool: Pool, castore: Castore, *, builder: str | None = None, builder_store: str | None = None,
        runtime: str | None = None,
    ) -> None:  # fmt: skip
        check_builder(builder, builder_store, runtime)
        for address in filter(None, (castore.address, builder_store)):
            check_store(address, forked=pool.forks)
        self.pool = pool
        self.builder = builder
        self.builder_store = builder_store
        self.runtime = runtime
        self._castore = castore
        self._lock = threading.Lock()
        self._unfit: dict[str, Unfit] = {}
        self._told: dict[str, float] = {}

    @property
    def address(self) -> str:
        return self.pool.address

    @property
    def castore(self) -> Castore:
        return self._castore

    @property
    def concurrency(self) -> int:
        """How many builds are worth being started at a time."""
        return self.pool.slots

    @property
    def unfit(self) -> dict[str, Unfit]:
        """The workers that said they cannot build, and have built nothing since, by name."""
        with self._lock:
            return dict(self._unfit)

    @property
    def shunned(self) -> frozenset[str]:
        """The workers that get nothing: what they lacked when they were asked last may be there by now, but hardly."""
        since = time.monotonic() - MENDED
        with self._lock:
            return frozenset(worker for worker, told in self._told.items() if told > since)

    def note_unfit(self, unfit: Unfit) -> None:
        """Send that worker nothing more for a while."""
        with self._lock:
            self._unfit[unfit.worker] = unfit
            self._told[unfit.worker] = time.monotonic()

    def note_fit(self, worker: str) -> None:
        """That worker has built something."""
        with self._lock:
            self._unfit.pop(worker, None)
            self._told.pop(worker, None)

    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        """See :class:`BuildService`; what a worker refuses is a result, too: it fails at setup."""
        if context.hold is not None or context.scratch is not None:
            raise HostRefused("a sandbox on a worker cannot be entered", hint="build it here: builder='oci:'")
        for index, (name, node) in enumerate(request.inputs.items()):
            if not self._castore.has(node):
                raise absent_input(self._castore, index, name, node)
        context.take_down(request)
        context.accept()
        return Sending(self, request, context).live()

    def close(self) -> None:
        """Let go of the workers; they are whose they were."""
        self.pool.close()
