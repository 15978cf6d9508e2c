"""Options in words, the tree of /, planned beside seen, and options recovered from a configuration."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from support.request_strategies import requests
from tvixbuild_nb.castore import Digest, Directory, DirectoryNode, FileNode, SymlinkNode, directory_digest
from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci import (
    RootNode,
    SeenMount,
    SpecOptions,
    mount_table,
    option_meaning,
    recover_options,
    render_spec,
    root_view,
)
from tvixbuild_nb.oci.seen import differences
from tvixbuild_nb.request import BuildConstraints, BuildRequest

INSIDE_INPUT = Directory({b"bin": FileNode(Digest.of(b"b"), 1), b"lib": DirectoryNode(Digest.of(b"l"), 4)})
REQUEST = BuildRequest(
    command_args=["/bin/sh"],
    working_dir="build/work",
    scratch_paths=["build", "nix/store"],
    inputs_dir="nix/store",
    inputs={
        "d": DirectoryNode(directory_digest(INSIDE_INPUT), INSIDE_INPUT.size),
        "f": FileNode(Digest.of(b"x"), 7),
        "link": SymlinkNode(b"f"),
    },
    additional_files={"build/script": b"#!", "etc/motd": b"hi"},
    constraints=BuildConstraints(system="x", provide_bin_sh=True, available_ro_paths=["/opt/data"]),
)
OPTIONS = SpecOptions(sandbox_shell="/bin/busybox")


def seen(
    destination: str, *options: str, kind: str = "tmpfs", supers: tuple[str, ...] = ("rw",), **more: Any
) -> SeenMount:
    return SeenMount(destination, kind, kind, "/", options, supers, **more)


def test_every_option_of_ours_is_spelled_out() -> None:
    for options in (OPTIONS, SpecOptions.tvix(), SpecOptions.tvix(rootless=False)):
        for row in mount_table(REQUEST, options):
            assert all(option_meaning(option, row.type) for option in row.options), row
    assert "16 MiB" in str(option_meaning("size=16384k")) and "rw-rw-rw-" in str(option_meaning("ptmxmode=0666"))
    assert "pseudo-terminal" in str(option_meaning("mode=0620", "devpts"))
    assert option_meaning("size=50%") and option_meaning("mode=junk")
    assert option_meaning("frobnicate") is None and option_meaning("frob=1") is None


def node(root: RootNode, path: str) -> RootNode:
    found = root.find(path)
    assert found is not None, path
    return found


def test_the_tree_says_where_everything_comes_from() -> None:
    root = root_view(REQUEST, OPTIONS, {directory_digest(INSIDE_INPUT): INSIDE_INPUT}.get)
    assert not root.writable and node(root, "/build").writable and node(root, "/build/script").writable
    assert node(root, "/build/work").asked_for_by == "working_dir"
    assert (
        node(root, "/etc/motd").asked_for_by == "additional_files['etc/motd']" and not node(root, "/etc/motd").writable
    )
    assert "made for the sandbox" in node(root, "/etc/passwd").origin
    link = node(root, "/nix/store/link")
    assert (link.kind, link.target, link.asked_for_by) == ("symlink", "f", "inputs['link']")
    assert node(root, "/nix/store/d/bin").kind == "file" and not node(root, "/nix/store/d/bin").writable
    assert node(root, "/nix/store/d/lib").children is None
    assert node(root, "/opt/data").children is None and "of the host" in node(root, "/opt/data").origin
    assert node(root, "/bin/sh").kind == "file" and node(root, "/bin").writable is False
    assert node(root, "/dev/null").kind == "device" and node(root, "/dev/stdin").target == "/proc/self/fd/0"
    assert "masked path" in node(root, "/proc/kcore").origin and "read-only" in node(root, "/proc/sys").origin
    assert root.find("/nowhere/at/all") is None and root.find("/") is root
    assert root_view(REQUEST, OPTIONS).find("/nix/store/d").children is None
    assert str(root).splitlines()[0].startswith("/  (root/ of the bundle")


def test_what_is_hidden_is_not_in_the_tree() -> None:
    request = REQUEST.replace(scratch_paths=("build", "etc", "nix/store"), additional_files={"etc/motd": b""})
    root = root_view(request, OPTIONS)
    assert root.find("/etc/passwd") is None and node(root, "/etc/motd").writable
    with pytest.raises(InvalidSpec):
        root_view(REQUEST.replace(additional_files={"proc/x": b""}), OPTIONS)


@given(requests())
def test_a_tree_or_a_reason_for_every_request(request: BuildRequest) -> None:
    table = mount_table(request, OPTIONS)
    assert (table.root is None) == (table.refused is not None)
    if table.root is not None:
        for row in table:
            if row.shadowed_by is None and row.mounted_at is None:
                assert table.root.find(row.destination) is not None


@given(requests())
def test_options_recovered_render_the_same(request: BuildRequest) -> None:
    for options in (OPTIONS, SpecOptions.tvix()):
        spec = render_spec(request, options)
        assert render_spec(request, recover_options(request, spec)) == spec


def test_what_is_not_in_force() -> None:
    assert differences("tmpfs", ("nosuid", "mode=1777"), seen("/t", "rw", "nosuid", mode=0o1777)) == ()
    assert differences("tmpfs", ("mode=755",), seen("/t", "rw", supers=("mode=755",), mode=0o700)) == (
        "mode 0755 asked for, 0700 in force",
    )
    assert differences("none", ("ro", "nosuid"), seen("/t", "rw")) == (
        "ro asked for, rw in force",
        "nosuid asked for, not in force",
    )
    assert differences("none", ("rw",), seen("/t", "rw", supers=("ro",))) == ("rw asked for, ro in force",)
    assert differences("none", ("rbind", "rro"), seen("/t", "ro"), [seen("/t/x", "rw")]) == (
        "rro asked for, /t/x below it is writable",
    )
    assert (
        differences("devpts", ("mode=0620",), seen("/p", "rw", kind="devpts", supers=("mode=620",), mode=0o755)) == ()
    )
    assert differences("cgroup", ("ro",), seen("/c", "ro", kind="cgroup2")) == ()
    assert differences("proc", (), seen("/p", "rw")) == ("type proc asked for, tmpfs in force",)
    assert differences("tmpfs", ("size=64k",), seen("/p", "rw", supers=("size=32k",))) == (
        "size=64k asked for, 32k in force",
    )


def test_planned_beside_seen() -> None:
    hidden = REQUEST.replace(scratch_paths=("build", "nix/store", "tmp"))
    spec = render_spec(hidden, OPTIONS)
    below, above = seen("/tmp", "rw", "nosuid", "noatime", mode=0o755), seen("/tmp", "rw", kind="ext4", mode=0o755)
    extra = [seen("/", "ro", kind="ext4"), seen("/sys/kernel/x", "ro"), seen("/dev/tty", "rw"), seen("/proc/bus", "ro")]
    table = mount_table(hidden, OPTIONS).beside([*extra, seen("/sys", "ro", kind="sysfs"), below, above], spec)
    first, second = (row for row in table if row.destination == "/tmp")
    assert first.seen is not None and first.seen.type == "tmpfs" and first.seen.mode is None
    assert second.seen is above
    assert table.at("/proc").differs == ("asked for, not there",)
    assert table.at("/nix/store/link").differs == ()
    whys = {mount.seen.destination: mount.why for mount in table.unplanned}
    assert "root file system" in whys["/"] and "recursive bind at /sys" in whys["/sys/kernel/x"]
    assert "default device" in whys["/dev/tty"] and "read-only path" in whys["/proc/bus"]
    assert "asked for, not there" in str(table) and hash(table)
