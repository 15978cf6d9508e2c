"""The rules that a derivation has for its outputs, without builds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tvixbuild_nb.build import BuildOutput
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.errors import InvalidDerivation, OutputError
from tvixbuild_nb.nix import Derivation, Fixed, InputAddressed, StorePath, plan_request
from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.outputchecks import OutputChecks, rules_of
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.sources.protocol import Fetched


def _path(letter: str, name: str) -> StorePath:
    return StorePath(letter.encode() * 20, name)


LEAF, MIDDLE = _path("1", "leaf"), _path("2", "middle")
OUT, LIB = _path("3", "x"), _path("4", "x-lib")
INFOS = {
    LEAF: PathInfo(LEAF, NixHash.of("sha256", b"l"), 1000),
    MIDDLE: PathInfo(MIDDLE, NixHash.of("sha256", b"m"), 2000, (LEAF,)),
}


def _derivation(**env: Any) -> Derivation:
    if "__json" in env:
        env["__json"] = json.dumps(env["__json"])
    return Derivation(
        name="x",
        outputs={"out": InputAddressed(OUT), "lib": InputAddressed(LIB)},
        system=b"x86_64-linux",
        builder=b"/bin/sh",
        env={key.encode(): value.encode() for key, value in env.items()},
        input_sources=(LEAF, MIDDLE),
    )


def _check(derivation: Derivation, out: str = "", lib: str = "") -> None:
    castore: Castore = open_castore("memory:")
    node = castore.ingest_bytes(b"")
    plain = Derivation(
        name="x", outputs=derivation.outputs, system=b"x86_64-linux", builder=b"/bin/sh", input_sources=(LEAF, MIDDLE)
    )
    request = plan_request(plain, {path: Fetched(info, node) for path, info in INFOS.items()})
    found = []
    for path, text in ((OUT, out), (LIB, lib)):
        needles = [index for index, needle in enumerate(request.refscan_needles) if needle in text]
        data = castore.ingest_bytes(text.encode())
        found.append(BuildOutput(path=f"nix/store/{path}", node=data, needles=tuple(needles)))
    OutputChecks(derivation, INFOS, castore)(request, found)


@pytest.mark.parametrize(
    ("env", "texts", "said"),
    [
        ({}, {"out": str(MIDDLE)}, None),
        ({"allowedReferences": ""}, {}, None),
        ({"allowedReferences": ""}, {"out": str(LEAF)}, f"paths:\n  /nix/store/{LEAF}"),
        ({"allowedReferences": ""}, {"lib": str(LIB)}, f"output '/nix/store/{LIB}' is not allowed"),
        ({"allowedReferences": "out lib"}, {"lib": str(LIB), "out": str(OUT)}, None),
        ({"allowedReferences": f"/nix/store/{MIDDLE}"}, {"out": str(MIDDLE)}, None),
        ({"allowedRequisites": f"/nix/store/{MIDDLE}"}, {"out": str(MIDDLE)}, f"/nix/store/{LEAF}"),
        ({"allowedRequisites": f"/nix/store/{MIDDLE} /nix/store/{LEAF}"}, {"out": f"{MIDDLE} {OUT}"}, None),
        ({"disallowedReferences": f"/nix/store/{LEAF}"}, {"out": str(MIDDLE)}, None),
        ({"disallowedRequisites": f"/nix/store/{LEAF}"}, {"out": str(MIDDLE)}, f"/nix/store/{LEAF}"),
        ({"disallowedRequisites": "lib"}, {"out": str(LIB)}, f"/nix/store/{LIB}"),
        ({"allowedReferences": "nothing"}, {}, "illegal reference specifier 'nothing'"),
        ({}, {"out": str(LIB), "lib": str(OUT)}, "cycle detected in build of '/nix/store/"),
        ({"__json": {"outputChecks": {"out": {"maxSize": 200}}}}, {"out": "x" * 50}, None),
        ({"__json": {"outputChecks": {"lib": {"maxSize": 100}}}}, {}, "too large at 112 bytes; limit is 100"),
        ({"__json": {"outputChecks": {"out": {"maxClosureSize": 3000}}}}, {"out": str(MIDDLE)}, "closure of path"),
        ({"__json": {"outputChecks": {"out": {"maxClosureSize": 9000}}}}, {"out": str(MIDDLE)}, None),
        ({"__json": {"outputChecks": {"out": {"allowedRequisites": []}}}}, {"out": str(OUT)}, "not allowed"),
        (
            {"__json": {"outputChecks": {"out": {"allowedRequisites": [], "ignoreSelfRefs": True}}}},
            {"out": str(OUT)},
            None,
        ),
        # With structured attributes these mean nothing.
        ({"__json": {"allowedReferences": []}}, {"out": str(LEAF)}, None),
    ],
)  # fmt: skip
def test_rules_hold(env: dict[str, Any], texts: dict[str, str], said: str | None) -> None:
    if said is None:
        _check(_derivation(**env), **texts)
        return
    with pytest.raises(OutputError) as refused:
        _check(_derivation(**env), **texts)
    assert said in refused.value.message


@pytest.mark.parametrize(
    "json",
    [
        {"outputChecks": []},
        {"outputChecks": {"out": "x"}},
        {"outputChecks": {"out": {"maxSize": "1"}}},
        {"outputChecks": {"out": {"maxSize": True}}},
        {"outputChecks": {"out": {"allowedReferences": "x"}}},
    ],
)
def test_rules_of_another_shape_are_refused(json: dict[str, Any]) -> None:
    with pytest.raises(InvalidDerivation):
        rules_of(_derivation(__json=json))


def test_a_reference_to_an_input_that_the_derivation_has_not_is_refused_in_words() -> None:
    castore = open_castore("memory:")
    added, node = _path("5", "added"), castore.ingest_bytes(b"")
    infos = {**INFOS, added: PathInfo(added, NixHash.of("sha256", b"a"), 1)}
    derivation = _derivation(disallowedRequisites=f"/nix/store/{LEAF}")
    request = plan_request(derivation, {path: Fetched(info, node) for path, info in infos.items()})
    needle = request.refscan_needles.index(added.hash_part)
    outputs = [BuildOutput(path=path, node=node, needles=(needle,)) for path in request.outputs]
    with pytest.raises(OutputError, match="-added is no input of the derivation"):
        OutputChecks(derivation, INFOS, castore)(request, outputs)
    OutputChecks(_derivation(), INFOS, castore)(request, outputs)


@pytest.mark.parametrize("refers", [False, True])
def test_a_fixed_output_refers_to_nothing(refers: bool) -> None:
    castore = open_castore("memory:")
    data = str(LEAF).encode()
    node = castore.ingest_bytes(data)
    derivation = Derivation(
        name="x",
        outputs={"out": Fixed(OUT, NixHash.of("sha256", data), "flat")},
        system=b"x86_64-linux",
        builder=b"/bin/sh",
        input_sources=(LEAF,),
    )
    request = plan_request(derivation, {LEAF: Fetched(INFOS[LEAF], node)})
    needles = (request.refscan_needles.index(LEAF.hash_part),) if refers else ()
    outputs = [BuildOutput(path=request.outputs[0], node=node, needles=needles)]
    checks = OutputChecks(derivation, INFOS, castore)
    if not refers:
        checks(request, outputs)
        return
    with pytest.raises(OutputError, match="illegal path references in fixed-output derivation '/nix/store/") as refused:
        checks(request, outputs)
    assert LEAF.hash_part in (refused.value.hint or "")
