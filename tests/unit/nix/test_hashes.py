"""Hashes as Nix writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.derivations import hashes
from tvixbuild_nb.errors import InvalidNixHash
from tvixbuild_nb.nix import HashAlgorithm, NixHash, compress_hash

SHA256 = NixHash.of("sha256", b"")


def test_every_form_of_one_hash() -> None:
    assert SHA256.base16 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert SHA256.nixbase32 == "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
    assert SHA256.base64 == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert SHA256.sri == "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert SHA256.prefixed() == f"sha256:{SHA256.base16}"
    assert str(SHA256) == f"sha256:{SHA256.nixbase32}"


@given(hashes())
def test_every_form_is_read(value: NixHash) -> None:
    for digits in (value.base16, value.base16.upper(), value.nixbase32, value.base64):
        assert NixHash.parse(f"{value.algorithm}:{digits}") == value
        assert NixHash.parse(digits, value.algorithm) == value
    for sri in (value.sri, value.sri.rstrip("=")):
        assert NixHash.parse(sri) == NixHash.parse(sri, value.algorithm) == value


@given(st.text(max_size=80))
def test_anything_is_a_hash_or_refused(text: str) -> None:
    for prefix in ("", "sha256:", "sha256-", "md5:"):
        try:
            assert isinstance(NixHash.parse(prefix + text), NixHash)
        except InvalidNixHash as refused:
            assert str(refused)


@pytest.mark.parametrize(
    "text, algorithm, message",
    [
        ("sha3:00", None, "unknown hash algorithm 'sha3'"),
        (SHA256.base16, None, "does not say its algorithm"),
        (f"sha256:{SHA256.base16}", "sha1", "is no hash of sha1"),
        (SHA256.base16[:-1], "sha256", "wrong length for sha256"),
        ("sha256-" + SHA256.base16, None, "wrong length for sha256 in base 64"),
        (SHA256.sri + "==", None, "wrong length"),
        ("sha256-" + "!" * 44, None, "no base 64"),
        ("md5:" + "x" * 32, None, "is no md5"),
        ("md5:" + "e" * 26, None, "no digit of nixbase32"),
        ("md5:" + "!" * 24, None, "is no md5"),
        ("", None, "does not say"),
    ],
)
def test_refusals(text: str, algorithm: HashAlgorithm | None, message: str) -> None:
    with pytest.raises(InvalidNixHash, match=message):
        NixHash.parse(text, algorithm)


def test_an_instance_is_a_proof_of_its_length() -> None:
    with pytest.raises(InvalidNixHash, match="32 bytes, not 20"):
        NixHash("sha256", bytes(20))


def test_long_texts_are_cut_in_messages() -> None:
    with pytest.raises(InvalidNixHash) as refused:
        NixHash.parse("x" * 1_000_000)
    assert len(str(refused.value)) < 500


@given(st.binary(max_size=100), st.integers(1, 40))
def test_folding(digest: bytes, size: int) -> None:
    expected = bytearray(size)
    for position, byte in enumerate(digest):
        expected[position % size] ^= byte
    assert compress_hash(digest, size) == bytes(expected)
