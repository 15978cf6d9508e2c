"""The options a configuration was rendered with, as far as it tells: for runs of which only config.json is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from tvixbuild_nb.castore.nodes import SymlinkNode
from tvixbuild_nb.oci import facts
from tvixbuild_nb.oci.options import HostPath, IdMapping, SpecOptions
from tvixbuild_nb.oci.spec import IdMap, Mount, Spec
from tvixbuild_nb.request import BuildRequest


def recover_options(request: BuildRequest, spec: Spec) -> SpecOptions:
    """Options with which ``request`` is rendered as ``spec``.

    What config.json does not tell stays at its default: ``etc_files``, and limits (:attr:`Spec.linux` has them in
    the kernel's units); host paths other than the network's files are taken for directories.
    """
    mounts = {mount.destination: mount for mount in spec.mounts}
    names = tuple(namespace.type for namespace in spec.linux.namespaces)
    process = spec.process
    return SpecOptions(
        rootless="user" in names,
        sandbox_shell=_shell(request, spec),
        uid_mappings=_mappings(spec.linux.uid_mappings),
        gid_mappings=_mappings(spec.linux.gid_mappings),
        terminal=process.terminal,
        user=process.user,
        capabilities=process.capabilities.bounding,
        rlimits=process.rlimits,
        masked_paths=spec.linux.masked_paths,
        readonly_paths=spec.linux.readonly_paths,
        namespaces=names,
        hostname=spec.hostname or facts.HOSTNAME,
        no_new_privileges=process.no_new_privileges,
        cgroups_path=spec.linux.cgroups_path,
        **_from_mounts(request, spec, mounts),
    )


def _from_mounts(request: BuildRequest, spec: Spec, mounts: Mapping[str, Mount]) -> dict[str, Any]:
    links = ["/" + request.input_path(name) for name, node in request.inputs.items() if isinstance(node, SymlinkNode)]
    tmp = next((mount for mount in spec.mounts if (mount.destination, mount.type) == ("/tmp", "tmpfs")), None)
    sys = mounts.get("/sys")
    return {
        "symlink_inputs_as_symlinks": not any(path in mounts for path in links),
        "tmp_mode": "700" if tmp is not None and "mode=700" in (tmp.options or ()) else "1777",
        "sys_recursively_readonly": sys is not None and "rro" in (sys.options or ()),
        "network_files": tuple(path for path in facts.NETWORK_FILES if path in mounts),
        "host_paths": tuple(_host_paths(request, mounts)),
    }


def _host_paths(request: BuildRequest, mounts: Mapping[str, Mount]) -> Iterator[HostPath]:
    asked = () if request.constraints is None else request.constraints.available_ro_paths
    for path in (*asked, *facts.NETWORK_FILES):
        if path in mounts and mounts[path].source != path:
            kind: Literal["file", "directory"] = "directory" if path in asked else "file"
            yield HostPath(path=path, resolved=mounts[path].source, kind=kind)


def _shell(request: BuildRequest, spec: Spec) -> str | None:
    if request.constraints is None or not request.constraints.provide_bin_sh:
        return None
    found = [mount.source for mount in spec.mounts if mount.destination == facts.SHELL_PATH]
    return found[-1] if found and found[-1].startswith("/") else None


def _mappings(maps: tuple[IdMap, ...] | None) -> tuple[IdMapping, ...]:
    return tuple(IdMapping(container_id=m.container_id, host_id=m.host_id, size=m.size) for m in maps or ())
