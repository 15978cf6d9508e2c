"""Isolation: what is planned from a Spec, and what the kernel said, from both sides."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from tvixbuild_nb.build import HostSide, IdRange, Inside, isolation_of
from tvixbuild_nb.oci import IdMapping, Limits, SpecOptions, capabilities_of, meanings, render_spec
from tvixbuild_nb.oci.capabilities import CAPABILITY_NAMES, LIMIT_LINES, NAMESPACE_FILES
from tvixbuild_nb.oci.options import KNOWN_CAPABILITIES, KNOWN_RLIMITS
from tvixbuild_nb.request import BuildConstraints, BuildRequest

REQUEST = BuildRequest(
    command_args=["/bin/true"],
    scratch_paths=["build"],
    constraints=BuildConstraints(system="x", network_access=True),
)
OPTIONS = SpecOptions(
    uid_mappings=(IdMapping(container_id=0, host_id=500), IdMapping(container_id=1000, host_id=501)),
    gid_mappings=(IdMapping(container_id=0, host_id=500), IdMapping(container_id=100, host_id=501)),
    limits=Limits(memory=1 << 20, cpu=1.5),
)
SPEC = render_spec(REQUEST, OPTIONS)
INSIDE = Inside(
    status={"NSpid": "17\t1", "CapBnd": "20", "CapEff": "0", "NoNewPrivs": "0", "Seccomp": "2"},
    uid_map=(IdRange(0, 500, 1), IdRange(1000, 501, 1)),
    gid_map=(IdRange(0, 500, 1), IdRange(100, 501, 1)),
    namespaces={"pid": "pid:[9]", "net": "net:[2]", "uts": "uts:[4]"},
    mountinfo=(),
    limits={"Max open files": ("1024", "1024", "files"), "Max processes": ("7", "8", "processes")},
    cgroup=("2:cpu:/x", "1:pids:/y", "0::/x"),
    modes={},
)
HOST = HostSide({"pid": "pid:[1]", "net": "net:[2]"}, {}, frozenset({"CAP_KILL"}), "here", {"/proc/kcore": False})


def test_every_name_has_its_number_and_meaning() -> None:
    assert len(CAPABILITY_NAMES) == 41 and set(CAPABILITY_NAMES) == KNOWN_CAPABILITIES == set(meanings.CAPABILITIES)
    assert set(LIMIT_LINES) == KNOWN_RLIMITS == set(meanings.RLIMITS)
    assert set(NAMESPACE_FILES) <= set(meanings.NAMESPACES)
    assert capabilities_of(0b100001) == {"CAP_CHOWN", "CAP_KILL"}
    assert capabilities_of(1 << 41) == {"CAP_41"} and capabilities_of(1 << 21) == {"CAP_SYS_ADMIN"}


def test_planned_from_the_spec_alone() -> None:
    value = isolation_of(SPEC, "planned")
    assert value.basis == "planned" and len(value.kept) == 14
    assert value.namespace("pid").own and not value.namespace("network").own
    assert [(row.kind, row.inside, row.outside) for row in value.ids][1] == ("uid", 1000, 501)
    assert value.capability("CAP_SYS_ADMIN").sets == () and len(value.capability("CAP_KILL").sets) == 5
    limits = {row.name: row for row in value.limits}
    assert limits["cgroup memory"].inside == ("1048576", "1048576") and limits["cgroup cpu"].inside == ("1.5", "1.5")
    assert limits["RLIMIT_NOFILE"].asked and limits["RLIMIT_AS"].inside is None
    with pytest.raises(KeyError):
        value.namespace("nonsense")


def test_what_the_kernel_said_wins() -> None:
    value = isolation_of(SPEC, "run", "configured", inside=INSIDE, host=HOST)
    assert value.basis == "observed" and value.outside == "the host"
    assert value.namespace("network").shared_with == "host" and value.namespace("pid").inside == "pid:[9]"
    assert value.capability("CAP_KILL").sets == ("bounding",) and value.capability("CAP_KILL").host
    aspects = {row.name: row for row in value.aspects}
    assert (aspects["process number"].host, aspects["process number"].inside) == ("17, as the keeper counts", "1")
    assert (aspects["uid"].host, aspects["uid"].inside) == ("501", "1000")
    assert "config.json asked otherwise" in aspects["new privileges"].inside
    assert aspects["system calls"].inside == "filtered by seccomp (mode 2)"
    assert aspects["cgroup"].host == "/x (unified, cpu); /y (pids)"
    assert {row.name: row.inside for row in value.limits}["RLIMIT_NPROC"] == ("7", "8")
    assert [row.exists for row in value.paths if row.path == "/proc/kcore"] == [False]
    text = str(value)
    assert "this kernel has no such path" in text and "NOT in force" in text


def test_ids_of_somebody_who_is_not_root_lead_through_the_keeper() -> None:
    mappings = (IdMapping(container_id=0, host_id=1001), IdMapping(container_id=1, host_id=100000, size=65536))
    host = replace(HOST, uid_ranges=mappings, gid_ranges=mappings)
    nested = OPTIONS.replace(
        uid_mappings=(IdMapping(container_id=0, host_id=0), IdMapping(container_id=1000, host_id=1)),
        gid_mappings=(IdMapping(container_id=0, host_id=0), IdMapping(container_id=100, host_id=1)),
    )
    value = isolation_of(render_spec(REQUEST, nested), "planned", host=host)
    assert value.outside == "the keeper's user namespace"
    assert [row.host for row in value.ids] == [1001, 100000, 1001, 100000]
    assert "1 -> 100000 on the host" in str(value)
    # Maps of one's own (without a keeper's namespace) are the host's at once.
    assert isolation_of(SPEC, "planned", host=host).outside == "the host"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_this_side() -> None:
    here = HostSide.here()
    assert here is not None and here.namespaces["pid"].startswith("pid:[") and "Max open files" in here.limits
