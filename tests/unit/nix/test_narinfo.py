"""narinfo files, fingerprints, keys and signatures."""

from __future__ import annotations

import base64
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvixbuild_nb.errors import InvalidNarInfo, InvalidNixData, Untrusted
from tvixbuild_nb.nix import NixHash, StoreDir, StorePath
from tvixbuild_nb.nix.narinfo import NarInfo, parse_narinfo
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.signing import CACHE_NIXOS_ORG, PublicKey, SecretKey, check_signed, signed

STORE = StoreDir()
# As nix copy of Nix 2.8 wrote it.
TEXT = """\
StorePath: /nix/store/3jza3jqb2lykbf5mk7cqcqv8fyf5ljg7-top
URL: nar/0ncmhgjaypyw2gjjcwpsjs9ck300h4kgs2bljlyjxrbfw5mq9fw5.nar.zst
Compression: zstd
FileHash: sha256:0ncmhgjaypyw2gjjcwpsjs9ck300h4kgs2bljlyjxrbfw5mq9fw5
FileSize: 446
NarHash: sha256:1ax3p5nfi7a5l1647npwrrv84v4ychzr91pqrdiv1r8wzr4lcswy
NarSize: 309152
References: 3jza3jqb2lykbf5mk7cqcqv8fyf5ljg7-top v5sipi00al45kj6769p0l2rj11myxn2v-leaf
Deriver: mris6ys1sirscx1n925i5vidp3xy1bm8-top.drv
"""
INFO = parse_narinfo(TEXT).info


def store_paths() -> st.SearchStrategy[StorePath]:
    return st.builds(
        StorePath, st.binary(min_size=20, max_size=20), st.from_regex(r"[a-z0-9+?=_]{1,20}", fullmatch=True)
    )


def path_infos() -> st.SearchStrategy[PathInfo]:
    hashes = st.binary(min_size=32, max_size=32).map(lambda digest: NixHash("sha256", digest))
    deriver = st.none() | store_paths()
    return st.builds(
        PathInfo,
        store_paths(),
        hashes,
        st.integers(0, 2**64 - 1),
        st.lists(store_paths(), max_size=4).map(tuple),
        deriver,
    )


def test_a_file_that_nix_wrote_comes_back() -> None:
    found = parse_narinfo(TEXT)
    assert found.to_text() == TEXT
    assert (found.url[-8:], found.compression, found.file_size) == (".nar.zst", "zstd", 446)
    assert (str(found.info.path), found.info.nar_size) == ("3jza3jqb2lykbf5mk7cqcqv8fyf5ljg7-top", 309152)
    assert [path.name for path in found.info.references] == ["top", "leaf"]
    assert [path.name for path in found.info.others] == ["leaf"]
    assert found.info.deriver is not None and found.info.deriver.is_derivation


@given(path_infos(), st.lists(st.from_regex(r"[a-z]{1,9}:[A-Za-z0-9+/]{86}==", fullmatch=True), max_size=3))
def test_what_is_written_is_read(info: PathInfo, signatures: list[str]) -> None:
    written = NarInfo(replace(info, signatures=tuple(signatures)), "nar/x.nar.xz", "xz")
    assert parse_narinfo(written.to_text()) == written
    assert parse_narinfo(written.to_text().encode()) == written


@given(st.binary(max_size=200), st.integers(0, len(TEXT)), st.integers(0, 30))
def test_whatever_stands_there_is_read_or_refused_with_its_line(noise: bytes, place: int, gone: int) -> None:
    data = TEXT.encode()[:place] + noise + TEXT.encode()[place + gone :]
    try:
        found = parse_narinfo(data, path="x.narinfo")
    except InvalidNarInfo as error:
        assert error.index is None or 1 <= error.index <= data.count(b"\n") + 1
        assert error.path == "x.narinfo"
    else:
        assert parse_narinfo(found.to_text()) == found


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("StorePath: /nix/store/3", "StorePath: /nix/other/3", 1, "StorePath: not below /nix/store"),
        ("NarSize: 309152", "NarSize: -1", 7, "NarSize: not a number of bytes"),
        ("NarSize: 309152", "NarSize: 18446744073709551616", 7, "NarSize: not a number of bytes"),
        ("NarHash: sha256:1", "NarHash: sha256:e", 6, "NarHash: "),
        ("NarHash: sha256:1", "NarHash: sha1:1", 6, "NarHash: "),
        ("References: 3", "References: ../3", 8, "References: not a store path"),
        ("FileSize: 446", "NarSize: 1", 7, "NarSize occurs twice"),
        ("FileSize: 446", "FileSize", 5, "no field"),
        ("FileSize: 446\n", "\n", 5, "no field"),
        ("URL: nar", "URL: n ar", 2, "URL: not one word"),
        ("-top.drv\n", "-top.drv", 9, "does not end"),
        ("URL: nar/0ncmhgjaypyw2gjjcwpsjs9ck300h4kgs2bljlyjxrbfw5mq9fw5.nar.zst\n", "", None, "URL is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, line: int | None, message: str) -> None:
    assert old in TEXT
    with pytest.raises(InvalidNarInfo, match=message) as caught:
        parse_narinfo(TEXT.replace(old, new), path="x.narinfo")
    assert caught.value.index == line
    assert str(caught.value).startswith("x.narinfo, line" if line else "x.narinfo: ")


@pytest.mark.parametrize("filling", ["{}:\n", "Sig: {}\n", "Sig:\n", "References: {}\n", "x" * 40 + "{}\n", "\n"])
def test_hostile_files_take_memory_in_proportion(filling: str) -> None:
    text = TEXT + "".join(filling.format(number) for number in range(200_000))
    tracemalloc.start()
    try:
        parse_narinfo(text.encode())
    except InvalidNarInfo as refused:
        assert len(str(refused)) < 500 and refused.index is not None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * len(text)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(InvalidNarInfo) as caught:
        parse_narinfo(TEXT.encode().replace(b"FileSize", b"File\xff"))
    assert caught.value.index == 5


def test_what_may_be_left_out_or_is_unknown() -> None:
    lines = [line for line in TEXT.splitlines(keepends=True) if not line.startswith(("Comp", "File", "Ref", "Der"))]
    found = parse_narinfo("".join([*lines, "Deriver: unknown-deriver\n", "Later: thing\n", "System: x86_64-linux\n"]))
    assert (found.compression, found.file_hash, found.file_size) == ("bzip2", None, None)
    assert (found.info.references, found.info.deriver, found.system) == ((), None, "x86_64-linux")


def test_the_fingerprint() -> None:
    assert INFO.fingerprint(STORE) == (
        b"1;/nix/store/3jza3jqb2lykbf5mk7cqcqv8fyf5ljg7-top;"
        b"sha256:1ax3p5nfi7a5l1647npwrrv84v4ychzr91pqrdiv1r8wzr4lcswy;309152;"
        b"/nix/store/3jza3jqb2lykbf5mk7cqcqv8fyf5ljg7-top,/nix/store/v5sipi00al45kj6769p0l2rj11myxn2v-leaf"
    )


def test_a_signature_holds_for_what_was_signed_only() -> None:
    key = SecretKey.generate("test-1")
    ours = signed(INFO, STORE, key)
    check_signed(ours, STORE, [SecretKey.generate("other").public, key.public])
    assert signed(ours, STORE, key) == ours
    for changed in (
        replace(ours, nar_size=ours.nar_size + 1),
        replace(ours, references=ours.references[:1]),
        replace(ours, nar_hash=NixHash.of("sha256", b"")),
    ):
        with pytest.raises(Untrusted, match="test-1 that this trusted key did not make"):
            check_signed(changed, STORE, [key.public])
    with pytest.raises(Untrusted, match="did not make"):
        check_signed(ours, StoreDir("/other/store"), [key.public])
    with pytest.raises(Untrusted, match="signed by test-1, which is not trusted"):
        check_signed(ours, STORE, [PublicKey.parse(CACHE_NIXOS_ORG)])
    with pytest.raises(Untrusted, match="is not signed") as caught:
        check_signed(INFO, STORE, [])
    assert caught.value.hint is not None and "trusted keys: none" in caught.value.hint


@given(st.text(max_size=100))
def test_what_is_no_signature_is_nobodys(text: str) -> None:
    key = SecretKey("test-1", bytes(32)).public
    assert not key.verifies(b"x", text)


def test_keys_there_and_back() -> None:
    key = SecretKey.generate("test-1")
    assert SecretKey.parse(key.reveal()) == key
    assert PublicKey.parse(str(key.public)) == key.public
    assert str(PublicKey.parse(CACHE_NIXOS_ORG)) == CACHE_NIXOS_ORG


@pytest.mark.parametrize("change", [lambda text: text[:-4], lambda text: "x" + text[7:], lambda text: ":" + text])
def test_a_key_that_is_none_is_not_shown(change: object) -> None:
    text = SecretKey.generate("test-1").reveal()
    wrong = change(text)
    with pytest.raises(InvalidNarInfo) as caught:
        SecretKey.parse(wrong)
    assert wrong[10:40] not in str(caught.value)
    assert text[10:40] not in repr(SecretKey.parse(text))


def test_a_secret_key_has_the_public_key_that_belongs_to_it() -> None:
    one, other = SecretKey.generate("one"), SecretKey.generate("one")
    mixed = SecretKey.parse(one.reveal())
    assert mixed.public != other.public
    text = f"one:{base64.b64encode(one.seed + other.public.data).decode()}"
    with pytest.raises(InvalidNarInfo, match="another one's"):
        SecretKey.parse(text)


def test_a_path_made_from_its_nar_hash_needs_no_signature() -> None:
    nar_hash = NixHash.of("sha256", b"nar")
    path = STORE.fixed_output_path("name", "nar", nar_hash)
    info = PathInfo(path, nar_hash, 3, ca=f"fixed:r:{nar_hash}")
    check_signed(info, STORE, [])
    other = NixHash.of("sha256", b"other")
    for wrong in (replace(info, nar_hash=other), replace(info, nar_hash=other, ca=f"fixed:r:{other}")):
        with pytest.raises(Untrusted):
            check_signed(wrong, STORE, [])


def test_a_nar_is_known_by_its_sha256() -> None:
    with pytest.raises(InvalidNixData, match="SHA-256"):
        replace(INFO, nar_hash=NixHash.of("sha1", b""))
