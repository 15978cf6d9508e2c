"""The mounts of a sandbox, in order, each with who asked for it: what the Spec and the table are made of."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from blake3 import blake3

from tvixbuild_nb.castore.nodes import DirectoryNode, Node, SymlinkNode
from tvixbuild_nb.oci import facts
from tvixbuild_nb.oci.options import SpecOptions
from tvixbuild_nb.oci.spec import Mount
from tvixbuild_nb.request import BuildRequest

MountKind = Literal["sandbox", "scratch", "input", "ro_path", "shell", "network"]


@dataclass(frozen=True, slots=True)
class PlannedMount:
    """A mount, what kind it is, the request's field that asked for it, and what its mount point must be."""

    mount: Mount
    kind: MountKind
    asked_for_by: str
    point: Literal["directory", "file"]
    node: Node | None = None
    index: int | None = None

    @property
    def destination(self) -> str:
        return self.mount.destination


def takes_writes(mount: Mount) -> bool:
    """Whether a build can write somewhere in the mount, as far as its type and options say."""
    return mount.type in ("none", "tmpfs", "mqueue", "devpts") and not {"ro", "rro"} & set(mount.options or ())


def scratch_name(path: str) -> str:
    """The name below ``scratch/`` of a scratch path: BASE32 (RFC 4648, padded) of its BLAKE3."""
    return base64.b32encode(blake3(path.encode()).digest()).decode("ascii")


def scratch_of(path: str, scratch_paths: tuple[str, ...]) -> tuple[str, str] | None:
    """The longest scratch path that holds ``path``, and the rest of it (empty when they are equal)."""
    holding = [scratch for scratch in scratch_paths if path == scratch or path.startswith(scratch + "/")]
    if not holding:
        return None
    scratch = max(holding, key=len)
    return scratch, path[len(scratch) + 1 :]


def host_output_paths(request: BuildRequest, bundle_path: str | Path) -> list[Path]:
    """Where each output is on the host, in the request's order: the longest scratch path holding it, then the rest."""
    found = []
    for output in request.outputs:
        held = scratch_of(output, request.scratch_paths)
        assert held is not None, "a request's outputs lie below its scratch paths"
        scratch, rest = held
        found.append(Path(bundle_path) / "scratch" / scratch_name(scratch) / rest)
    return found


def planned_mounts(request: BuildRequest, options: SpecOptions) -> list[PlannedMount]:
    """Every mount in the order of config.json: the sandbox's own, scratch, inputs, host paths, shell, network."""
    return [
        *(PlannedMount(mount, "sandbox", "sandbox", "directory") for mount in _sandbox(options)),
        *_scratch(request),
        *_inputs(request, options),
        *_host(request, options),
    ]


def symlink_inputs(request: BuildRequest, options: SpecOptions) -> dict[str, SymlinkNode]:
    """The inputs that are made as symlinks where they belong instead of being mounted, by path inside."""
    if not options.symlink_inputs_as_symlinks:
        return {}
    return {
        "/" + request.input_path(name): node for name, node in request.inputs.items() if isinstance(node, SymlinkNode)
    }


def _sandbox(options: SpecOptions) -> Iterator[Mount]:
    # In a user namespace the kernel mounts proc and mqueue only for whoever has a pid and an ipc namespace too.
    shared = options.rootless and options.namespaces is not None
    if shared and "pid" not in (options.namespaces or ()):
        yield _mount("/proc", "none", "/proc", "nosuid", "noexec", "nodev", "rbind")
    else:
        yield Mount(destination="/proc", type="proc", source="proc")
    yield _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k")
    # The group tty is not mapped in a user namespace: runc would refuse gid=5.
    pts_group = () if options.rootless else ("gid=5",)
    yield _mount(
        "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *pts_group
    )
    yield _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k")
    if not shared or "ipc" in (options.namespaces or ()):
        yield _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")
    if options.rootless:
        recursive = ("rro",) if options.sys_recursively_readonly else ()
        yield _mount("/sys", "none", "/sys", "nosuid", "noexec", "nodev", "ro", "rbind", *recursive)
    else:
        yield _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro")
    yield _mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
    yield _mount("/tmp", "tmpfs", "tmpfs", "nosuid", "noatime", f"mode={options.tmp_mode}")


def _scratch(request: BuildRequest) -> Iterator[PlannedMount]:
    for index, path in enumerate(request.scratch_paths):
        mount = _mount(f"/{path}", "none", f"scratch/{scratch_name(path)}", "rbind", "rw")
        yield PlannedMount(mount, "scratch", f"scratch_paths[{index}]", "directory", index=index)


def _inputs(request: BuildRequest, options: SpecOptions) -> Iterator[PlannedMount]:
    links = symlink_inputs(request, options)
    for index, (name, node) in enumerate(request.inputs.items()):
        path = f"/{request.input_path(name)}"
        if path in links:
            continue
        # Without nosuid and nodev the bind of a FUSE file system fails with a bare permission error.
        mount = _mount(path, "none", f"inputs/{name}", "rbind", "ro", "nosuid", "nodev")
        point: Literal["directory", "file"] = "directory" if isinstance(node, DirectoryNode) else "file"
        yield PlannedMount(mount, "input", f"inputs[{name!r}]", point, node, index)


def _host(request: BuildRequest, options: SpecOptions) -> Iterator[PlannedMount]:
    constraints = request.constraints
    if constraints is None:
        return
    for index, path in enumerate(constraints.available_ro_paths):
        known = options.host_path(path)
        mount = _mount(path, "none", known.resolved if known else path, "rbind", "ro")
        asked = f"constraints.available_ro_paths[{index}]"
        yield PlannedMount(mount, "ro_path", asked, known.kind if known else "directory", index=index)
    if constraints.provide_bin_sh:
        shell = options.sandbox_shell or facts.SANDBOX_SHELL
        yield PlannedMount(
            _mount(facts.SHELL_PATH, "none", shell, "rbind", "ro"), "shell", "constraints.provide_bin_sh", "file"
        )
    if constraints.network_access:
        for path in options.network_files:
            known = options.host_path(path)
            mount = _mount(path, "none", known.resolved if known else path, "rbind", "ro")
            yield PlannedMount(mount, "network", "constraints.network_access", "file")


def _mount(destination: str, type_: str, source: str, *options: str) -> Mount:
    return Mount(destination=destination, type=type_, source=source, options=options)
