"""Preview: a rendering that explains itself, knows whether it is valid, and can be compared."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from support.request_strategies import requests
from tvixbuild_nb.castore import SymlinkNode
from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci import HostPath, Limits, Preview, SpecOptions, User
from tvixbuild_nb.oci.compare import differences
from tvixbuild_nb.oci.options import IdMapping
from tvixbuild_nb.oci.validity import check_config, published_schema
from tvixbuild_nb.request import BuildConstraints, BuildRequest
from tvixbuild_nb.request.redactor import Redactor

GOLDENS = json.loads((Path(__file__).parents[2] / "goldens" / "configs.json").read_text())
MAPS = {
    "uid_mappings": (IdMapping(container_id=0, host_id=100000), IdMapping(container_id=1000, host_id=100001)),
    "gid_mappings": (IdMapping(container_id=0, host_id=100000), IdMapping(container_id=100, host_id=100001)),
}
OPTIONS = (
    SpecOptions(),
    SpecOptions(**MAPS, cgroup_namespace=False, network_files=("/etc/hosts",)),
    SpecOptions(
        hostname="other",
        capabilities=["kill", "sys_time"],
        rlimits={"nofile": 4096, "core": 0},
        masked_paths=["/proc/kcore", "/x"],
        readonly_paths=(),
        no_new_privileges=False,
        limits=Limits(memory=1 << 20, pids=3, cpu=0.5),
        user=User(uid=7, gid=8),
        tmp_mode="700",
    ),
    SpecOptions(namespaces=("mount", "user"), sys_recursively_readonly=False),
    SpecOptions(rootless=False),
    SpecOptions.tvix(),
)
REQUEST = BuildRequest(
    command_args=["/bin/sh", "-c", "true"],
    working_dir="build",
    scratch_paths=["build", "nix/store"],
    outputs=["nix/store/out"],
    environment_vars={"HOME": "/homeless", "TOKEN": "hunter22"},
    constraints=BuildConstraints(system="x86_64-linux", provide_bin_sh=True),
)


def resolve(config: Any, path: str) -> Any:
    from tvixbuild_nb.oci.explanation import keys_of

    for key in keys_of(path):
        config = config[int(key)] if isinstance(config, list) else config[key]
    return config


@given(request=requests(), options=st.sampled_from(OPTIONS))
def test_every_difference_from_tvix_has_its_reason(request: BuildRequest, options: SpecOptions) -> None:
    preview = Preview(request, options)
    for row in preview.diff("tvix"):
        assert row.reason, row
        if row.kind != "theirs only":
            assert resolve(preview.config, row.path) == row.ours or row.kind == "order"
            assert row.asked_by
    assert set(preview.deviating) <= set(preview.explanations)


@given(request=requests(), options=st.sampled_from(OPTIONS))
def test_is_itself(request: BuildRequest, options: SpecOptions) -> None:
    preview = Preview(request, options)
    assert len(preview.diff(preview)) == 0
    assert str(preview.diff(preview.spec)) == "no difference from the other configuration"
    assert preview.validity.ok, preview.validity
    assert preview.config == preview.spec.to_dict()


@pytest.mark.parametrize("form", ["rootless", "root"])
@pytest.mark.parametrize("case", GOLDENS)
def test_what_tvix_printed_differs_in_nothing(case: str, form: str) -> None:
    """Compared as sets: the order of capabilities is random there."""
    request = BuildRequest.from_json(GOLDENS[case]["request"])
    preview = Preview(request, SpecOptions.tvix(rootless=form == "rootless", sandbox_shell="/opt/sh/sh"))
    assert list(preview.diff(GOLDENS[case][form])) == []
    assert preview.deviating == {}


def test_differences_are_told_by_name() -> None:
    preview = Preview(REQUEST, SpecOptions())
    rows = {row.where: row for row in preview.diff()}
    assert set(rows) == {"mounts[/sys].options[rro]", "mounts[/tmp].options[mode]", "process.terminal"}
    assert (rows["mounts[/tmp].options[mode]"].ours, rows["mounts[/tmp].options[mode]"].theirs) == (
        "mode=1777",
        "mode=700",
    )
    assert rows["mounts[/sys].options[rro]"].kind == "ours only"
    other = Preview(REQUEST.replace(environment_vars={"HOME": "/root"}, scratch_paths=["nix/store"]), SpecOptions())
    rows = {row.where: row for row in preview.diff(other)}
    assert rows["process.env[HOME]"].theirs == "HOME=/root"
    assert rows["process.env[HOME]"].asked_by == "environment_vars['HOME']"
    assert rows["mounts[/build]"].ours["destination"] == "/build"
    assert {row.where: row for row in other.diff(preview)}["mounts[/build]"].path == "/mounts"


def test_the_order_of_mounts_counts() -> None:
    config = Preview(REQUEST, SpecOptions()).config
    turned = {**config, "mounts": config["mounts"][::-1]}
    (row,) = differences(config, turned)
    assert (row.where, row.kind) == ("mounts (order)", "order")


def test_names_that_occur_twice_and_members_without_a_name() -> None:
    ours = {"mounts": [{"destination": "/a", "type": "x"}, {"destination": "/a", "type": "y"}, "odd"]}
    theirs = {"mounts": [{"destination": "/a", "type": "x"}, {"destination": "/a", "type": "z"}, "odd"]}
    (row,) = differences(ours, theirs)
    assert (row.where, row.path, row.ours, row.theirs) == ("mounts[/a#2].type", "/mounts/1/type", "y", "z")


def test_symlink_inputs_and_host_paths_are_known() -> None:
    request = BuildRequest(
        command_args=["x"],
        inputs={"link": SymlinkNode(b"/etc")},
        constraints=BuildConstraints(system="x", available_ro_paths=["/usr"]),
    )
    options = SpecOptions(host_paths=(HostPath(path="/usr", resolved="/elsewhere", kind="directory"),))
    reasons = {row.where: row.reason for row in Preview(request, options).diff()}
    assert "follows the link" in (reasons["mounts[/link]"] or "")
    assert "resolved once" in (reasons["mounts[/usr].source"] or "")


def test_nothing_secret_is_shown() -> None:
    redactor = Redactor({"TOKEN": b"hunter22"})
    request = REQUEST.replace(command_args=["/bin/sh", "-c", "curl -H hunter22"])
    preview = Preview(request, SpecOptions(), redactor)
    other = Preview(
        REQUEST.replace(environment_vars={"TOKEN": "swordfish"}), SpecOptions(), Redactor({"TOKEN": b"swordfish"})
    )
    shown = [
        json.dumps(preview.config),
        str(preview.diff(other)),
        json.dumps(preview.diff(other).to_dicts()),
        json.dumps(preview.diff({}).to_dicts()),
        drawn(preview),
        drawn(preview.diff(other)),
        repr(preview.validity),
        str(preview),
        repr(preview),
        json.dumps([each.to_dict() for each in preview.explanations.values()]),
    ]
    for text in shown:
        assert "hunter22" not in text and "swordfish" not in text
    assert "process.env[TOKEN]" in {row.where for row in preview.diff(other)}
    assert "hunter22" in preview.spec.to_json()


def drawn(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def test_draws_itself_without_harm() -> None:
    request = REQUEST.replace(environment_vars={"A": "\x1b]0;x\x07\u202e[bold]"})
    preview = Preview(request, SpecOptions())
    text = drawn(preview)
    assert "mounts" in text and "not as Tvix: /tmp" in text and "[bold]" in text
    assert "\x1b" not in text and "\u202e" not in text
    assert "\x1b" not in drawn(preview.diff({})) + str(preview.diff({}))


def test_printed_it_is_its_tree_and_its_repr_is_short() -> None:
    preview = Preview(REQUEST, SpecOptions())
    lines = str(preview).splitlines()
    assert lines[0].startswith("config.json: valid") and any("not as Tvix: /tmp" in line for line in lines)
    assert max(map(len, lines)) <= 120 and not any(line.endswith(" ") for line in lines)
    assert repr(preview) == "<Preview of /bin/sh -c true>"
    many = REQUEST.replace(command_args=["x\x1b" * 100], inputs={f"i{n}": SymlinkNode(b"x") for n in range(9)})
    huge = Preview(many.replace(environment_vars={f"A{n}": "x" * 100 for n in range(500)}), SpecOptions())
    assert len(repr(huge)) < 80 and "\x1b" not in repr(huge) + str(huge)
    shown = str(huge).splitlines()
    assert len(shown) == 301 and shown[-1].endswith("more lines not shown)")


def test_what_there_is_nothing_to_compare_with() -> None:
    preview = Preview(REQUEST, SpecOptions())
    with pytest.raises(InvalidSpec, match="run the sandbox first"):
        preview.diff("last run")
    with pytest.raises(InvalidSpec, match="'tvix', 'runc' or 'last run'"):
        preview.diff("podman")


def test_the_last_run_has_its_own_reasons() -> None:
    preview = Preview(REQUEST, SpecOptions())
    run = Preview(REQUEST, SpecOptions(cgroups_path="/x/c")).config
    (row,) = Preview(REQUEST, SpecOptions(), last_run=lambda: run).diff("last run")
    assert (row.where, row.reason) == ("linux.cgroupsPath", "every run has a cgroup of its own")
    assert len(preview.diff(run)) == 1


def test_validity_says_what_is_wrong_and_by_what() -> None:
    config = Preview(REQUEST, SpecOptions()).config
    validity = check_config(config)
    assert validity.ok and "model" in str(validity)
    broken = {**config, "process": {**config["process"], "cwd": 7}}
    found = check_config(broken)
    assert not found.ok and "cwd" in str(found)
    validator, note = published_schema()
    assert ("the published schema" in found.checked_by) == (validator is not None)
    assert (note is None) == (validator is not None)
