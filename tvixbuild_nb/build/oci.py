"""OCIBuildService: builds on this host with runc or crun."""

from __future__ import annotations

import os
import threading
import warnings
from dataclasses import replace
from pathlib import Path

from tvixbuild_nb.build.host import find_runtime
from tvixbuild_nb.build.inmemory import MemoryBundleRoot, check_room, memory_bundle_root
from tvixbuild_nb.build.inputs import absent_input
from tvixbuild_nb.build.ocibuild import OCIBuild
from tvixbuild_nb.build.places import RECORD_LINK, RUNTIME_STATE, BundleRoot, default_bundle_root
from tvixbuild_nb.build.plan import HostFacts, PlannedBuild, plan_build
from tvixbuild_nb.build.record import RunRecord
from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.build.service import BuildContext, BuildPolicy
from tvixbuild_nb.build.turns import Turns
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.castore.nodes import Node
from tvixbuild_nb.errors import HostRefused
from tvixbuild_nb.fs import server_command
from tvixbuild_nb.keeper import Keeper, KeeperOptions, keeper_for_this_process
from tvixbuild_nb.keeper.trees import remove
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.request import BuildRequest

DEFAULT_CONCURRENCY = 2


class OCIBuildService:
    """Runs each build in a bundle of its own below ``bundle_root``, at most ``concurrency`` at once.

    Parameters: ``castore`` holds inputs and gets outputs (default: the embedded store); ``runtime`` is
    runc, crun or a path to one; ``namespaces`` False forgoes namespaces of the keeper's own. Nothing is
    started before the first build. Safe for several threads.
    """

    def __init__(
        self,
        bundle_root: str | os.PathLike[str] | None = None,
        castore: Castore | None = None,
        *,
        runtime: str = "runc",
        concurrency: int = DEFAULT_CONCURRENCY,
        namespaces: bool = True,
    ) -> None:
        if concurrency < 1:
            raise HostRefused(f"at least one build at a time, not {concurrency}", path="concurrency")
        self._root_path = Path(bundle_root) if bundle_root is not None else default_bundle_root()
        self._castore = castore if castore is not None else open_castore()
        self._runtime = runtime
        self._namespaces = namespaces
        self._concurrency = concurrency
        self._turns = Turns(concurrency)
        self._lock = threading.Lock()
        self._root: BundleRoot | None = None
        self._memory: MemoryBundleRoot | None = None
        self._keeper: Keeper | None = None
        self._facts: HostFacts | None = None
        self._held: set[Node] = set()
        self.fuse_refused: str | None = None

    @property
    def address(self) -> str:
        return f"oci:{self._root_path}"

    @property
    def castore(self) -> Castore:
        return self._castore

    @property
    def concurrency(self) -> int:
        """How many builds run at once."""
        return self._concurrency

    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        """See :class:`BuildService`."""
        return OCIBuild(self, request, context).live()

    def close(self) -> None:
        """Give the bundle root's lock back; warm views stay until this process's keeper ends."""
        with self._lock:
            if self._root is not None:
                self._root.close()
                self._root = None
            if self._memory is not None:
                self._memory.close()
                self._memory = None

    # -- what a build asks for --------------------------------------------------------------------

    def check_inputs(self, request: BuildRequest) -> None:
        """:class:`NotFound` names the first input that the store does not hold (its root; not all below it)."""
        for index, (name, node) in enumerate(request.inputs.items()):
            if self._castore.has(node):
                self._hold(node)
            else:
                raise absent_input(self._castore, index, name, node)

    def _hold(self, node: Node) -> None:
        """Keep an input from another process's gc; once per node, since it lasts as long as the store is open."""
        if node not in self._held:
            self._castore.hold(node)
            self._held.add(node)

    def plan(self, request: BuildRequest, policy: BuildPolicy) -> PlannedBuild:
        """Decide how ``request`` is built here, in a bundle of its own; starts the keeper on first use."""
        host, root = self._host(), self._bundles()
        if policy.room is not None:
            try:
                root = self._memory_bundles(policy.room, policy.options or host.options)
            except HostRefused as refused:
                text = f"listing: scratch directories stay on their file system: {refused.message}"
                host = replace(host, degraded=(*host.degraded, text))
        return plan_build(request, policy, host, root.new_path(), self._castore.directories.get)

    def _memory_bundles(self, room: int, options: SpecOptions) -> BundleRoot:
        """Where bundles stand that are to be in memory; :class:`HostRefused` says why they cannot."""
        if options.limits is not None and options.limits.memory is not None:
            raise HostRefused("what they hold would count as the build's memory, which is limited", path="limits")
        keeper = self.keeper()
        with self._lock:
            if self._memory is None:
                self._memory = memory_bundle_root(self._root_path, room)
                self._entrust(self._memory, keeper)
            else:
                check_room(self._root_path, room)
            return self._memory

    def _host(self) -> HostFacts:
        keeper = self.keeper()
        with self._lock:
            if self._facts is None:
                self._facts = self._find_facts(keeper)
            return self._facts

    def keeper(self) -> Keeper:
        """The keeper of this process; leftovers of dead processes are swept when it starts."""
        with self._lock:
            keeper = keeper_for_this_process(KeeperOptions(tuple(server_command()), self._namespaces))
            if keeper is not self._keeper or self._root is None:
                self._keeper, self._facts = keeper, None
                if self._root is None:
                    self._root = BundleRoot(self._root_path)
                for root in filter(None, (self._root, self._memory)):
                    self._entrust(root, keeper)
            return keeper

    @staticmethod
    def _entrust(root: BundleRoot, keeper: Keeper) -> None:
        root.entrust_to(keeper)
        for text in root.sweep(keeper):
            warnings.warn(f"a dead process's bundle cannot be removed: {text}", stacklevel=2)

    def view_home(self) -> Path:
        return self._bundles().view_home()

    def checkout_cache(self) -> Path:
        """Where materialised inputs are kept, beside the bundles so that the sandbox can reach them."""
        return self._root_path / "checkouts"

    def keep_bundle(self, bundle: Path, record: RunRecord) -> Path:
        """Move a bundle to where it is kept, closed to others and without the runtime's state; its new path."""
        root = self._memory if self._memory is not None and bundle.parent == self._memory.path else self._bundles()
        kept = root.kept_path(record.id)
        remove(str(bundle / RUNTIME_STATE))
        os.chmod(bundle, 0o700)
        # Whoever collects garbage sees by it whether the run is still recorded.
        (bundle / RECORD_LINK).symlink_to(record.path.absolute())
        bundle.rename(kept)
        return kept

    def keeper_died(self) -> None:
        """A build's keeper is gone: wait until it has tidied up, and forget it, so that the next one is started."""
        with self._lock:
            keeper, self._keeper = self._keeper, None
        if keeper is not None and not keeper.alive:
            keeper.await_end()

    def note_fuse_refused(self, reason: str) -> None:
        """FUSE does not work here: later runs need not try again."""
        self.fuse_refused = reason

    def take_turn(self, context: BuildContext) -> None:
        """Wait until fewer than ``concurrency`` builds run; :class:`Cancelled` when cancelled meanwhile."""
        self._turns.take(context.cancel)

    def end_turn(self) -> None:
        self._turns.give_back()

    def _bundles(self) -> BundleRoot:
        self.keeper()
        assert self._root is not None
        return self._root

    def _find_facts(self, keeper: Keeper) -> HostFacts:
        root = os.geteuid() == 0
        degraded = [keeper.degraded] if keeper.degraded else []
        refused = keeper.cgroups_refused
        if refused is not None:
            degraded.append(f"cgroups (usage comes from rusage): {refused}")
        return HostFacts(
            root=root,
            namespaces=keeper.namespaces,
            cgroups_refused=refused,
            runtime=find_runtime(self._runtime),
            options=SpecOptions.for_host(namespaces=keeper.namespaces),
            degraded=tuple(degraded),
        )
