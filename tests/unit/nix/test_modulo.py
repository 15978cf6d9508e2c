"""Hashes modulo, and the paths that follow from them; the goldens hold what Nix computed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.derivations import BASENAMES, STORE, golden
from tvixbuild_nb.errors import InvalidDerivation, InvalidNixData
from tvixbuild_nb.nix import (
    NIX_STORE,
    Deferred,
    Derivation,
    Floating,
    HashesModulo,
    InputAddressed,
    StorePath,
    derivation_path,
    derivations_in,
    output_paths,
    placeholder,
    upstream_placeholder,
    wrong_paths,
)

READ = derivations_in(STORE)


def drv(name: str, *inputs: StorePath, outputs: tuple[str, ...] = ("out",)) -> Derivation:
    return Derivation(name, {"out": Deferred()}, b"s", b"b", input_derivations=dict.fromkeys(inputs, outputs))


@pytest.mark.parametrize("basename", BASENAMES)
def test_paths_are_those_that_nix_computed(basename: str) -> None:
    path = StorePath.parse(basename)
    derivation = READ(path)
    assert derivation_path(derivation) == path
    hashes = HashesModulo(READ)
    assert output_paths(derivation, hashes) == {name: output.path for name, output in derivation.outputs.items()}
    assert wrong_paths(derivation, hashes) == ()


def test_how_a_fixed_input_is_had_changes_nothing() -> None:
    here, mirror = (READ(StorePath.parse(each)) for each in BASENAMES if each.endswith("-from-either.drv"))
    assert derivation_path(here) != derivation_path(mirror)
    assert here.outputs == mirror.outputs


@pytest.mark.parametrize(
    "name, deferred",
    [("simple", False), ("fixed-md5-flat", False), ("fixed-sha1-flat", False), ("floating", True), ("impure", True),
     ("deferred-twice", True), ("diamond", False)],
)  # fmt: skip
def test_what_can_be_computed_only_after_building(name: str, deferred: bool) -> None:
    assert HashesModulo(READ).of_path(StorePath.parse(golden(name))).deferred is deferred


def test_each_derivation_is_read_once() -> None:
    asked: list[StorePath] = []

    def read(path: StorePath) -> Derivation:
        asked.append(path)
        return READ(path)

    hashes = HashesModulo(read)
    diamond = READ(StorePath.parse(golden("diamond")))
    assert hashes.of(diamond) == hashes.of(diamond)
    assert len(asked) == len(set(asked)) == 3


def test_what_a_fixed_output_is_made_from_is_not_even_read() -> None:
    path = StorePath.parse(golden("fixed-sha1-flat"))
    asked: list[StorePath] = []

    def read(path: StorePath) -> Derivation:
        asked.append(path)
        return READ(path)

    HashesModulo(read).of_path(path)
    assert asked == [path]


def test_long_chains() -> None:
    made: dict[StorePath, Derivation] = {}
    last: tuple[StorePath, ...] = ()
    for _ in range(5000):
        link = drv("link", *last)
        last = (derivation_path(link),)
        made[last[0]] = link
    assert HashesModulo(made.__getitem__).of_path(last[0]).outputs == {"out"}


def test_a_circle_is_refused() -> None:
    one, two = (StorePath(bytes([index]) * 20, "x.drv") for index in (1, 2))
    circle = {one: drv("x", two), two: drv("x", one)}
    with pytest.raises(InvalidDerivation, match="needs itself") as refused:
        HashesModulo(circle.__getitem__).of_path(one)
    assert refused.value.path == str(one)


def test_an_output_that_an_input_has_not() -> None:
    base = drv("base")
    path = derivation_path(base)
    above = drv("above", path, outputs=("dev", "out"))
    with pytest.raises(InvalidDerivation, match=f"{path} has no output dev"):
        HashesModulo({path: base}.__getitem__).of(above)


def test_wrong_paths_tell_wanted_and_got() -> None:
    several = READ(StorePath.parse(golden("several")))
    wrong = StorePath(bytes(20), "several-dev")
    right = several.outputs["dev"].path
    assert right is not None
    env = {key: value for key, value in several.env.items() if key != b"lib"}
    found = wrong_paths(replace(several, outputs={**several.outputs, "dev": InputAddressed(wrong)}), HashesModulo(READ))
    assert [(each.output, each.variable, each.wanted, each.got) for each in found] == [
        ("dev", False, NIX_STORE.join(right), NIX_STORE.join(wrong))
    ]
    assert str(found[0]) == f"output dev: wanted {NIX_STORE.join(right)}, got {NIX_STORE.join(wrong)}"
    (missing,) = [
        each
        for each in wrong_paths(replace(several, env=env), HashesModulo(READ))
        if each.output == "lib" and each.variable
    ]
    assert missing.got is None and str(missing).startswith("environment variable lib: wanted /nix/store/")


def test_a_fixed_output_elsewhere_is_wrong() -> None:
    fixed = READ(StorePath.parse(golden("fixed-md5-flat")))
    moved = replace(fixed, name="other")
    assert {(each.output, each.variable) for each in wrong_paths(moved, HashesModulo(READ))} == {
        ("out", False),
        ("out", True),
    }


def test_placeholders() -> None:
    """Those that Nix 2.8 wrote into the goldens."""
    floating = StorePath.parse(golden("floating"))
    deferred = READ(StorePath.parse(golden("deferred")))
    assert deferred.env[b"needs"].decode() == upstream_placeholder(floating, "dev")
    assert deferred.env[b"other"].decode() == upstream_placeholder(floating, "out")
    assert READ(floating).env[b"dev"].decode() == placeholder("dev")
    with pytest.raises(InvalidDerivation, match="not the path of a derivation"):
        upstream_placeholder(StorePath(bytes(20), "x"), "out")


def test_algorithms_of_floating_outputs_are_known_ones() -> None:
    with pytest.raises(InvalidNixData, match="unknown hash algorithm"):
        Floating("sha3", "nar")  # type: ignore[arg-type]
