"""From a derivation to a request, planned from made-up inputs: nothing is read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from support.derivations import STORE, golden
from tvixbuild_nb.castore import Digest, FileNode, open_castore
from tvixbuild_nb.errors import InvalidDerivation, InvalidRequest, NotFound, UnsupportedDerivation
from tvixbuild_nb.nix import (
    BuilderOptions,
    Derivation,
    NixHash,
    StorePath,
    derivations_in,
    placeholder,
    plan_request,
    read_derivation,
    request_for,
)
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.sources import CastoreSource, Fetched

LEAF, TOP = StorePath(b"\1" * 20, "leaf"), StorePath(b"\2" * 20, "top")
BASE = {
    "HOME": b"/homeless-shelter",
    "NIX_BUILD_CORES": b"0",
    "NIX_BUILD_TOP": b"/build",
    "NIX_LOG_FD": b"2",
    "NIX_STORE": b"/nix/store",
    "PATH": b"/path-not-set",
    "PWD": b"/build",
    "TEMP": b"/build",
    "TEMPDIR": b"/build",
    "TERM": b"xterm-256color",
    "TMP": b"/build",
    "TMPDIR": b"/build",
}


def fetched(path: StorePath, *references: StorePath) -> Fetched:
    data = path.basename.encode()
    info = PathInfo(path, NixHash.of("sha256", data), 100, references)
    return Fetched(info, FileNode(Digest.of(data), len(data)))


INPUTS = {TOP: fetched(TOP, TOP, LEAF), LEAF: fetched(LEAF)}


def read(name: str) -> Derivation:
    return read_derivation(STORE / golden(name))


def with_env(derivation: Derivation, **env: str) -> Derivation:
    return replace(derivation, env={**derivation.env, **{name.encode(): value.encode() for name, value in env.items()}})


def structured(**attributes: object) -> Derivation:
    return replace(read("simple"), env={b"__json": json.dumps(attributes).encode()})


def own(derivation: Derivation) -> dict[str, bytes]:
    return {name.decode(): value for name, value in derivation.env.items()}


def test_a_derivation_becomes_a_request() -> None:
    derivation = read("several")
    request = plan_request(derivation, INPUTS)
    outputs = sorted(str(output.path) for output in derivation.outputs.values())
    assert request.command_args == ("/bin/sh",)
    assert request.working_dir == "build"
    assert request.scratch_paths == ("build", "nix/store")
    assert request.inputs_dir == "nix/store"
    assert dict(request.inputs) == {str(path): each.node for path, each in INPUTS.items()}
    assert request.outputs == tuple(f"nix/store/{path}" for path in outputs)
    assert request.refscan_needles == (*(path[:32] for path in outputs), LEAF.hash_part, TOP.hash_part)
    assert dict(request.environment_vars) == BASE | own(derivation)
    assert request.constraints is not None
    assert request.constraints.system == "x86_64-linux"
    assert not request.constraints.network_access
    assert request.constraints.provide_bin_sh
    assert not request.additional_files
    assert plan_request(derivation, dict(reversed(INPUTS.items()))) == request


def test_the_derivations_own_variables_win() -> None:
    request = plan_request(with_env(read("simple"), PATH="/bin", TERM="dumb", HOME="/build"), {})
    assert [request.environment_vars[name] for name in ("PATH", "TERM", "HOME")] == [b"/bin", b"dumb", b"/build"]


def test_the_caller_says_the_number_of_cores() -> None:
    assert plan_request(read("simple"), {}, BuilderOptions(cores=3)).environment_vars["NIX_BUILD_CORES"] == b"3"


def test_placeholders_become_paths_except_unknown_ones() -> None:
    derivation = read("placeholders")
    out, dev = (str(derivation.outputs[name].path) for name in ("out", "dev"))
    expected = f"--prefix=/nix/store/{out} --dev=/nix/store/{dev} --other={placeholder('nosuch')}"
    assert plan_request(derivation, {}).environment_vars["flags"] == expected.encode()
    asked = replace(derivation, args=(b"-o", placeholder("out").encode()))
    assert plan_request(asked, {}).command_args == ("/bin/sh", "-o", f"/nix/store/{out}")


def test_pass_as_file() -> None:
    derivation = read("pass-as-file")
    request = plan_request(derivation, {})
    text = f"build/.attr-{NixHash.of('sha256', b'text').nixbase32}"
    assert request.environment_vars["textPath"] == f"/{text}".encode()
    assert request.additional_files[text] == b"one\ntwo"
    assert len(request.additional_files) == 2
    assert not {"text", "other"} & set(request.environment_vars)
    assert request.environment_vars["passAsFile"] == b"text other"


def test_structured_attributes() -> None:
    derivation = read("structured")
    request = plan_request(derivation, {})
    assert dict(request.environment_vars) == BASE | {
        "NIX_ATTRS_JSON_FILE": b"/build/.attrs.json",
        "NIX_ATTRS_SH_FILE": b"/build/.attrs.sh",
    }
    written = json.loads(request.additional_files["build/.attrs.json"])
    assert written["outputs"] == {name: f"/nix/store/{output.path}" for name, output in derivation.outputs.items()}
    assert written["ключ"] == '"значение"'
    assert b"declare -A outputs=(['dev']='/nix/store/" in request.additional_files["build/.attrs.sh"]


def test_fixed_outputs_have_network_and_the_callers_variables() -> None:
    derivation = with_env(read("fixed-sha512-flat"), impureEnvVars="http_proxy other")
    request = plan_request(derivation, {}, BuilderOptions(impure={"http_proxy": "here", "unasked": "x"}))
    assert request.constraints is not None
    assert request.constraints.network_access
    expected = {"http_proxy": b"here", "other": b"", "NIX_OUTPUT_CHECKED": b"1"}
    assert dict(request.environment_vars) == BASE | own(derivation) | expected
    not_fixed = with_env(read("simple"), impureEnvVars="http_proxy")
    options = BuilderOptions(impure={"http_proxy": "here"})
    assert "http_proxy" not in plan_request(not_fixed, {}, options).environment_vars


def test_exported_graphs() -> None:
    derivation = with_env(read("simple"), exportReferencesGraph=f"graph /nix/store/{TOP}/bin")
    graph = plan_request(derivation, INPUTS).additional_files["build/graph"].decode()
    leaf, top = f"/nix/store/{LEAF}", f"/nix/store/{TOP}"
    assert graph == f"{leaf}\n\n0\n{top}\n\n2\n{leaf}\n{top}\n"
    inside = structured(exportReferencesGraph={"graph": [top]})
    written = json.loads(plan_request(inside, INPUTS).additional_files["build/.attrs.json"])["graph"]
    assert [each["path"] for each in written] == [leaf, top]
    assert written[1] == {
        "path": top,
        "narHash": str(INPUTS[TOP].info.nar_hash),
        "narSize": 100,
        "references": [leaf, top],
        "closureSize": 200,
    }


@pytest.mark.parametrize("asked", ["one", f"a/b /nix/store/{TOP}", "graph /etc", f"graph /nix/store/{'0' * 32}-no"])
def test_graphs_that_nix_refuses(asked: str) -> None:
    with pytest.raises(InvalidDerivation) as caught:
        plan_request(with_env(read("simple"), exportReferencesGraph=asked), INPUTS)
    assert caught.value.path == "exportReferencesGraph"


def test_a_graph_with_a_derivation_needs_its_outputs() -> None:
    path = StorePath(b"\3" * 20, "it.drv")
    derivation = with_env(read("simple"), exportReferencesGraph=f"graph /nix/store/{path}")
    with pytest.raises(NotFound):
        plan_request(derivation, {path: fetched(path)})


@pytest.mark.parametrize(
    ("derivation", "named"),
    [
        (read("floating"), "outputs"),
        (read("deferred"), "outputs"),
        (read("impure"), "outputs"),
        (replace(read("simple"), name="it.drv"), "outputs"),
        (replace(read("simple"), builder=b"builtin:fetchurl"), "builder"),
        (with_env(read("simple"), requiredSystemFeatures="big-parallel recursive-nix"), "requiredSystemFeatures"),
        (structured(requiredSystemFeatures=["kvm"]), "requiredSystemFeatures"),
        (with_env(read("simple"), __noChroot="1"), "__noChroot"),
        (structured(__noChroot=True), "__noChroot"),
        (with_env(read("simple"), __impureHostDeps="/etc"), "__impureHostDeps"),
    ],
)
def test_what_is_not_done_is_refused_by_name(derivation: Derivation, named: str) -> None:
    with pytest.raises(UnsupportedDerivation) as caught:
        plan_request(derivation, {})
    assert caught.value.path == named
    assert caught.value.hint


def test_features_are_up_to_the_builder() -> None:
    derivation = with_env(read("simple"), requiredSystemFeatures="kvm")
    assert plan_request(derivation, {}, BuilderOptions(features=["kvm"]))


def test_attributes_of_the_wrong_type_are_refused() -> None:
    for wrong in (structured(requiredSystemFeatures="kvm"), structured(__noChroot="yes")):
        with pytest.raises(InvalidDerivation):
            plan_request(wrong, {})
    with pytest.raises(InvalidDerivation, match="JSON object"):
        plan_request(replace(read("simple"), env={b"__json": b"[]"}), {})


def test_what_no_request_can_hold_is_refused() -> None:
    with pytest.raises((InvalidDerivation, InvalidRequest)):
        plan_request(read("bytes"), {})
    with pytest.raises(InvalidRequest):
        plan_request(read("variables"), {})  # one has an empty name


def test_a_missing_input_is_named_with_what_needs_it() -> None:
    castore = open_castore("memory:")
    here = derivations_in(STORE)
    with CastoreSource(castore, {}) as source:
        with pytest.raises(NotFound) as caught:
            request_for(read("chain2"), source, castore, read=here)
        needed = read("chain1").outputs["out"].path
        assert needed is not None
        assert str(needed).partition("-")[2] in str(caught.value) or "chain1-dev" in str(caught.value)
        assert f"of {golden('chain1')}, to be built first" in str(caught.value)
        with pytest.raises(NotFound, match=golden("chain1")):
            request_for(read("chain2"), source, castore)
