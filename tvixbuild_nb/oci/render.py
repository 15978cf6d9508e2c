"""render_spec: from a request and options to the Spec, purely."""

from __future__ import annotations

from tvixbuild_nb.oci import facts
from tvixbuild_nb.oci.mounts import planned_mounts
from tvixbuild_nb.oci.options import IdMapping, Limits, SpecOptions
from tvixbuild_nb.oci.spec import (
    OCI_VERSION,
    Capabilities,
    Cpu,
    IdMap,
    Linux,
    Memory,
    Namespace,
    Pids,
    Process,
    Resources,
    Root,
    Spec,
)
from tvixbuild_nb.request import BuildRequest

# The kernel's own default period, in microseconds.
CPU_PERIOD = 100_000


def render_spec(request: BuildRequest, options: SpecOptions) -> Spec:
    """The OCI configuration of ``request``: reads no file, needs no privilege, never fails.

    With ``SpecOptions.tvix()`` it equals what Tvix's make_spec prints, key for key (lists of
    capabilities as sets: their order is random there). Whether a bundle can hold it and this host can
    run it is for :func:`plan_bundle` and :func:`check_host` to say.
    """
    capabilities = effective_capabilities(options)
    namespaces = effective_namespaces(request, options)
    return Spec(
        oci_version=OCI_VERSION,
        root=Root(path="root", readonly=True),
        mounts=tuple(planned.mount for planned in planned_mounts(request, options)),
        process=Process(
            terminal=options.terminal,
            user=options.user,
            args=request.command_args,
            env=tuple(f"{key}={value.decode()}" for key, value in request.environment_vars.items()),
            cwd=f"/{request.working_dir}",
            capabilities=Capabilities(
                bounding=capabilities,
                effective=capabilities,
                inheritable=capabilities,
                permitted=capabilities,
                ambient=capabilities,
            ),
            rlimits=options.rlimits,
            no_new_privileges=options.no_new_privileges,
        ),
        # Without a uts namespace of its own the container has the host's name, and runc refuses to set one.
        hostname=options.hostname if "uts" in namespaces else None,
        annotations={},
        linux=Linux(
            resources=_resources(options.limits),
            namespaces=tuple(Namespace(type=name) for name in namespaces),
            masked_paths=options.masked_paths,
            readonly_paths=options.readonly_paths,
            uid_mappings=_mappings(options, options.uid_mappings),
            gid_mappings=_mappings(options, options.gid_mappings),
            cgroups_path=options.cgroups_path,
        ),
    )


def effective_capabilities(options: SpecOptions) -> tuple[str, ...]:
    """The capability set: the options', else Tvix's for this form."""
    if options.capabilities is not None:
        return options.capabilities
    return facts.CAPABILITIES_ROOTLESS if options.rootless else facts.CAPABILITIES


def effective_namespaces(request: BuildRequest, options: SpecOptions) -> tuple[str, ...]:
    """The namespaces: the options', else Tvix's (no network namespace when the network is asked for)."""
    if options.namespaces is not None:
        return options.namespaces
    names = [name for name in facts.NAMESPACES if name != "cgroup" or options.cgroup_namespace]
    if request.constraints is None or not request.constraints.network_access:
        names.append("network")
    if options.rootless:
        names.append("user")
    return tuple(names)


def _mappings(options: SpecOptions, mappings: tuple[IdMapping, ...]) -> tuple[IdMap, ...] | None:
    if not options.rootless or not mappings:
        return None
    return tuple(IdMap(container_id=m.container_id, host_id=m.host_id, size=m.size) for m in mappings)


def _resources(limits: Limits | None) -> Resources:
    if not limits:
        return Resources()
    return Resources(
        memory=None if limits.memory is None else Memory(limit=limits.memory),
        pids=None if limits.pids is None else Pids(limit=limits.pids),
        cpu=None if limits.cpu is None else Cpu(quota=round(limits.cpu * CPU_PERIOD), period=CPU_PERIOD),
    )
