"""explain: nothing in a configuration without an explanation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.request_strategies import requests
from tvixbuild_nb.oci import Limits, SpecOptions, User, explain, render_spec
from tvixbuild_nb.oci.explain import RULES
from tvixbuild_nb.oci.explanation import keys_of, parts, pointer
from tvixbuild_nb.oci.meanings import CAPABILITIES, NAMESPACES, RLIMITS
from tvixbuild_nb.oci.options import KNOWN_CAPABILITIES, KNOWN_NAMESPACES, KNOWN_RLIMITS, IdMapping
from tvixbuild_nb.request import BuildConstraints, BuildRequest

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


@given(request=requests(), options=st.sampled_from(OPTIONS))
def test_every_part_of_every_configuration_is_explained(request: BuildRequest, options: SpecOptions) -> None:
    config = render_spec(request, options).to_dict()
    found = explain(request, options)
    assert list(found) == [path for path, _ in parts(config)]
    assert set(leaves(config)) <= set(found)
    for path, explanation in found.items():
        assert explanation.path == path
        assert all(explanation.to_dict().values()) or path == ""


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


@pytest.mark.parametrize("rule", RULES)
def test_references_name_a_document_and_a_section(rule: str) -> None:
    reference = RULES[rule].reference
    assert reference.document in ("config.md", "config-linux.md")
    assert reference.section and reference.url.startswith("https://github.com/opencontainers/runtime-spec/blob/")
    assert str(reference) == f"{reference.document}, {reference.section}"


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
