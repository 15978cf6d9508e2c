"""Store paths: which there are, and which Nix computes."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.derivations import store_paths
from tvixbuild_nb.errors import InvalidStorePath
from tvixbuild_nb.nix import NIX_STORE, NixHash, StoreDir, StorePath
from tvixbuild_nb.nix.storepath import check_name

DIGITS = "i3zyifc7q0xmqg11ximnw6y9gh3lkjgh"


@given(store_paths())
def test_round_trips(path: StorePath) -> None:
    assert StorePath.parse(path.basename) == path == pickle.loads(pickle.dumps(path))
    assert NIX_STORE.parse(NIX_STORE.join(path)) == path
    assert NIX_STORE.split(f"{NIX_STORE.join(path)}/bin/../x") == (path, "bin/../x")
    assert NIX_STORE.split(NIX_STORE.join(path)) == (path, "")
    assert str(path) == f"{path.hash_part}-{path.name}"


@given(st.lists(store_paths(), max_size=6))
def test_order_is_that_of_the_texts(paths: list[StorePath]) -> None:
    assert [path.basename for path in sorted(paths)] == sorted(path.basename for path in paths)


@given(st.text(max_size=60))
def test_anything_is_a_path_or_refused(text: str) -> None:
    for candidate in (text, f"{DIGITS}-{text}", f"/nix/store/{text}"):
        for read in (StorePath.parse, NIX_STORE.parse):
            try:
                assert read(candidate).basename in candidate
            except InvalidStorePath as refused:
                assert str(refused)


@pytest.mark.parametrize("name", ["a", ".hidden", "..a", "x" * 211, "0-9+._?=Z", "...", "a-.", "-"])
def test_names_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name, index",
    [("", None), (".", None), ("..", None), (".-a", None), ("..-a", None), ("x" * 212, None), ("a/b", 1), ("añ", 1),
     ("a b", 1), ("a\0", 1), ("a\n", 1), ("~", 0)],
)  # fmt: skip
def test_names_refused(name: str, index: int | None) -> None:
    with pytest.raises(InvalidStorePath) as refused:
        StorePath(bytes(20), name)
    assert refused.value.index == index


@pytest.mark.parametrize(
    "text, index",
    [
        (f"/nix/store/{DIGITS[:-1]}-name", None),
        (f"/nix/store/{DIGITS}", None),
        (f"/nix/store/{DIGITS}-", None),
        (f"/nix/store/{DIGITS}_name", None),
        (f"/nix/store/{DIGITS}-na/me", 46),
        (f"/nix/store/{'e' + DIGITS[1:]}-name", 11),
        (f"/nix/store//{DIGITS}-name", None),
        (f"/nix/store/../store/{DIGITS}-name", None),
        (f"nix/store/{DIGITS}-name", None),
        (f"/gnu/store/{DIGITS}-name", None),
        ("/nix/store/", None),
    ],
)
def test_paths_refused_with_the_offset(text: str, index: int | None) -> None:
    with pytest.raises(InvalidStorePath) as refused:
        NIX_STORE.parse(text)
    assert refused.value.index == index


@pytest.mark.parametrize("path", ["nix/store", "/", "//", "/nix/store/", "/nix//store", "/nix/../store", ""])
def test_store_directories_refused(path: str) -> None:
    with pytest.raises(InvalidStorePath):
        StoreDir(path)


def test_paths_of_texts_and_fixed_contents() -> None:
    """As builtins.toFile, builtins.path and fixed outputs of Nix 2.8 gave them."""
    digest = NixHash.of("sha256", b"")
    assert NIX_STORE.fixed_output_path("fi", "flat", NixHash.of("sha1", b"")).basename == (
        "a20r9gj3wfvnalb22c2mmapdarki57ym-fi"
    )
    assert NIX_STORE.fixed_output_path("a", "text", digest) == NIX_STORE.text_path("a", b"")
    reference = StorePath(bytes(20), "b")
    with_reference = NIX_STORE.fixed_output_path("a", "nar", digest, [reference])
    assert with_reference == NIX_STORE.fixed_output_path("a", "nar", digest, [reference, reference])
    assert with_reference != NIX_STORE.fixed_output_path("a", "nar", digest, [reference], refers_to_itself=True)
    assert StoreDir("/other").text_path("a", b"") != NIX_STORE.text_path("a", b"")


def test_references_only_where_nix_has_them() -> None:
    reference = StorePath(bytes(20), "b")
    with pytest.raises(InvalidStorePath, match="can have references"):
        NIX_STORE.fixed_output_path("a", "flat", NixHash.of("sha256", b""), [reference])
    with pytest.raises(InvalidStorePath, match="can have references"):
        NIX_STORE.fixed_output_path("a", "nar", NixHash.of("sha1", b""), refers_to_itself=True)
    with pytest.raises(InvalidStorePath, match="cannot refer to itself"):
        NIX_STORE.fixed_output_path("a", "text", NixHash.of("sha256", b""), refers_to_itself=True)
