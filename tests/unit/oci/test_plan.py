"""plan_bundle and Bundle.create: what a bundle holds, and which requests none can hold."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from support.request_strategies import requests
from tvixbuild_nb.castore import Digest, Directory, DirectoryNode, FileNode, Node, SymlinkNode, directory_digest
from tvixbuild_nb.errors import InvalidSpec, SetupFailed
from tvixbuild_nb.oci import Bundle, BundlePlan, HostPath, IdMapping, SpecOptions, plan_bundle, scratch_name
from tvixbuild_nb.request import BuildConstraints, BuildRequest

FILE = FileNode(Digest.of(b"hello"), 5)
EMPTY = DirectoryNode(Digest.of(b""), 0)


def request(**changes: Any) -> BuildRequest:
    fields: dict[str, Any] = {
        "command_args": ["/bin/sh"],
        "scratch_paths": ["build", "nix/store"],
        "working_dir": "build",
        "inputs_dir": "nix/store",
    }
    return BuildRequest(**{**fields, **changes})


def constraints(**fields: Any) -> BuildConstraints:
    return BuildConstraints(system="x86_64-linux", **fields)


def plan(options: SpecOptions | None = None, lookup: Any = None, **changes: Any) -> BundlePlan:
    return plan_bundle(request(**changes), options or SpecOptions(), "/bundle", lookup=lookup)


def kinds(made: BundlePlan) -> dict[str, str]:
    return {entry.path: entry.kind for entry in made.made}


def scratch(path: str, *rest: str) -> str:
    return "/".join(("scratch", scratch_name(path), *rest))


class Store:
    """Directories in memory, and the lookup over them."""

    def __init__(self) -> None:
        self.directories: dict[Digest, Directory] = {}

    def put(self, **entries: Node) -> DirectoryNode:
        directory = Directory({name.encode(): node for name, node in entries.items()})
        self.directories[directory_digest(directory)] = directory
        return DirectoryNode(directory_digest(directory), directory.size)


def refused(field: str, index: int | None, **changes: Any) -> str:
    with pytest.raises(InvalidSpec) as caught:
        plan(**changes)
    assert (caught.value.path, caught.value.index) == (field, index)
    return str(caught.value)


def test_the_layout() -> None:
    made = kinds(plan())
    for path in ("inputs", "root", "scratch", "root/etc", scratch("build"), scratch("nix/store")):
        assert made[path] == "directory"
    for path in ("root/proc", "root/dev", "root/sys", "root/tmp", "root/build", "root/nix", "root/nix/store"):
        assert made[path] == "directory"
    modes = {entry.path: entry.mode for entry in plan().made}
    assert modes["root/tmp"] == 0o1777


def test_parents_come_first() -> None:
    seen: set[str] = set()
    for entry in plan(inputs={"a": FILE}, additional_files={"x/y/z": b""}).made:
        parent = entry.path.rpartition("/")[0]
        assert not parent or parent in seen
        seen.add(entry.path)


def test_mount_points_have_the_right_type_and_place() -> None:
    links = {"dir": EMPTY, "file": FILE, "link": SymlinkNode(b"/etc")}
    made = plan(inputs=links)
    found = kinds(made)
    assert found[scratch("nix/store", "dir")] == "directory"
    assert found[scratch("nix/store", "file")] == "file"
    assert found[scratch("nix/store", "link")] == "symlink"
    expected = {scratch("nix/store", name) for name in links}
    assert set(made.mount_points) == expected == set(made.premade)
    assert set(made.owned) == expected | {scratch("build"), scratch("nix/store")}
    assert all(mount.destination != "/nix/store/link" for mount in made.spec.mounts)
    elsewhere = kinds(plan(inputs=links, inputs_dir="opt"))
    assert (elsewhere["root/opt/dir"], elsewhere["root/opt/file"]) == ("directory", "file")
    assert elsewhere["root/opt/link"] == "symlink"
    assert kinds(plan(inputs={"usr": EMPTY}, inputs_dir=""))["root/usr"] == "directory"


def test_nested_scratch_paths_and_inputs_inside_scratch() -> None:
    made = plan(
        scratch_paths=["build", "build/sub", "build/sub/deep/er"],
        inputs_dir="build/sub/in",
        inputs={"x": FILE},
        outputs=["build/sub/out", "build/sub"],
        working_dir="build/sub/w",
    )
    found = kinds(made)
    assert found[scratch("build", "sub")] == "directory"
    assert found[scratch("build/sub", "deep")] == found[scratch("build/sub", "deep", "er")] == "directory"
    assert found[scratch("build/sub", "in", "x")] == "file"
    assert found[scratch("build/sub", "w")] == "directory"
    assert made.outputs == (Path("/bundle") / scratch("build/sub"), Path("/bundle") / scratch("build/sub", "out"))


def test_host_paths_and_shell() -> None:
    options = SpecOptions(
        host_paths=(
            HostPath(path="/a/file", resolved="/real", kind="file"),
            HostPath(path="/nix/store/dir", resolved="/d", kind="directory"),
        )
    )
    made = plan(options, constraints=constraints(available_ro_paths=["/a/file", "/nix/store/dir"], provide_bin_sh=True))
    found = kinds(made)
    assert (found["root/a/file"], found["root/bin/sh"]) == ("file", "file")
    assert found[scratch("nix/store", "dir")] == "directory"
    assert {m.destination: m.source for m in made.spec.mounts}["/a/file"] == "/real"


def test_additional_files() -> None:
    made = plan(additional_files={"build/src/x": b"1", "opt/y": b"2", "etc/passwd": b"mine"})
    contents = {entry.path: entry.contents for entry in made.made if entry.kind == "file"}
    assert contents[scratch("build", "src", "x")] == b"1"
    assert contents["root/opt/y"] == b"2"
    assert contents["root/etc/passwd"] == b"mine"
    assert b"nixbld" in contents["root/etc/group"]
    assert scratch("build", "src", "x") in made.premade and scratch("build", "src", "x") not in made.mount_points
    assert set(made.owned) >= {scratch("build", "src"), scratch("build", "src", "x")}


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("nix/store", {}),
        ("nix/store/x", {}),
        ("nix/store/tmp/x", {"scratch_paths": ["nix/store/tmp"]}),
        ("opt/x", {"inputs_dir": "opt"}),
        ("proc/x", {}),
        ("dev/x", {}),
        ("dev/shm/x", {}),
        ("sys/x", {}),
        ("tmp/x", {}),
        ("tmp", {}),
        ("bin", {"inputs_dir": "", "inputs": {"bin": EMPTY}}),
        ("bin/x", {"inputs_dir": "", "inputs": {"bin": EMPTY}}),
        ("bin/x", {"inputs_dir": "", "inputs": {"bin": SymlinkNode(b"usr")}}),
        ("bin/sh", {"constraints": constraints(provide_bin_sh=True)}),
        ("bin/sh/x", {"constraints": constraints(provide_bin_sh=True)}),
        ("etc/hosts", {"constraints": constraints(network_access=True)}),
        ("a/b", {"constraints": constraints(available_ro_paths=["/a"])}),
        ("build", {}),
        ("nix", {"inputs_dir": "opt"}),
        ("etc", {}),
        ("x" * 256, {}),
    ],
)
def test_additional_files_that_are_refused(path: str, changes: dict[str, Any]) -> None:
    refused("additional_files", 0, additional_files={path: b""}, **changes)


def test_additional_files_beside_inputs_at_the_root() -> None:
    made = kinds(plan(inputs_dir="", inputs={"bin": EMPTY}, additional_files={"binary": b"", "lib/x": b""}))
    assert made["root/binary"] == made["root/lib/x"] == "file"


def test_a_file_cannot_hold_another() -> None:
    refused("additional_files", 1, additional_files={"a": b"", "a/b": b""})


@pytest.mark.parametrize(
    ("field", "index", "changes"),
    [
        ("scratch_paths", 0, {"scratch_paths": ["a/b"], "inputs_dir": "", "inputs": {"a": EMPTY}}),
        ("scratch_paths", 0, {"scratch_paths": ["a"], "inputs_dir": "", "inputs": {"a": EMPTY}}),
        ("scratch_paths", 0, {"scratch_paths": ["a/b"], "inputs_dir": "", "inputs": {"a": SymlinkNode(b"c")}}),
        ("scratch_paths", 0, {"scratch_paths": ["proc/x"]}),
        ("scratch_paths", 0, {"scratch_paths": ["sys/x"]}),
        ("scratch_paths", 0, {"scratch_paths": ["dev"]}),
        ("inputs", 0, {"inputs_dir": "proc", "inputs": {"x": EMPTY}}),
        ("inputs", 0, {"inputs_dir": "sys/fs", "inputs": {"x": EMPTY}}),
        ("inputs", 0, {"inputs_dir": "", "inputs": {"tmp": EMPTY}}),
        ("inputs", 0, {"inputs_dir": "", "inputs": {"dev": EMPTY}}),
        ("inputs", 0, {"inputs_dir": "", "inputs": {"proc": SymlinkNode(b"a")}}),
        ("inputs", 1, {"inputs_dir": "", "inputs": {"a": FILE, "tmp": SymlinkNode(b"a")}}),
        ("working_dir", None, {"working_dir": "sys/a/b"}),
        ("working_dir", None, {"working_dir": "proc/none"}),
        (
            "inputs",
            0,
            {"inputs_dir": "", "inputs": {"a": FILE}, "constraints": constraints(available_ro_paths=["/a/b"])},
        ),
        ("inputs", 0, {"inputs_dir": "tmp", "inputs": {"link": SymlinkNode(b"x")}}),
        ("constraints.available_ro_paths", 0, {"constraints": constraints(available_ro_paths=["/"])}),
        ("constraints.available_ro_paths", 0, {"constraints": constraints(available_ro_paths=["/nix"])}),
        ("constraints.available_ro_paths", 0, {"constraints": constraints(available_ro_paths=["/build"])}),
        ("constraints.available_ro_paths", 0, {"constraints": constraints(available_ro_paths=["/proc/cpuinfo"])}),
        ("constraints.available_ro_paths", 0, {"constraints": constraints(available_ro_paths=["/sys/kernel"])}),
        ("outputs", 0, {"outputs": ["nix/store/a/b"], "inputs": {"a": EMPTY}}),
        ("outputs", 0, {"outputs": ["build/h/x"], "constraints": constraints(available_ro_paths=["/build/h"])}),
        ("working_dir", None, {"working_dir": "opt/f/g", "additional_files": {"opt/f/g": b""}}),
        ("working_dir", None, {"working_dir": "nix/store/a", "inputs": {"a": FILE}}),
        ("working_dir", None, {"working_dir": "bin/sh", "constraints": constraints(provide_bin_sh=True)}),
    ],
)
def test_what_no_sandbox_can_hold(field: str, index: int | None, changes: dict[str, Any]) -> None:
    refused(field, index, **changes)


def test_mount_points_inside_a_read_only_input() -> None:
    store = Store()
    with_shell, without = store.put(sh=FILE), store.put(other=FILE)
    shell = {"inputs_dir": "", "constraints": constraints(provide_bin_sh=True)}
    lookup = store.directories.get
    made = plan(lookup=lookup, inputs={"bin": with_shell}, **shell)
    assert made.needs == () and "root/bin/sh" not in kinds(made)
    assert "'sh'" in refused("inputs", 0, lookup=lookup, inputs={"bin": without}, **shell)
    refused("inputs", 0, lookup=lookup, inputs={"bin": store.put(sh=EMPTY)}, **shell)
    refused("inputs", 0, lookup=lookup, inputs={"bin": FILE}, **shell)
    refused("inputs", 0, inputs={"bin": FILE}, **shell)
    (need,) = plan(inputs={"bin": with_shell}, **shell).needs
    assert (need.where, need.path, need.kind) == ("input", "sh", "file")
    with pytest.raises(InvalidSpec):
        Bundle.create(plan(inputs={"bin": with_shell}, **shell))


def test_mount_points_behind_links() -> None:
    store = Store()
    lookup = store.directories.get
    shell = {"inputs_dir": "", "constraints": constraints(provide_bin_sh=True)}
    usr = store.put(bin=store.put(sh=SymlinkNode(b"busybox"), busybox=FILE))
    merged = {"bin": SymlinkNode(b"usr/bin"), "usr": usr}
    assert plan(lookup=lookup, inputs=merged, **shell).needs == ()
    absolute = {"bin": SymlinkNode(b"/usr/../usr/./bin"), "usr": usr}
    assert plan(lookup=lookup, inputs=absolute, **shell).needs == ()
    broken = store.put(bin=store.put(sh=SymlinkNode(b"nothing")))
    refused("inputs", 1, lookup=lookup, inputs={**merged, "usr": broken}, **shell)
    # A link that leads nowhere in particular: the mount point is made where it leads.
    assert kinds(plan(inputs={"bin": SymlinkNode(b"opt/bin")}, **shell))["root/opt/bin/sh"] == "file"
    around = {"bin": SymlinkNode(b"bin")}
    with pytest.raises(InvalidSpec, match="too many symlinks"):
        plan(inputs=around, **shell)


def test_the_working_directory() -> None:
    assert kinds(plan(working_dir="opt/w"))["root/opt/w"] == "directory"
    assert kinds(plan(working_dir="build/a/b"))[scratch("build", "a", "b")] == "directory"
    assert plan(working_dir="").spec.process.cwd == "/"
    assert plan(working_dir="tmp/x").spec.process.cwd == "/tmp/x"
    store = Store()
    source = store.put(sub=store.put(x=FILE))
    inputs = {"src": source}
    assert plan(lookup=store.directories.get, inputs=inputs, working_dir="nix/store/src/sub").needs == ()
    refused("inputs", 0, lookup=store.directories.get, inputs=inputs, working_dir="nix/store/src/none")


def test_an_etc_of_ones_own() -> None:
    linked = kinds(plan(inputs_dir="", inputs={"etc": SymlinkNode(b"x")}))
    assert linked["root/etc"] == "symlink" and "root/x/passwd" not in linked
    assert kinds(plan(inputs_dir="", inputs={"etc": FILE}))["root/etc"] == "file"
    around = kinds(plan(inputs_dir="", inputs={"etc": SymlinkNode(b"etc")}))
    assert around["root/etc"] == "symlink"
    covered = kinds(plan(inputs_dir="", inputs={"etc": EMPTY}))
    assert covered["root/etc"] == "directory" and "root/etc/passwd" not in covered
    assert "root/etc/passwd" not in kinds(plan(SpecOptions(etc_files=False)))


MAPS = {
    "uid_mappings": (IdMapping(container_id=0, host_id=70000), IdMapping(container_id=1000, host_id=70001)),
    "gid_mappings": (IdMapping(container_id=0, host_id=70000), IdMapping(container_id=100, host_id=70002)),
}


def test_owner() -> None:
    made = plan(SpecOptions(**MAPS))
    assert (made.owner, made.host_owner) == ((1000, 100), (70001, 70002))
    assert plan().host_owner is None


@given(requests())
def test_a_plan_or_a_refusal_that_names_the_field(made: BuildRequest) -> None:
    try:
        planned = plan_bundle(made, SpecOptions(), "/bundle")
    except InvalidSpec as error:
        assert error.path is not None and error.path.split(".")[0] in BuildRequest.model_fields
        return
    paths = [entry.path for entry in planned.made]
    assert len(set(paths)) == len(paths)
    assert all(".." not in path.split("/") for path in paths)
    assert set(planned.mount_points) <= set(planned.premade) <= set(planned.owned)
    assert planned.describe()


def test_create(tmp_path: Path) -> None:
    wanted = request(
        inputs={"file": FILE, "link": SymlinkNode(b"\xff/x")}, additional_files={"build/f": b"text", "opt/f": b""}
    )
    old = os.umask(0o077)
    try:
        planned = plan_bundle(wanted, SpecOptions(), tmp_path / "bundle")
        bundle = Bundle.create(planned)
    finally:
        os.umask(old)
    assert stat.S_IMODE(bundle.path.stat().st_mode) == 0o711
    for entry in planned.made:
        status = (bundle.path / entry.path).lstat()
        if entry.kind == "symlink":
            assert os.readlink(os.fsencode(bundle.path / entry.path)) == entry.contents
        else:
            assert stat.S_IMODE(status.st_mode) == entry.mode
            assert stat.S_ISDIR(status.st_mode) == (entry.kind == "directory")
    assert (bundle.scratch / scratch_name("build") / "f").read_bytes() == b"text"
    assert bundle.spec == planned.spec
    assert sorted(os.listdir(bundle.path)) == ["config.json", "inputs", "root", "scratch"]
    assert (bundle.config, bundle.root, bundle.inputs) == tuple(
        bundle.path / name for name in ("config.json", "root", "inputs")
    )
    with pytest.raises(SetupFailed):
        Bundle.create(planned)
    assert bundle.config.exists()


def test_a_bundle_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    planned = plan_bundle(request(working_dir="/".join(["d" * 250] * 20)), SpecOptions(), tmp_path / "bundle")
    with pytest.raises(SetupFailed) as caught:
        Bundle.create(planned)
    assert caught.value.stage == "bundle"
    assert os.listdir(tmp_path) == []
    with pytest.raises(SetupFailed):
        Bundle.create(plan_bundle(request(), SpecOptions(), tmp_path / "no" / "bundle"))
