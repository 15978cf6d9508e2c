"""What no bundle can hold: each check raises InvalidSpec with the request's field and position."""

from __future__ import annotations

from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci.layout import Layout, Place, covers
from tvixbuild_nb.oci.mounts import PlannedMount, scratch_of
from tvixbuild_nb.request import BuildRequest

OWN = ("/proc", "/dev", "/sys", "/tmp")


def refuse_hidden(request: BuildRequest, layout: Layout) -> None:
    """No mount hides another that the request asks for, nor the sandbox's own file systems."""
    for mount in layout.mounts:
        if mount.kind == "sandbox":
            continue
        path = mount.destination
        if path == "/":
            raise InvalidSpec("a mount at / would hide the whole sandbox", path=field_of(mount), index=mount.index)
        if covers("/proc", path) or path == "/sys" or (mount.kind == "input" and path in OWN) or path == "/dev":
            raise InvalidSpec(
                f"{path} is the sandbox's own, nothing else can be mounted there",
                path=field_of(mount),
                index=mount.index,
                hint="leave it out: every sandbox has its own /proc, /dev, /sys and /tmp",
            )
    for path in OWN:
        if path in layout.links:
            raise InvalidSpec(
                f"{path} is the sandbox's own, no symlink can be there",
                path="inputs",
                index=list(request.inputs).index(path[1:]),
                hint="leave it out: every sandbox has its own /proc, /dev, /sys and /tmp",
            )
    taken = {"/" + request.input_path(name): name for name in request.inputs}
    for index, scratch in enumerate(request.scratch_paths):
        for path, name in taken.items():
            if covers(path, f"/{scratch}"):
                raise InvalidSpec(
                    f"{scratch!r} would be hidden by the input {name!r} at {path}",
                    path="scratch_paths",
                    index=index,
                    hint="set another inputs_dir, or another scratch path",
                )
    hosts = [mount for mount in layout.mounts if mount.kind in ("ro_path", "shell", "network")]
    for mount in hosts:
        for other in layout.mounts:
            if other.kind in ("scratch", "input") and covers(mount.destination, other.destination):
                raise InvalidSpec(
                    f"{mount.destination} would hide {other.destination} ({other.asked_for_by})",
                    path=field_of(mount),
                    index=mount.index,
                )


def refuse_hidden_outputs(request: BuildRequest, layout: Layout) -> None:
    """Every output can be written: nothing is mounted over it, and no symlink input leads away from it."""
    for index, output in enumerate(request.outputs):
        place = layout.locate(f"/{output}", f"the output {output}")
        held = scratch_of(output, request.scratch_paths)
        if place.where != "scratch" or held is None or place.path != f"/{output}":
            raise InvalidSpec(
                f"{output!r} cannot be written: {holder(place)} is mounted over it", path="outputs", index=index
            )


def refuse_below_inputs(request: BuildRequest, path: str, index: int) -> None:
    """An additional file is not below inputs_dir; when that is empty, not at or below an input's path."""
    if request.inputs_dir:
        if covers(request.inputs_dir, path):
            raise InvalidSpec(
                f"{path!r} lies below inputs_dir ({request.inputs_dir!r})",
                path="additional_files",
                index=index,
                hint="give it as an input, or put it elsewhere",
            )
        return
    for name in request.inputs:
        if covers(name, path):
            raise InvalidSpec(
                f"{path!r} lies at or below the input {name!r}",
                path="additional_files",
                index=index,
                hint="put it into that input, or set another inputs_dir",
            )


def field_of(mount: PlannedMount) -> str:
    """The field of the request that asked for a mount, without the position."""
    fields = {"scratch": "scratch_paths", "input": "inputs", "ro_path": "constraints.available_ro_paths"}
    return fields.get(mount.kind, mount.asked_for_by)


def holder(place: Place) -> str:
    """What holds or hides a place, in words."""
    return place.path if place.mount is None else f"{place.mount.destination} ({place.mount.asked_for_by})"
