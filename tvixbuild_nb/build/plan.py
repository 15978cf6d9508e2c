"""Planning a build on this host: pure, everything refused that cannot be done, nothing started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvixbuild_nb.build.host import RuntimeProgram, host_memory, host_system, runnable_systems
from tvixbuild_nb.build.places import cgroup_name
from tvixbuild_nb.build.service import BuildPolicy
from tvixbuild_nb.castore import Node, SymlinkNode
from tvixbuild_nb.errors import HostRefused
from tvixbuild_nb.oci import BundlePlan, Lookup, SpecOptions, plan_on_host, scratch_name, scratch_of
from tvixbuild_nb.oci.spec import Spec
from tvixbuild_nb.request import BuildRequest


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What planning needs to know of the host, found out once per keeper.

    root: whether the owner is root; namespaces: whether the keeper has its own; cgroups_refused: why
    builds get no cgroup, or None; degraded: what every run here has to do without.
    """

    root: bool
    namespaces: bool
    cgroups_refused: str | None
    runtime: RuntimeProgram
    options: SpecOptions
    degraded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedBuild:
    """Everything decided about one build before anything is made."""

    bundle: BundlePlan
    runtime: RuntimeProgram
    cgroup: str | None
    adopt: tuple[int, int] | None
    needs_janitor: bool
    degraded: tuple[str, ...]

    @property
    def request(self) -> BuildRequest:
        return self.bundle.request

    @property
    def options(self) -> SpecOptions:
        return self.bundle.options

    @property
    def spec(self) -> Spec:
        return self.bundle.spec

    @property
    def mounted_inputs(self) -> Mapping[str, Node]:
        """The inputs that are bind-mounted from the view: all but the symlinks, which are made as such."""
        if not self.options.symlink_inputs_as_symlinks:
            return self.request.inputs
        return {name: node for name, node in self.request.inputs.items() if not isinstance(node, SymlinkNode)}

    @property
    def sandbox_ids(self) -> tuple[int, int] | None:
        """uid and gid of the sandbox's user as the keeper sees them."""
        return self.options.host_user

    @property
    def owned(self) -> Sequence[tuple[str, int, int]]:
        """(path below the bundle, uid, gid) of what must belong to the sandbox's user."""
        ids = self.sandbox_ids
        return [] if ids is None else [(path, *ids) for path in self.bundle.owned]

    @property
    def premade(self) -> frozenset[Path]:
        """What stands in the scratch directories without the build having written it."""
        return frozenset(self.bundle.path / path for path in self.bundle.premade)

    @property
    def scratch_places(self) -> list[tuple[str, Path]]:
        """(path inside, directory on the host) of every scratch directory."""
        return [(path, self._scratch(path)) for path in self.request.scratch_paths]

    @property
    def output_places(self) -> list[tuple[str, Path, str]]:
        """(output, its scratch directory on the host, the rest of its path) for every output."""
        found = []
        for output in self.request.outputs:
            held = scratch_of(output, self.request.scratch_paths)
            assert held is not None, "a request's outputs lie below its scratch paths"
            found.append((output, self._scratch(held[0]), held[1]))
        return found

    def _scratch(self, path: str) -> Path:
        return self.bundle.path / "scratch" / scratch_name(path)


def plan_build(
    request: BuildRequest, policy: BuildPolicy, host: HostFacts, bundle_path: Path, lookup: Lookup
) -> PlannedBuild:
    """Decide how ``request`` is built here; :class:`HostRefused` or :class:`InvalidSpec` when it cannot be."""
    _check_system(request)
    _check_memory(request)
    options = _options_to_run(policy.options, host)
    cgroup = None
    if host.cgroups_refused is None and options.cgroups_path is None:
        cgroup = cgroup_name(bundle_path)
        options = options.replace(cgroups_path=f"/{cgroup}/c")
    elif options.limits and host.cgroups_refused is not None:
        raise HostRefused(
            f"limits on memory, processes and cpu need a cgroup, and builds get none here: {host.cgroups_refused}",
            path="limits",
            stage="render",
            hint="run as root, or leave the limits out",
        )
    return PlannedBuild(
        bundle=plan_on_host(request, options, bundle_path, lookup=lookup),
        runtime=host.runtime,
        cgroup=cgroup,
        adopt=(0, 0) if not host.root and host.namespaces else None,
        needs_janitor=not host.root and not host.namespaces,
        degraded=host.degraded,
    )


def _check_system(request: BuildRequest) -> None:
    wanted = request.constraints.system if request.constraints is not None else host_system()
    if wanted not in runnable_systems():
        raise HostRefused(
            f"a {wanted!r} is required to build this, but this host is {host_system()!r}",
            path="constraints.system",
            stage="request",
            hint=f"runs here: {', '.join(runnable_systems())}",
        )


def _check_memory(request: BuildRequest) -> None:
    wanted = request.constraints.min_memory if request.constraints is not None else 0
    available = host_memory()
    if available is not None and wanted > available:
        raise HostRefused(
            f"{wanted} bytes of memory are required to build this, but this host has {available}",
            path="constraints.min_memory",
            stage="request",
        )


def _options_to_run(wanted: SpecOptions | None, host: HostFacts) -> SpecOptions:
    """The options as the runtime can take them: with this host's id maps where none of one's own were given."""
    if wanted is None:
        return host.options
    if not wanted.rootless:
        raise HostRefused(
            "the form without a user namespace is there to be compared, not to be run",
            path="rootless",
            stage="render",
            hint="SpecOptions(rootless=True)",
        )
    generic = SpecOptions.for_host(user=wanted.user)
    if not wanted.uid_mappings or wanted.uid_mappings == generic.uid_mappings:
        here = SpecOptions.for_host(namespaces=host.namespaces, user=wanted.user)
        return wanted.replace(
            uid_mappings=here.uid_mappings, gid_mappings=here.gid_mappings, problems=(*wanted.problems, *here.problems)
        )
    return wanted
