"""Derivations for tests: those that Nix 2.8 wrote, and hypothesis strategies for others."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from support.nix import GOLDENS
from tvixbuild_nb.nix import (
    Deferred,
    Derivation,
    Fixed,
    Floating,
    Impure,
    InputAddressed,
    NixHash,
    Output,
    StorePath,
)

STORE = GOLDENS / "store"
SHOWN = GOLDENS / "shown"
BASENAMES = sorted(path.name for path in STORE.iterdir())
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-_?="


def golden(name: str) -> str:
    """The base name of the golden derivation of that name."""
    [found] = [basename for basename in BASENAMES if StorePath.parse(basename).name == f"{name}.drv"]
    return found


def names(max_size: int = 20) -> st.SearchStrategy[str]:
    """Names that store paths may have."""
    return st.text(LETTERS, min_size=1, max_size=max_size)


def store_paths(suffix: str = "") -> st.SearchStrategy[StorePath]:
    """Store paths whose names end in ``suffix``."""
    return st.builds(StorePath, st.binary(min_size=20, max_size=20), names().map(lambda name: name + suffix))


def hashes() -> st.SearchStrategy[NixHash]:
    """Hashes of every algorithm."""
    return st.builds(NixHash.of, st.sampled_from(["md5", "sha1", "sha256", "sha512"]), st.binary(max_size=4))


def derivations() -> st.SearchStrategy[Derivation]:
    """Derivations of every kind, with any bytes where Nix takes any."""
    return st.builds(
        Derivation,
        name=names(),
        outputs=_outputs(),
        system=st.binary(max_size=12).filter(lambda data: not set(data) & set(b'"\\')),
        builder=st.binary(max_size=12),
        args=st.lists(st.binary(max_size=12), max_size=4).map(tuple),
        env=st.dictionaries(st.binary(max_size=8), st.binary(max_size=20), max_size=6),
        input_derivations=st.dictionaries(
            store_paths(".drv"), st.lists(names(5), min_size=1, max_size=3).map(tuple), max_size=4
        ),
        input_sources=st.lists(store_paths(), max_size=4).map(tuple),
    )


def _outputs() -> st.SearchStrategy[dict[str, Output]]:
    methods = st.sampled_from(["flat", "nar", "text"])
    several: list[st.SearchStrategy[Any]] = [
        st.builds(InputAddressed, store_paths()),
        st.just(Deferred()),
        st.builds(Floating, st.just("sha256"), methods),
        st.builds(Impure, st.just("sha1"), methods),
    ]
    fixed = st.builds(Fixed, store_paths(), hashes(), methods)
    return st.one_of(
        *(st.dictionaries(names(5), kind, min_size=1, max_size=3) for kind in several),
        fixed.map(lambda output: {"out": output}),
    )


def as_printed_by_2_8(text: bytes) -> Any:
    """What a later Nix printed of derivations, in the shape that 2.8 gives it."""
    value = json.loads(text)
    for derivation in value.values():
        derivation.pop("name", None)
        for path, needed in derivation["inputDrvs"].items():
            if isinstance(needed, dict):
                assert not needed["dynamicOutputs"]
                derivation["inputDrvs"][path] = needed["outputs"]
        for output in derivation["outputs"].values():
            method = output.pop("method", None)
            if method is not None:
                output["hashAlgo"] = {"flat": "", "nar": "r:", "text": "text:"}[method] + output["hashAlgo"]
    return value
