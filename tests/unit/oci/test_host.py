"""for_host, check_host, plan_on_host: what this host has, and the words in which it is refused."""

from __future__ import annotations

import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tvixbuild_nb.errors import HostRefused, InvalidSpec
from tvixbuild_nb.oci import (
    HostPath,
    IdMapping,
    Problem,
    SpecOptions,
    User,
    cgroup_layout,
    check_host,
    find_shell,
    is_static,
    plan_on_host,
)
from tvixbuild_nb.oci.host import UNLISTED_IDS, two_ids
from tvixbuild_nb.request import BuildConstraints, BuildRequest

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def request(**constraints: Any) -> BuildRequest:
    return BuildRequest(
        command_args=["x"], scratch_paths=["build"], constraints=BuildConstraints(system="x", **constraints)
    )


def elf(*kinds: int) -> bytes:
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, len(kinds), 0, 0, 0)
    )
    return head + b"".join(struct.pack("<I", kind).ljust(56, b"\0") for kind in kinds)


def executable(path: Path, data: bytes, mode: int = 0o755) -> str:
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("data", "mode", "expected"),
    [
        (elf(1, 1), 0o755, True),
        (elf(1, 3), 0o755, False),
        (elf(1), 0o644, False),
        (elf(), 0o755, False),
        (elf(1)[:70], 0o755, False),
        (b"#!/bin/sh\n" * 20, 0o755, False),
        (b"", 0o755, False),
    ],
)
def test_static(tmp_path: Path, data: bytes, mode: int, expected: bool) -> None:
    assert is_static(executable(tmp_path / "sh", data, mode)) is expected


def test_static_of_what_is_no_file(tmp_path: Path) -> None:
    assert not is_static(str(tmp_path)) and not is_static(str(tmp_path / "none"))


@linux
def test_real_programs() -> None:
    assert not is_static("/bin/ls")


def test_the_configured_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = executable(tmp_path / "sh", elf(1))
    (tmp_path / "link").symlink_to("sh")
    monkeypatch.setenv("TVIXBUILD_NB_SANDBOX_SHELL", str(tmp_path / "link"))
    assert find_shell() == os.path.realpath(shell)
    monkeypatch.setenv("TVIXBUILD_NB_SANDBOX_SHELL", executable(tmp_path / "dynamic", elf(3)))
    assert find_shell() is None
    options = SpecOptions.for_host()
    (problem,) = [problem for problem in options.problems if problem.kind == "sandbox-shell"]
    assert "TVIXBUILD_NB_SANDBOX_SHELL" in problem.message


def test_for_host_is_quick_and_never_fails() -> None:
    SpecOptions.for_host()
    started = time.perf_counter()
    for _ in range(20):
        options = SpecOptions.for_host()
    assert (time.perf_counter() - started) / 20 < 0.05
    assert options.rootless and not options.terminal
    changed = SpecOptions.for_host(user=User(uid=5, gid=6), hostname="box")
    assert (changed.user.uid, changed.hostname) == (5, "box")
    if options.uid_mappings:
        assert changed.host_id("uid", 5) == options.host_id("uid", 1000)
    assert SpecOptions.for_host(user={"uid": 0, "gid": 0}).user.uid == 0


def test_for_host_asks_about_the_keepers_namespaces() -> None:
    with pytest.raises(InvalidSpec) as caught:
        SpecOptions.for_host(namespaces=["pid"])
    assert "replace" in str(caught.value)


@linux
def test_root_never_maps_the_hosts_root(root: None) -> None:
    options = SpecOptions.for_host()
    hosts = [mapping.host_id for mapping in (*options.uid_mappings, *options.gid_mappings)]
    assert hosts and all(host > 0 for host in hosts)
    bad = options.replace(uid_mappings=(IdMapping(container_id=0, host_id=0, size=2000),))
    with pytest.raises(HostRefused) as caught:
        check_host(request(), bad)
    assert caught.value.path == "uid_mappings"


def file(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_which_two_ids_root_takes(tmp_path: Path) -> None:
    full = file(tmp_path / "full", "         0          0 4294967295\n")
    none, listed = file(tmp_path / "none", ""), file(tmp_path / "listed", "a:100000:65536\nroot:300000:65536\n")
    assert two_ids(none, full, []) == UNLISTED_IDS
    assert two_ids(str(tmp_path / "missing"), full, []) == UNLISTED_IDS
    assert two_ids(listed, full, [(300000, 65536)]) == 300000
    high = file(tmp_path / "high", f"a:{UNLISTED_IDS}:65536\n")
    assert two_ids(high, full, []) == UNLISTED_IDS + 65536
    rootless = file(tmp_path / "rootless", "0 1000 1\n1 100000 65536\n")
    assert two_ids(none, rootless, []) == 65537 - 16
    assert two_ids(none, file(tmp_path / "one", "0 1000 1\n"), []) is None


def test_cgroup_layouts(tmp_path: Path) -> None:
    assert cgroup_layout(str(tmp_path)) == "none"
    (tmp_path / "memory").mkdir()
    assert cgroup_layout(str(tmp_path)) == "v1"
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified" / "cgroup.controllers").touch()
    assert cgroup_layout(str(tmp_path)) == "hybrid"
    (tmp_path / "cgroup.controllers").touch()
    assert cgroup_layout(str(tmp_path)) == "v2"


def refused(field: str, index: int | None, made: BuildRequest, options: SpecOptions) -> str:
    with pytest.raises(HostRefused) as caught:
        check_host(made, options)
    assert (caught.value.path, caught.value.index) == (field, index)
    assert caught.value.hint
    return str(caught.value)


def test_host_paths_are_resolved_once(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("dir")
    (tmp_path / "file").touch()
    paths = [str(tmp_path / name) for name in ("dir", "file", "link")]
    real = os.path.realpath(tmp_path)
    options = check_host(request(available_ro_paths=paths), SpecOptions())
    assert options.host_paths == (
        HostPath(path=paths[0], resolved=f"{real}/dir", kind="directory"),
        HostPath(path=paths[1], resolved=f"{real}/file", kind="file"),
        HostPath(path=paths[2], resolved=f"{real}/dir", kind="directory"),
    )


def test_host_paths_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    field = "constraints.available_ro_paths"
    refused(field, 1, request(available_ro_paths=["/", str(tmp_path / "none")]), SpecOptions())
    assert "dangling" in refused(field, 0, request(available_ro_paths=[str(tmp_path / "dangling")]), SpecOptions())


def test_problems_become_refusals(tmp_path: Path) -> None:
    problem = Problem(kind="uid-range", message="no range", hint="usermod")
    refused("uid-range", None, request(), SpecOptions(problems=(problem,)))
    mapped = SpecOptions(problems=(problem,), uid_mappings=(IdMapping(container_id=0, host_id=5, size=2000),))
    assert check_host(request(), mapped) == mapped
    no_shell = SpecOptions(problems=(Problem(kind="sandbox-shell", message="none", hint="busybox-static"),))
    assert check_host(request(), no_shell) == no_shell
    refused("constraints.provide_bin_sh", None, request(provide_bin_sh=True), no_shell)
    dynamic = SpecOptions(sandbox_shell=executable(tmp_path / "sh", elf(3)))
    assert "static" in refused("constraints.provide_bin_sh", None, request(provide_bin_sh=True), dynamic)
    refused("rootless", None, request(), SpecOptions(rootless=False))


def test_what_has_to_lie_inside_a_path_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    made = request(available_ro_paths=[str(tmp_path)]).replace(working_dir=f"{tmp_path}/sub".lstrip("/"))
    assert plan_on_host(made, SpecOptions(), "/bundle").needs
    with pytest.raises(HostRefused):
        plan_on_host(made.replace(working_dir=f"{tmp_path}/none".lstrip("/")), SpecOptions(), "/bundle")
