"""Whom Nix's settings trust: read as Nix reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvixbuild_nb.errors import InvalidAddress, InvalidNixData, Untrusted
from tvixbuild_nb.nix import NixHash, StorePath
from tvixbuild_nb.nix.narinfo import NarInfo
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.settings import TrustSettings, trust_settings
from tvixbuild_nb.nix.signing import CACHE_NIXOS_ORG, SecretKey, signed
from tvixbuild_nb.nix.sources import open_path_source
from tvixbuild_nb.nix.storepath import NIX_STORE


def settings(tmp_path: Path, text: str, **more: str) -> TrustSettings:
    (tmp_path / "nix.conf").write_text(text)
    return trust_settings({"NIX_CONF_DIR": str(tmp_path), "NIX_USER_CONF_FILES": "", **more})


def test_without_settings_nixs_own_cache_is_trusted(tmp_path: Path) -> None:
    nothing = {"NIX_CONF_DIR": str(tmp_path), "HOME": str(tmp_path), "XDG_CONFIG_DIRS": ""}
    assert trust_settings(nothing) == TrustSettings((CACHE_NIXOS_ORG,), True)


def test_what_comes_later_counts(tmp_path: Path) -> None:
    text = "sandbox = true\ntrusted-public-keys = a:1  b:2 # c:3\nextra-trusted-public-keys = d:4\n"
    text += "require-sigs = false\n"
    assert settings(tmp_path, text) == TrustSettings(("a:1", "b:2", "d:4"), False)
    later = settings(tmp_path, text, NIX_CONFIG="require-sigs = true\nbinary-cache-public-keys = e:5")
    assert later == TrustSettings(("e:5",), True)
    (tmp_path / "more.conf").write_text("extra-trusted-public-keys = f:6")
    assert settings(tmp_path, "include more.conf\n!include nothing.conf").keys == (CACHE_NIXOS_ORG, "f:6")


def test_the_users_file_comes_after_the_systems(tmp_path: Path) -> None:
    (tmp_path / "nix").mkdir()
    (tmp_path / "nix" / "nix.conf").write_text("trusted-public-keys = own:1")
    (tmp_path / "nix.conf").write_text("trusted-public-keys = system:1")
    found = trust_settings({"NIX_CONF_DIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_CONFIG_DIRS": ""})
    assert found.keys == ("own:1",)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sandbox = true\ntrusted-public-keys", 2),
        ("trusted-public-keys a:1", 1),
        ("\nrequire-sigs = perhaps", 2),
        ("include nothing.conf", 1),
        ("include nix.conf", 1),
    ],
)
def test_what_nix_would_not_take_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(InvalidNixData) as refused:
        settings(tmp_path, text)
    assert refused.value.index == line and str(refused.value.path).endswith("nix.conf")


def test_a_cache_is_believed_as_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = SecretKey.generate("here-1")
    path = StorePath(bytes(20), "thing")
    info = signed(PathInfo(path, NixHash.of("sha256", b""), 0), NIX_STORE, key)
    (tmp_path / "nix-cache-info").write_text("StoreDir: /nix/store\n")
    (tmp_path / f"{path.hash_part}.narinfo").write_text(NarInfo(info, "x.nar").to_text())
    monkeypatch.setenv("NIX_CONF_DIR", str(tmp_path / "etc"))
    monkeypatch.setenv("NIX_USER_CONF_FILES", "")
    address = f"file://{tmp_path}"
    with pytest.raises(Untrusted, match="signed by here-1") as refused:
        open_path_source(address).info(path)
    assert "cache.nixos.org-1" in (refused.value.hint or "")
    assert open_path_source(f"{address}?trusted=1").info(path) == info
    for wrong in ("?trusted=maybe", "?compression=xz"):
        with pytest.raises(InvalidAddress, match="no option of a binary cache"):
            open_path_source(address + wrong)
    monkeypatch.setenv("NIX_CONFIG", f"extra-trusted-public-keys = {key.public}")
    assert open_path_source(address).info(path) == info
    with pytest.raises(Untrusted, match="none"):
        open_path_source(address, keys=[]).info(path)
    monkeypatch.setenv("NIX_CONFIG", "require-sigs = false")
    assert open_path_source(address).info(path) == info
