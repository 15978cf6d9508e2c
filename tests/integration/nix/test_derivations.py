"""Derivations, compared with what the installed Nix writes, computes and prints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from support.derivations import STORE, as_printed_by_2_8
from support.nix import EXPRESSIONS, GOLDEN_VERSION, Nix
from tvixbuild_nb.nix import (
    NIX_STORE,
    Deferred,
    Derivation,
    HashesModulo,
    InputAddressed,
    StorePath,
    derivation_path,
    derivations_in,
    output_paths,
    placeholder,
    show_derivations,
    upstream_placeholder,
    write_aterm,
    wrong_paths,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def basenames(nix: Nix) -> list[str]:
    return sorted(set(nix.instantiate(EXPRESSIONS)))


@pytest.fixture(scope="module")
def derivations(nix: Nix, basenames: list[str]) -> dict[StorePath, Derivation]:
    read = derivations_in(nix.store)
    return {path: read(path) for path in map(StorePath.parse, basenames)}


def test_reading_and_writing_is_the_identity(nix: Nix, derivations: dict[StorePath, Derivation]) -> None:
    for path, derivation in derivations.items():
        assert write_aterm(derivation) == (nix.store / path.basename).read_bytes(), path


def test_the_goldens_are_what_this_nix_writes(nix: Nix, basenames: list[str]) -> None:
    read = derivations_in(STORE)
    goldens = {path.name for path in STORE.iterdir()}
    if nix.version == GOLDEN_VERSION:
        assert goldens == set(basenames)
    else:
        # What is experimental may change from version to version; the paths that all caches are built on may not.
        goldens = {each for each in goldens if read(StorePath.parse(each)).kind in ("input-addressed", "fixed")}
        goldens = {each for each in goldens if not each.endswith("-fixed-sha1-flat.drv")}  # its input is impure
    for basename in goldens:
        assert (nix.store / basename).read_bytes() == (STORE / basename).read_bytes()


def test_paths_are_computed_as_nix_computed_them(nix: Nix, derivations: dict[StorePath, Derivation]) -> None:
    hashes = HashesModulo(derivations_in(nix.store))
    known = 0
    for path, derivation in derivations.items():
        assert derivation_path(derivation) == path
        assert wrong_paths(derivation, hashes) == ()
        paths = output_paths(derivation, hashes)
        assert paths == {name: output.path for name, output in derivation.outputs.items()}
        known += sum(each is not None for each in paths.values())
    assert known > 30


def test_the_json_is_what_nix_prints(nix: Nix, derivations: dict[StorePath, Derivation]) -> None:
    for path, derivation in derivations.items():
        shown = show_derivations({path: derivation})
        if shown.warnings:
            continue  # Nix 2.8 prints no JSON here, later ones fail: the goldens tell
        printed = nix.show(path.basename)
        if nix.version == GOLDEN_VERSION:
            assert shown.text.encode() == printed
        else:
            assert json.loads(shown.text) == as_printed_by_2_8(printed)


def test_placeholders_are_those_of_nix(nix: Nix, derivations: dict[StorePath, Derivation]) -> None:
    printed = nix("nix-instantiate", "--eval", "--strict", "--json", "-E", 'map placeholder [ "out" "dev" "ü" ]')
    assert json.loads(printed) == [placeholder(name) for name in ("out", "dev", "ü")]
    [deferred] = [each for each in derivations.values() if each.name == "deferred"]
    [floating] = deferred.input_derivations
    assert deferred.env[b"needs"].decode() == upstream_placeholder(floating, "dev")
    assert deferred.env[b"other"].decode() == upstream_placeholder(floating, "out")


def test_references_and_outputs_are_those_nix_knows(nix: Nix, derivations: dict[StorePath, Derivation]) -> None:
    for name in ("chain2", "diamond", "sources", "several", "whole-closure"):
        [(path, made)] = [(path, each) for path, each in derivations.items() if each.name == name]
        references = nix("nix-store", "--query", "--references", made.store_dir.join(path)).decode().split()
        assert sorted(references) == [made.store_dir.join(each) for each in made.references]
        outputs = nix("nix-store", "--query", "--outputs", made.store_dir.join(path)).decode().split()
        assert sorted(outputs) == sorted(made.store_dir.join(each.path) for each in made.outputs.values() if each.path)


def test_nix_reads_a_derivation_of_ours(nix: Nix, tmp_path: Path) -> None:
    """Nix stores our text under the path that we computed for it, and reads the same from it."""
    empty = Derivation(
        "ours", {"out": Deferred()}, b"x86_64-linux", b"/bin/sh", (b"-c", b'"\\\n\r\t\xc3\xbc'), {b"out": b""}
    )
    path = NIX_STORE.output_path("ours", "out", HashesModulo(derivations_in(nix.store)).of(empty).hash)
    made = replace(
        empty,
        outputs={"out": InputAddressed(path)},
        env={b"out": NIX_STORE.join(path).encode()},
    )
    (tmp_path / "text").write_bytes(write_aterm(made))
    expression = f'builtins.toFile "ours.drv" (builtins.readFile {tmp_path}/text)'
    stored = json.loads(nix("nix-instantiate", "--eval", "--json", "--read-write-mode", "-E", expression))
    assert stored == NIX_STORE.join(derivation_path(made))
    shown = show_derivations({derivation_path(made): made})
    assert as_printed_by_2_8(nix.show(derivation_path(made).basename)) == json.loads(shown.text)
    assert nix("nix-store", "--query", "--outputs", stored).decode().split() == [NIX_STORE.join(path)]
