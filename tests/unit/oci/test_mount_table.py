"""MountTable: a value that shows every mount, who asked for it, and what hides what."""

from __future__ import annotations

import json

from rich.console import Console

from tvixbuild_nb.castore import Digest, DirectoryNode, FileNode, SymlinkNode
from tvixbuild_nb.oci import SpecOptions, mount_table, render_spec
from tvixbuild_nb.request import BuildConstraints, BuildRequest

REQUEST = BuildRequest(
    command_args=["/bin/sh"],
    scratch_paths=["build", "tmp"],
    inputs_dir="build/in",
    inputs={
        "file": FileNode(Digest.of(b"x"), 7),
        "dir": DirectoryNode(Digest.of(b""), 6),
        "link": SymlinkNode(b"/etc"),
    },
    constraints=BuildConstraints(system="x", available_ro_paths=["/etc/ssl"], provide_bin_sh=True, network_access=True),
)


def test_rows_are_the_mounts_of_the_configuration_in_order() -> None:
    table = mount_table(REQUEST, SpecOptions())
    mounts = render_spec(REQUEST, SpecOptions()).mounts
    assert [row.destination for row in table][: len(mounts)] == [mount.destination for mount in mounts]
    assert [row.options for row in table][: len(mounts)] == [mount.options or () for mount in mounts]
    assert (table[-1].type, table[-1].source, table[-1].asked_for_by) == ("symlink", "/etc", "inputs['link']")
    assert mount_table(REQUEST, SpecOptions.tvix())[-1].type == "none"


def test_who_asked_and_what_it_is() -> None:
    table = mount_table(REQUEST, SpecOptions(), bundle="/b")
    row = table.at("/build/in/file")
    assert row is not None
    assert (row.digest, row.size, row.asked_for_by) == (str(Digest.of(b"x")), 7, "inputs['file']")
    assert (row.source, row.host_source, row.writable) == ("inputs/file", "/b/inputs/file", False)
    directory, shell, scratch = table.at("/build/in/dir"), table.at("/bin/sh"), table.at("/build")
    assert directory is not None and directory.size == 3
    assert shell is not None and shell.asked_for_by == "constraints.provide_bin_sh"
    assert scratch is not None and scratch.writable and scratch.asked_for_by == "scratch_paths[0]"
    assert table.at("/nowhere") is None
    assert [r.asked_for_by for r in table if r.destination == "/etc/ssl"] == ["constraints.available_ro_paths[0]"]
    assert {r.asked_for_by for r in table if r.destination == "/etc/hosts"} == {"constraints.network_access"}


def test_what_hides_what() -> None:
    table = mount_table(REQUEST, SpecOptions())
    hidden, hiding = (row for row in table if row.destination == "/tmp")
    assert (hidden.shadowed_by, hiding.shadows) == ("/tmp", ("/tmp",))
    assert all(row.shadowed_by is None for row in table if row.destination.startswith("/build"))


def test_it_shows_itself() -> None:
    table = mount_table(REQUEST, SpecOptions())
    text = str(table)
    assert (
        "constraints.provide_bin_sh" in text and "hidden by /tmp" in text and len(text.splitlines()) == len(table) + 1
    )
    assert json.loads(json.dumps(table.to_dicts()))[0]["destination"] == "/proc"
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    assert "/dev/shm" in console.export_text()
    assert "text/plain" in table._repr_mimebundle_()
    assert hash(table) == hash(mount_table(REQUEST, SpecOptions()))
