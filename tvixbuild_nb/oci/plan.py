"""plan_bundle: everything a bundle will hold, decided before anything is made. Reads no file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci import etc, refusals
from tvixbuild_nb.oci.layout import Layout, Lookup, Need, Place
from tvixbuild_nb.oci.mounts import PlannedMount, host_output_paths, scratch_name
from tvixbuild_nb.oci.options import SpecOptions
from tvixbuild_nb.oci.render import render_spec
from tvixbuild_nb.oci.spec import Spec
from tvixbuild_nb.request import BuildRequest

MAX_NAME = 255
# Passable and nothing more: with a name nobody can guess, only the mapped root finds its way in.
BUNDLE_MODE = 0o711
Kind = Literal["directory", "file", "symlink"]
Why = Literal["bundle", "mount point", "parent", "symlink input", "additional file", "etc", "working_dir"]


@dataclass(frozen=True, slots=True)
class Made:
    """One thing to make: ``path`` is relative to the bundle, ``contents`` a file's bytes or a link's target."""

    path: str
    kind: Kind
    mode: int
    why: Why
    contents: bytes = b""


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """A bundle that does not exist yet.

    ``made`` in the order of making (parents first); ``mount_points``: directories, empty files and
    links made inside scratch directories, relative to the bundle, which the build did not write;
    ``premade``: those and the additional files there; ``owned``:
    what must belong to the build's user, ``owner`` in ids inside, ``host_owner`` outside (None without
    id maps); ``needs``: what must be in an input or on the host and could not be looked at here.
    """

    path: Path
    request: BuildRequest
    options: SpecOptions
    spec: Spec
    made: tuple[Made, ...]
    mount_points: tuple[str, ...]
    premade: tuple[str, ...]
    owned: tuple[str, ...]
    outputs: tuple[Path, ...]
    needs: tuple[Need, ...] = field(default=())

    @property
    def owner(self) -> tuple[int, int]:
        return self.options.user.uid, self.options.user.gid

    @property
    def host_owner(self) -> tuple[int, int] | None:
        return self.options.host_user

    def describe(self) -> str:
        """One line for each thing that will be made, in order."""
        lines = [f"mkdir {BUNDLE_MODE:04o} {self.path}"]
        owned = set(self.owned)
        for made in self.made:
            verb = {"directory": "mkdir", "file": "write", "symlink": "link"}[made.kind]
            tail = f" -> {made.contents.decode('utf-8', 'backslashreplace')}" if made.kind == "symlink" else ""
            size = f", {len(made.contents)} bytes" if made.kind == "file" and made.contents else ""
            who = f", for {self.owner[0]}:{self.owner[1]}" if made.path in owned else ""
            lines.append(f"{verb} {made.mode:04o} {made.path}{tail}  ({made.why}{size}{who})")
        return "\n".join(lines)


def plan_bundle(
    request: BuildRequest, options: SpecOptions, path: str | Path, *, lookup: Lookup | None = None
) -> BundlePlan:
    """Decide what the bundle at ``path`` holds; :class:`InvalidSpec` when no bundle can hold this request.

    Parameters: ``options`` as :func:`check_host` returned them (else host paths are taken for
    directories); ``path``, a directory that does not exist, whose name nobody can guess; ``lookup``
    reads a directory of an input by digest (``castore.directories.get``) and is needed to know whether
    a mount point inside a read-only input exists: without it the plan's ``needs`` say so.
    """
    layout = Layout(request, options, lookup)
    refusals.refuse_hidden(request, layout)
    plan = _Planner(layout)
    for name, mode in (("inputs", 0o755), ("root", 0o755), ("scratch", 0o711)):
        plan.directory(name, "bundle", mode)
    if not _etc_is_given(request):
        plan.directory("root/etc", "bundle")
    for scratch in request.scratch_paths:
        plan.directory(f"scratch/{scratch_name(scratch)}", "bundle")
    for mount, place in zip(layout.mounts, layout.points, strict=True):
        plan.mount_point(mount, place)
    plan.symlinks()
    plan.additional_files()
    plan.working_dir()
    if options.etc_files:
        plan.etc_files(options)
    refusals.refuse_hidden_outputs(request, layout)
    inside = [made for made in plan.made.values() if made.path.startswith("scratch/")]
    premade = [made for made in inside if made.why != "bundle"]
    return BundlePlan(
        path=Path(path),
        request=request,
        options=options,
        spec=render_spec(request, options),
        made=tuple(plan.made.values()),
        mount_points=tuple(made.path for made in premade if made.why != "additional file"),
        premade=tuple(made.path for made in premade),
        owned=tuple(made.path for made in inside),
        outputs=tuple(host_output_paths(request, path)),
        needs=tuple(plan.needs),
    )


class _Planner:
    """Collects what is to be made, parents first, and refuses two different things at one place."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        # runc 1.1 gives a tmpfs the mode of its mount point, crun that of the option: both say the same.
        self.tmp_mode = int(layout.options.tmp_mode, 8)
        self.made: dict[str, Made] = {}
        self.needs: list[Need] = []

    def directory(
        self, path: str, why: Why, mode: int = 0o755, field_name: str = "bundle", index: int | None = None
    ) -> None:
        known = self.made.get(path)
        if known is None:
            self._parents(path, field_name, index)
            self.made[path] = Made(path, "directory", mode, why)
        elif known.kind != "directory":
            raise InvalidSpec(
                f"{_inside(path)} would have to be a directory, and is a {known.kind} ({known.why})",
                path=field_name,
                index=index,
            )

    def leaf(self, made: Made, field_name: str, index: int | None) -> None:
        if made.path in self.made:
            what = self.made[made.path]
            raise InvalidSpec(
                f"{_inside(made.path)} is already a {what.kind} ({what.why})", path=field_name, index=index
            )
        self._parents(made.path, field_name, index)
        self.made[made.path] = made

    def _parents(self, path: str, field_name: str, index: int | None) -> None:
        parts = path.split("/")
        for part in parts:
            if len(part.encode("utf-8", "surrogateescape")) > MAX_NAME:
                raise InvalidSpec(f"a name has at most {MAX_NAME} bytes: {part!r}", path=field_name, index=index)
        for end in range(1, len(parts)):
            parent = "/".join(parts[:end])
            known = self.made.setdefault(parent, Made(parent, "directory", 0o755, "parent"))
            if known.kind != "directory":
                raise InvalidSpec(
                    f"{_inside(parent)} is a {known.kind} ({known.why}), nothing can be below it",
                    path=field_name,
                    index=index,
                )

    def mount_point(self, mount: PlannedMount, place: Place) -> None:
        purpose = f"the mount point {mount.destination} ({mount.asked_for_by})"
        if (path := bundle_path(place)) is not None:
            known = self.made.get(path)
            if mount.point == "directory":
                mode = self.tmp_mode if mount.destination == "/tmp" else 0o755
                self.directory(path, "mount point", mode, refusals.field_of(mount), mount.index)
            elif known is None or known.kind != "file":
                self.leaf(Made(path, "file", 0o644, "mount point"), refusals.field_of(mount), mount.index)
        elif place.where in ("input", "host"):
            self._need(place, mount.point, purpose)
        elif place.where == "kernel" and mount.kind != "sandbox":
            assert place.mount is not None
            raise InvalidSpec(
                f"{mount.destination} lies in the kernel's own {place.mount.destination}, where nothing can be mounted",
                path=refusals.field_of(mount),
                index=mount.index,
            )

    def symlinks(self) -> None:
        for index, (name, node) in enumerate(self.layout.request.inputs.items()):
            path = "/" + self.layout.request.input_path(name)
            if path not in self.layout.links:
                continue
            directory, _, last = path.rpartition("/")
            place = self.layout.locate(directory or "/", f"the symlink {path}")
            kept = bundle_path(place)
            if kept is None:
                raise InvalidSpec(
                    f"the symlink {path} cannot be made beforehand: {refusals.holder(place)} hides it",
                    path="inputs",
                    index=index,
                    hint="set another inputs_dir",
                )
            target = getattr(node, "target", b"")
            self.leaf(Made(f"{kept}/{last}", "symlink", 0o777, "symlink input", target), "inputs", index)

    def additional_files(self) -> None:
        request = self.layout.request
        for index, (path, contents) in enumerate(request.additional_files.items()):
            refusals.refuse_below_inputs(request, path, index)
            place = self.layout.locate("/" + path, f"the additional file {path}")
            kept = bundle_path(place)
            if kept is None:
                raise InvalidSpec(
                    f"{path!r} would not be seen: the mount at {refusals.holder(place)} hides it",
                    path="additional_files",
                    index=index,
                    hint="put it below a scratch path, or anywhere outside of the mounts",
                )
            self.leaf(Made(kept, "file", 0o644, "additional file", contents), "additional_files", index)

    def working_dir(self) -> None:
        path = f"/{self.layout.request.working_dir}"
        place = self.layout.locate(path, "the working directory")
        if place.mount is not None and place.mount.point == "file":
            raise InvalidSpec(f"{path} is at or below a file ({place.mount.asked_for_by})", path="working_dir")
        if (kept := bundle_path(place)) is not None:
            if (known := self.made.get(kept)) is not None and known.kind == "file":
                raise InvalidSpec(f"{path} is a file ({known.why})", path="working_dir")
            self.directory(kept, "working_dir", field_name="working_dir")
        elif place.where == "kernel" and place.rest:
            assert place.mount is not None
            raise InvalidSpec(
                f"{path} cannot be made in the kernel's own {place.mount.destination}",
                path="working_dir",
                hint="a scratch path is where a build can work",
            )
        elif place.where in ("input", "host"):
            self._need(place, "directory", "the working directory")

    def etc_files(self, options: SpecOptions) -> None:
        if _etc_is_given(self.layout.request):
            return
        for path, contents in etc.files(options, self.layout.request.working_dir).items():
            place = self.layout.locate(path, path)
            kept = "root" + path
            known = self.made.get(kept)
            # Hidden below an input or a scratch directory it would do nothing; an additional file is the user's own.
            if place.where != "root" or (known is not None and known.why != "mount point"):
                continue
            self.made[kept] = Made(kept, "file", 0o644, "etc", contents)

    def _need(self, place: Place, kind: Literal["directory", "file"], purpose: str) -> None:
        if (need := self.layout.need(place, kind, purpose)) is not None:
            self.needs.append(need)


def _etc_is_given(request: BuildRequest) -> bool:
    # An input at /etc, whatever it is, stands for the whole of it.
    return request.inputs_dir == "" and "etc" in request.inputs


def bundle_path(place: Place) -> str | None:
    """Where a place is in the bundle, or None when it is made elsewhere."""
    if place.where == "root":
        return "/".join(("root", *place.rest))
    if place.where == "scratch":
        assert place.mount is not None
        return "/".join((place.mount.mount.source, *place.rest))
    return None


def _inside(path: str) -> str:
    return path.removeprefix("root") if path.startswith("root/") else path
