"""RemoteBuildService: builds at another address; inputs go there first, outputs stay there to be looked at."""

from __future__ import annotations

import threading

from tvixbuild_nb.build.remote.remotebuild import RemoteBuild
from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.castore import Castore, Node, open_castore
from tvixbuild_nb.castore.progress import Shown
from tvixbuild_nb.castore.remote import RemoteStore, upload
from tvixbuild_nb.castore.remote.connection import Connection
from tvixbuild_nb.errors import HostRefused
from tvixbuild_nb.request import BuildRequest


class RemoteBuildService:
    """Builds at ``address`` (``grpc+http://host:port``, ``grpc+https://host``, ``grpc+unix:/path``).

    Parameters: ``inputs`` is where inputs are that the builder's store lacks (default: the embedded store);
    ``builder_store``, a store or an address, is that store where it is not at the builder's own address. ``castore`` is
    the builder's store: outputs are read from there, as far as somebody looks. A builder that can be watched tells log
    and stages; of others only the end is known. Nothing is connected to before the first build.
    """

    def __init__(
        self, address: str, inputs: Castore | None = None, *, builder_store: Castore | str | None = None
    ) -> None:
        self.connection = Connection(address)
        self.inputs = inputs if inputs is not None else open_castore()
        self._own_store = builder_store is None
        self._owned: Castore | None = None
        if isinstance(builder_store, Castore):
            self._castore = builder_store
        elif builder_store is None:
            self._castore = self._owned = Castore(RemoteStore(self.connection))
        else:
            self._castore = self._owned = open_castore(builder_store)
        self._lock = threading.Lock()
        self._brought: set[Node] = set()

    @property
    def address(self) -> str:
        return self.connection.address.text

    @property
    def castore(self) -> Castore:
        return self._castore

    def lacking(self, request: BuildRequest) -> bool:
        """Whether there are inputs of which nobody knows yet that the builder's store has them."""
        with self._lock:
            return not self._brought.issuperset(request.inputs.values())

    def reach_store(self) -> None:
        """:class:`RemoteError` when the builder's store should be at its own address, and there is none."""
        if self._own_store:
            self.connection.castore_method("BlobService", "Put")

    def bring(self, request: BuildRequest, context: BuildContext, *, again: bool = False) -> bool:
        """Bring there what the builder's store lacks of the inputs, with progress. Whether that was anything.

        :class:`NotFound` when neither side has something, :class:`Cancelled` as soon as that is asked for. What was
        brought, or was there, is taken to stay, until somebody has reason to look ``again``: then at each file.
        """
        with self._lock:
            nodes = [node for node in request.inputs.values() if again or node not in self._brought]
        if not nodes:
            return False
        # A builder that can be watched looks by itself whether inputs are there as a whole, and quickly.
        trusting = not again and self.connection.watched
        with Shown(f"upload to {self.address}") as progress:
            context.bringing.append(progress)
            try:
                sent = upload(self.inputs, self._castore, nodes, progress, trusting=trusting, cancel=context.cancel)
            finally:
                context.bringing.remove(progress)
        with self._lock:
            self._brought.update(nodes)
        return sent

    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        """See :class:`BuildService`; :class:`RemoteError` when nobody answers at the address."""
        if context.hold is not None or context.scratch is not None:
            raise HostRefused("what runs elsewhere cannot be entered", path=self.address)
        return RemoteBuild(self, request, context).live()

    def close(self) -> None:
        """Let go of the connections; a build that goes on is cancelled there."""
        if self._owned is not None:
            self._owned.close()
        self.connection.close()
