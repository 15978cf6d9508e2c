"""Policies, cancellation, addresses, planning against host facts, usage, what was seen inside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tvixbuild_nb.build import (
    BuildPolicy,
    CancelToken,
    DummyBuildService,
    Inside,
    OCIBuildService,
    Usage,
    build_service_from_addr,
    host_memory,
    host_system,
)
from tvixbuild_nb.build.host import RuntimeProgram, find_runtime
from tvixbuild_nb.build.plan import HostFacts, plan_build
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import Cancelled, HostRefused, InvalidAddress, InvalidValue
from tvixbuild_nb.oci import Limits, SpecOptions
from tvixbuild_nb.request import BuildConstraints, BuildRequest


@pytest.mark.parametrize(
    ("field", "value"), [("timeout", 0), ("timeout", -1), ("grace", -1), ("keep", "maybe"), ("inputs", "magic")]
)
def test_a_policy_refuses_what_makes_no_sense_and_names_it(field: str, value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        BuildPolicy(**{field: value})
    assert caught.value.path == field


def test_cancellation_is_heard_before_and_after() -> None:
    token, heard = CancelToken(), []
    with token.heard_by(lambda: heard.append("early")):
        token.cancel()
        token.cancel()
    with token.heard_by(lambda: heard.append("late")):
        pass
    assert heard == ["early", "late"] and token.asked and token.wait(0)
    with pytest.raises(Cancelled):
        token.check()


def test_services_by_address() -> None:
    castore = open_castore("memory:")
    assert isinstance(build_service_from_addr("dummy:", castore), DummyBuildService)
    service = build_service_from_addr("oci:/some/where", castore)
    assert isinstance(service, OCIBuildService) and service.address == "oci:/some/where"
    for wrong in ("", "oci", "dummy", "dummy:x", "oci:relative", "http://x", "grpc"):
        with pytest.raises(InvalidAddress) as caught:
            build_service_from_addr(wrong, castore)
        assert caught.value.hint and ("dummy:" in caught.value.hint or "oci:/" in caught.value.hint)


def _facts(**changes: object) -> HostFacts:
    facts: dict[str, object] = {
        "root": True,
        "namespaces": True,
        "cgroups_refused": None,
        "runtime": RuntimeProgram("/usr/bin/runc", "runc"),
        "options": SpecOptions(),
        "degraded": (),
    }
    return HostFacts(**{**facts, **changes})


def _plan(request: BuildRequest, policy: BuildPolicy | None = None, **changes: object) -> object:
    return plan_build(request, policy or BuildPolicy(), _facts(**changes), Path("/b/token.random"), lambda digest: None)


def test_another_system_or_more_memory_than_there_is_is_refused_with_the_reason() -> None:
    with pytest.raises(HostRefused, match="riscv-plan9") as caught:
        _plan(BuildRequest(command_args=["x"], constraints=BuildConstraints(system="riscv-plan9")))
    assert caught.value.path == "constraints.system" and host_system() in str(caught.value)
    memory = host_memory()
    assert memory is not None
    with pytest.raises(HostRefused, match=str(memory)) as caught:
        _plan(
            BuildRequest(command_args=["x"], constraints=BuildConstraints(system=host_system(), min_memory=2 * memory))
        )
    assert caught.value.path == "constraints.min_memory"


def test_limits_without_a_cgroup_are_refused_with_the_kernels_reason() -> None:
    policy = BuildPolicy(options=SpecOptions(limits=Limits(pids=5)))
    with pytest.raises(HostRefused, match="Read-only file system") as caught:
        _plan(BuildRequest(command_args=["x"]), policy, cgroups_refused="Read-only file system: /sys/fs/cgroup")
    assert caught.value.path == "limits"


def test_the_form_with_host_root_inside_is_never_run() -> None:
    with pytest.raises(HostRefused, match="user namespace"):
        _plan(BuildRequest(command_args=["x"]), BuildPolicy(options=SpecOptions.tvix(rootless=False)))


def test_runtimes_are_found_or_refused() -> None:
    with pytest.raises(HostRefused, match="not a runtime"):
        find_runtime("docker")
    with pytest.raises(HostRefused, match="not installed"):
        find_runtime("/nowhere/runc")


def test_usage_says_where_its_figures_come_from() -> None:
    rusage = {"wall": 1.0, "cpu_user": 0.25, "cpu_system": 0.5, "peak_memory_process": 9}
    plain = Usage.from_keeper(rusage)
    assert (plain.cpu, plain.peak_memory) == (0.75, 9) and "largest single process" in plain.source
    exact = Usage.from_keeper({**rusage, "cgroup": {"peak_memory": 20, "cpu": 0.8, "oom_kills": 1}})
    assert (exact.cpu, exact.peak_memory, exact.oom_kills, exact.source) == (0.8, 20, 1, "cgroup")
    assert Usage.from_keeper({}).source == "the sandbox never ran"


def test_what_was_seen_inside_is_parsed(tmp_path: Path) -> None:
    assert Inside.read(tmp_path / "absent") is None
    texts = {
        "status": "Name:\trunc\nCapEff:\t00000000a80425fb\n",
        "uid_map": "         0     100000          1\n      1000     100001          1\n",
        "gid_map": "0 100000 1\n",
        "mountinfo": "26 20 0:23 / /a\\040b rw,nosuid shared:1 - tmpfs none rw,size=1k\n",
        "limits": "Limit\n" + f"{'Max open files':26}{'1024':21}{'2048':21}files\n",
        "cgroup": "0::/\n",
        "namespaces": {"pid": "pid:[1]"},
        "modes": {"/": {"mode": 0o40755, "uid": 0, "gid": 0}},
    }
    (tmp_path / "inside.json").write_text(json.dumps(texts))
    inside = Inside.read(tmp_path / "inside.json")
    assert inside is not None
    assert inside.status["CapEff"] == "00000000a80425fb"
    assert [(m.container_id, m.host_id, m.size) for m in inside.uid_map] == [(0, 100000, 1), (1000, 100001, 1)]
    mount = inside.mount("/a b")
    assert mount is not None and mount.type == "tmpfs" and mount.options == ("rw", "nosuid")
    assert mount.super_options == ("rw", "size=1k") and inside.mount("/x") is None
    assert inside.limits["Max open files"] == ("1024", "2048", "files")
