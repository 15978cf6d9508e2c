"""explain: nothing in a configuration without an explanation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.request_strategies import requests
from tvixbuild_nb.oci import Explanation, Limits, Preview, SpecOptions, User, explain, render_spec
from tvixbuild_nb.oci.explain import RULES
from tvixbuild_nb.oci.explanation import keys_of, parts, pointer
from tvixbuild_nb.oci.meanings import CAPABILITIES, NAMESPACES, RLIMITS
from tvixbuild_nb.oci.options import KNOWN_CAPABILITIES, KNOWN_NAMESPACES, KNOWN_RLIMITS, IdMapping
from tvixbuild_nb.request import BuildConstraints, BuildRequest

GOLDENS = json.loads((Path(__file__).parents[2] / "goldens" / "configs.json").read_text())
# The anchors of the runtime-spec's documents (v1.1.0) and the headings behind them.
SECTIONS = {
    "config.md": {
        "configuration": "Configuration",
        "configSpecificationVersion": "Specification version",
        "configRoot": "Root",
        "configMounts": "Mounts",
        "configLinuxMountOptions": "Linux mount options",
        "configProcess": "Process",
        "configPOSIXProcess": "POSIX process",
        "configLinuxProcess": "Linux Process",
        "configPOSIXUser": "POSIX-platform User",
        "configHostname": "Hostname",
        "platform-specific-configuration": "Platform-specific configuration",
        "configAnnotations": "Annotations",
    },
    "config-linux.md": {
        "configLinuxNamespaces": "Namespaces",
        "configLinuxUserNamespaceMappings": "User namespace mappings",
        "configLinuxControlGroups": "Control groups",
        "configLinuxCgroupsPath": "Cgroups Path",
        "configLinuxDeviceAllowedlist": "Allowed Device list",
        "configLinuxMemory": "Memory",
        "configLinuxCPU": "CPU",
        "configLinuxPIDS": "PIDs",
        "configLinuxMaskedPaths": "Masked Paths",
        "configLinuxReadonlyPaths": "Readonly Paths",
    },
}
# Which of them speak of which part.
ABOUT = {
    "/ociVersion": ("configSpecificationVersion",),
    "/root": ("configRoot",),
    "/hostname": ("configHostname",),
    "/annotations": ("configAnnotations",),
    "/mounts": ("configMounts", "configLinuxMountOptions"),
    "/process/user": ("configPOSIXUser",),
    "/process/capabilities": ("configLinuxProcess",),
    "/process/noNewPrivileges": ("configLinuxProcess",),
    "/process": ("configProcess", "configPOSIXProcess"),
    "/linux/namespaces": ("configLinuxNamespaces",),
    "/linux/uidMappings": ("configLinuxUserNamespaceMappings",),
    "/linux/gidMappings": ("configLinuxUserNamespaceMappings",),
    "/linux/maskedPaths": ("configLinuxMaskedPaths",),
    "/linux/readonlyPaths": ("configLinuxReadonlyPaths",),
    "/linux/cgroupsPath": ("configLinuxCgroupsPath",),
    "/linux/resources/memory": ("configLinuxMemory",),
    "/linux/resources/cpu": ("configLinuxCPU",),
    "/linux/resources/pids": ("configLinuxPIDS",),
    "/linux/resources/devices": ("configLinuxDeviceAllowedlist",),
}
UIDS = (IdMapping(container_id=0, host_id=100000), IdMapping(container_id=1000, host_id=100001, size=5))
GIDS = (IdMapping(container_id=0, host_id=100000), IdMapping(container_id=100, host_id=100001))
EVERYTHING = SpecOptions(
    uid_mappings=UIDS,
    gid_mappings=GIDS,
    limits=Limits(memory=1 << 30, pids=100, cpu=1.5),
    cgroups_path="/x/c",
    masked_paths=("/proc/kcore", "/odd"),
    readonly_paths=("/proc/sys", "/odd"),
)
OPTIONS = (
    EVERYTHING,
    SpecOptions(),
    SpecOptions.tvix(),
    SpecOptions.tvix(rootless=False),
    SpecOptions(namespaces=("mount", "user"), capabilities=(), user=User(uid=0, gid=0), rlimits=()),
)


def leaves(value: Any) -> list[str]:
    return [path for path, part in parts(value) if not isinstance(part, dict | list)]


def assert_complete(path: str, explanation: Explanation) -> None:
    """All four parts are there, and the link leads to where the specification speaks of it."""
    assert explanation.path == path
    for text in (explanation.what, explanation.asked_by, explanation.without):
        assert len(text.strip()) > 3, (path, explanation)
    reference = explanation.reference
    assert SECTIONS[reference.document][reference.anchor] == reference.section
    assert reference.url.endswith(f"/{reference.document}#{reference.anchor}")
    place = next((known for known in ABOUT if path == known or path.startswith(f"{known}/")), None)
    assert place is None or reference.anchor in ABOUT[place], (path, reference)


@pytest.mark.parametrize("rootless", [True, False])
@pytest.mark.parametrize("tvix", [True, False])
@pytest.mark.parametrize("case", GOLDENS)
def test_every_part_of_what_tvix_prints_is_explained(case: str, tvix: bool, rootless: bool) -> None:
    request = BuildRequest.from_json(GOLDENS[case]["request"])
    options = SpecOptions.tvix(rootless=rootless) if tvix else EVERYTHING.replace(rootless=rootless)
    preview = Preview(request, options)
    printed = {path for path, _ in parts(GOLDENS[case]["rootless" if rootless else "root"])}
    assert not tvix or printed == set(preview.explanations)
    for path, explanation in preview.explanations.items():
        assert_complete(path, explanation)
    # What config --explain prints has the same, of every part.
    for part in preview.explained():
        assert part["path"] in preview.explanations
        assert all(part[name] for name in ("what", "asked_by", "specified_in", "url", "without"))


@given(request=requests(), options=st.sampled_from(OPTIONS))
def test_every_part_of_every_configuration_is_explained(request: BuildRequest, options: SpecOptions) -> None:
    config = render_spec(request, options).to_dict()
    found = explain(request, options)
    assert list(found) == [path for path, _ in parts(config)]
    assert set(leaves(config)) <= set(found)
    for path, explanation in found.items():
        assert_complete(path, explanation)


def test_no_rule_is_for_nothing() -> None:
    """Every pattern occurs in some configuration."""
    request = BuildRequest(
        command_args=["/bin/sh"],
        environment_vars={"A": "1"},
        constraints=BuildConstraints(system="x", provide_bin_sh=True),
    )
    used = {
        "".join("/*" if key.isdigit() else f"/{key}" for key in keys_of(path)) for path in explain(request, EVERYTHING)
    }
    assert used == set(RULES)


def test_every_name_an_option_may_have_has_a_meaning() -> None:
    assert set(CAPABILITIES) == KNOWN_CAPABILITIES
    assert set(RLIMITS) == KNOWN_RLIMITS
    assert set(NAMESPACES) >= KNOWN_NAMESPACES


def test_says_who_asked() -> None:
    request = BuildRequest(
        command_args=["/bin/sh", "-c", "true"],
        scratch_paths=["build"],
        environment_vars={"HOME": "/homeless"},
        constraints=BuildConstraints(system="x", network_access=True, available_ro_paths=["/usr"]),
    )
    found = explain(request, EVERYTHING)
    spec = render_spec(request, EVERYTHING).to_dict()
    at = {mount["destination"]: index for index, mount in enumerate(spec["mounts"])}
    assert found["/process/args/2"].asked_by == "command_args[2]"
    assert found["/process/env/0"].asked_by == "environment_vars['HOME']"
    assert found[f"/mounts/{at['/build']}"].asked_by == "scratch_paths[0]"
    assert found[f"/mounts/{at['/usr']}/source"].asked_by == "constraints.available_ro_paths[0]"
    assert found[f"/mounts/{at['/etc/hosts']}"].asked_by == "constraints.network_access"
    assert found["/linux/maskedPaths/0"].asked_by == "options.masked_paths"
    assert found["/hostname"].asked_by == "default"
    assert found["/linux/uidMappings/1"].what == "user id 1000 to 1004 inside is 100001 and on outside"


def test_pointers_are_rfc_6901() -> None:
    assert pointer("a/b", 0, "m~n") == "/a~1b/0/m~0n"
    assert keys_of("/a~1b/0/m~0n") == ["a/b", "0", "m~n"]
    assert keys_of("") == []
