"""render_spec: equal to what Tvix printed, valid against the published schema, and where it deviates it says so."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from referencing import Registry
from referencing.jsonschema import DRAFT4

from support.request_strategies import requests
from tvixbuild_nb.castore import Digest, FileNode, SymlinkNode
from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci import (
    IdMapping,
    Limits,
    Spec,
    SpecOptions,
    User,
    deviations,
    host_output_paths,
    render_spec,
    scratch_name,
    scratch_of,
)
from tvixbuild_nb.request import BuildConstraints, BuildRequest

GOLDENS = json.loads((Path(__file__).parents[2] / "goldens" / "configs.json").read_text())
SCHEMA_PLACES = "share/gocode/src/github.com/opencontainers/runtime-spec/schema"
MAPS = (IdMapping(container_id=0, host_id=100000), IdMapping(container_id=1000, host_id=100001))
GROUPS = (IdMapping(container_id=0, host_id=100000), IdMapping(container_id=100, host_id=100001))


def with_sets(config: dict[str, Any]) -> dict[str, Any]:
    """Tvix's capability lists come in random order."""
    config = copy.deepcopy(config)
    capabilities = config["process"]["capabilities"]
    for kind, names in capabilities.items():
        assert len(set(names)) == len(names)
        capabilities[kind] = set(names)
    return config


@pytest.mark.parametrize("form", ["rootless", "root"])
@pytest.mark.parametrize("case", GOLDENS)
def test_tvix_printed_the_same(case: str, form: str) -> None:
    request = BuildRequest.from_json(GOLDENS[case]["request"])
    spec = render_spec(request, SpecOptions.tvix(rootless=form == "rootless", sandbox_shell="/opt/sh/sh"))
    assert with_sets(json.loads(spec.to_json())) == with_sets(GOLDENS[case][form])
    assert Spec.from_json(GOLDENS[case][form]).to_dict() == GOLDENS[case][form]


@pytest.mark.parametrize("case", GOLDENS)
def test_host_output_paths_are_tvix(case: str) -> None:
    request = BuildRequest.from_json(GOLDENS[case]["request"])
    assert [str(path) for path in host_output_paths(request, "bundle-root")] == GOLDENS[case]["host_output_paths"]


def test_an_output_belongs_to_the_longest_scratch_path() -> None:
    request = BuildRequest(command_args=["x"], scratch_paths=["a", "a/b"], outputs=["a/b", "a/b/c", "a/bc", "a/c/d"])
    at = Path("/b/scratch")
    outer, inner = at / scratch_name("a"), at / scratch_name("a/b")
    assert host_output_paths(request, "/b") == [inner, inner / "c", outer / "bc", outer / "c/d"]
    assert scratch_of("b/a", ("a",)) is None


def schema_validator() -> Draft4Validator:
    directory = next(
        (p for p in (Path("/usr") / SCHEMA_PLACES, Path("/usr/local") / SCHEMA_PLACES) if p.is_dir()), None
    )
    if directory is None:
        pytest.skip("the runtime-spec schema is not installed: golang-github-opencontainers-specs-dev")
    schemas = {path.name: json.loads(path.read_text()) for path in directory.glob("*.json")}
    registry: Registry[Any] = Registry().with_resources(
        [(name, DRAFT4.create_resource(schema)) for name, schema in schemas.items()]
    )
    return Draft4Validator(schemas["config-schema.json"], registry=registry)


OPTIONS = st.one_of(
    st.builds(SpecOptions.tvix, rootless=st.booleans()),
    st.builds(
        SpecOptions,
        rootless=st.booleans(),
        uid_mappings=st.sampled_from([(), MAPS]),
        gid_mappings=st.sampled_from([(), GROUPS]),
        limits=st.one_of(
            st.none(),
            st.builds(
                Limits,
                memory=st.one_of(st.none(), st.integers(1, 2**40)),
                pids=st.one_of(st.none(), st.integers(1, 4096)),
                cpu=st.one_of(st.none(), st.floats(0.01, 128)),
            ),
        ),
        cgroup_namespace=st.booleans(),
        cgroups_path=st.sampled_from([None, "/x/y"]),
        capabilities=st.sampled_from([None, (), ("CAP_KILL",)]),
        sys_recursively_readonly=st.booleans(),
    ),
)


def test_the_schema_refuses_nonsense() -> None:
    config = render_spec(BuildRequest(command_args=["x"]), SpecOptions()).to_dict()
    validator = schema_validator()
    assert validator.is_valid(config)
    config["linux"]["namespaces"].append({"type": "flavour"})
    assert not validator.is_valid(config)


@given(data=st.data())
def test_every_configuration_is_valid_by_the_published_schema(data: st.DataObject) -> None:
    validator = schema_validator()
    request, options = data.draw(requests()), data.draw(OPTIONS)
    spec = render_spec(request, options)
    validator.validate(json.loads(spec.to_json()))
    assert Spec.from_json(spec.to_json()) == spec


def plain(**changes: Any) -> BuildRequest:
    fields: dict[str, Any] = {"command_args": ["/bin/sh"], "scratch_paths": ["build"], "inputs_dir": "in"}
    return BuildRequest(**{**fields, **changes})


def test_our_defaults() -> None:
    request = plain(
        inputs={"link": SymlinkNode(b"/etc"), "file": FileNode(Digest.of(b"x"), 1)},
        constraints=BuildConstraints(system="x", provide_bin_sh=True),
    )
    config = render_spec(request, SpecOptions(uid_mappings=MAPS, gid_mappings=GROUPS)).to_dict()
    mounts = {mount["destination"]: mount for mount in config["mounts"]}
    assert "rro" in mounts["/sys"]["options"]
    assert "mode=1777" in mounts["/tmp"]["options"]
    assert "/in/link" not in mounts and mounts["/in/file"]["source"] == "inputs/file"
    assert mounts["/bin/sh"]["source"] == "/bin/busybox"
    assert config["process"]["terminal"] is False
    assert config["linux"]["uidMappings"] == [
        {"containerID": 0, "hostID": 100000, "size": 1},
        {"containerID": 1000, "hostID": 100001, "size": 1},
    ]
    assert "options" not in mounts["/proc"]


def test_options_of_the_user() -> None:
    options = SpecOptions(
        capabilities=["kill", "CAP_CHOWN"],
        rlimits={"nofile": 64, "RLIMIT_CORE": (0, 10)},
        masked_paths=["/proc/x"],
        readonly_paths=[],
        namespaces=["pid", "mount", "uts", "user"],
        hostname="box",
        no_new_privileges=False,
        user=User(uid=0, gid=0),
        limits=Limits(memory=2**30, pids=50, cpu=1.5),
        cgroups_path="/a/b",
        terminal=True,
    )
    config = render_spec(plain(), options).to_dict()
    process, linux = config["process"], config["linux"]
    assert process["capabilities"]["ambient"] == ["CAP_KILL", "CAP_CHOWN"]
    assert process["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "hard": 64, "soft": 64},
        {"type": "RLIMIT_CORE", "hard": 10, "soft": 0},
    ]
    assert (process["user"], process["noNewPrivileges"], process["terminal"]) == ({"uid": 0, "gid": 0}, False, True)
    assert [namespace["type"] for namespace in linux["namespaces"]] == ["pid", "mount", "uts", "user"]
    assert (linux["maskedPaths"], linux["readonlyPaths"], config["hostname"]) == (["/proc/x"], [], "box")
    assert linux["resources"] == {
        "devices": [],
        "memory": {"limit": 2**30},
        "pids": {"limit": 50},
        "cpu": {"quota": 150000, "period": 100000},
    }
    assert linux["cgroupsPath"] == "/a/b"
    by_name = {deviation.name: deviation for deviation in deviations(options)}
    assert {name for name, deviation in by_name.items() if deviation.asked_by == "user"} == {
        "capabilities", "rlimits", "masked_paths", "readonly_paths", "namespaces", "hostname", "no_new_privileges",
        "user", "limits",
    }  # fmt: skip
    assert by_name["limits"].ours == "memory 1073741824, pids 50, cpu 1.5"
    assert "terminal" not in by_name


def test_deviations_that_a_request_meets() -> None:
    options = SpecOptions(network_files=())
    assert {d.name for d in deviations(options)} - {d.name for d in deviations(options, plain())} == {
        "symlink inputs", "network files",
    }  # fmt: skip
    linked = plain(inputs={"a": SymlinkNode(b"b")}, additional_files={"x": b""})
    assert {"symlink inputs", "additional files"} <= {d.name for d in deviations(options, linked)}


def test_without_a_pid_or_ipc_namespace_the_kernel_mounts_neither_proc_nor_mqueue() -> None:
    options = SpecOptions(namespaces=["mount", "user"])
    mounts = {mount.destination: mount for mount in render_spec(plain(), options).mounts}
    assert (mounts["/proc"].type, mounts["/proc"].source) == ("none", "/proc")
    assert "/dev/mqueue" not in mounts


def test_without_a_uts_namespace_there_is_no_hostname() -> None:
    config = render_spec(plain(), SpecOptions(namespaces=["mount", "user"])).to_dict()
    assert "hostname" not in config


def test_deviations_are_told_with_their_reasons() -> None:
    assert deviations(SpecOptions.tvix()) == () == deviations(SpecOptions.tvix(rootless=False))[1:]
    ours = SpecOptions(uid_mappings=MAPS, gid_mappings=GROUPS, cgroup_namespace=False, network_files=("/etc/hosts",))
    found = {deviation.name: deviation for deviation in deviations(ours)}
    assert set(found) == {
        "terminal", "id maps", "/sys", "/tmp", "cgroup namespace", "symlink inputs", "/etc", "network files",
    }  # fmt: skip
    assert all(deviation.reason and deviation.asked_by in ("package", "host") for deviation in found.values())
    assert found["id maps"].ours == "uid 0 -> 100000, 1000 -> 100001; gid 0 -> 100000, 100 -> 100001"


@pytest.mark.parametrize(
    ("field", "index", "changes"),
    [
        ("capabilities", 1, {"capabilities": ["KILL", "FLY"]}),
        ("capabilities", None, {"capabilities": "KILL"}),
        ("capabilities", 1, {"capabilities": ["KILL", "CAP_KILL"]}),
        ("rlimits", 0, {"rlimits": {"NOFILES": 1}}),
        ("rlimits", 0, {"rlimits": {"NOFILE": (2, 1)}}),
        ("namespaces", 0, {"namespaces": ["pids"]}),
        ("namespaces", None, {"namespaces": ["pid", "mount"]}),
        ("namespaces", None, {"namespaces": ["pid", "user"]}),
        ("namespaces", None, {"rootless": False, "namespaces": ["mount", "user"]}),
        ("hostname", None, {"hostname": ""}),
        ("hostname", None, {"hostname": "x" * 65}),
        ("sandbox_shell", None, {"sandbox_shell": "busybox"}),
        ("limits.memory", None, {"limits": {"memory": 0}}),
        ("limits.cpu", None, {"limits": {"cpu": -1}}),
        ("uid_mappings", None, {"uid_mappings": MAPS[:1]}),
        ("masked_path", None, {"masked_path": []}),
        ("terminal", None, {"terminal": "perhaps"}),
    ],
)
def test_options_that_are_refused(field: str, index: int | None, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec) as caught:
        SpecOptions(**changes)
    assert (caught.value.path, caught.value.index) == (field, index)


def test_id_maps_follow_the_user() -> None:
    options = SpecOptions(uid_mappings=MAPS, gid_mappings=GROUPS)
    assert options.host_user == (100001, 100001)
    moved = options.replace(user=User(uid=7, gid=100))
    assert moved.host_user == (100001, 100001) and moved.host_id("uid", 7) == 100001
    assert options.replace(user=User(uid=0, gid=0)).host_user == (100000, 100000)
    assert options.host_id("uid", 5) is None
    assert IdMapping(container_id=10, host_id=20, size=5).maps(14) == 24


def test_a_configuration_that_cannot_be_read() -> None:
    for text in ("[", "[]", '{"ociVersion": "1"}'):
        with pytest.raises(InvalidSpec):
            Spec.from_json(text)
