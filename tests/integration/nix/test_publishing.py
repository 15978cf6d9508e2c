"""Nix takes what we write: binary caches, and the stream of ``nix-store --import``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.nix import Nix
from support.nixpaths import build_closure
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.nix import StoreDir, StorePath
from tvixbuild_nb.nix.opening import opened_derivation
from tvixbuild_nb.nix.publishing import export_paths, write_binary_cache
from tvixbuild_nb.nix.signing import SecretKey
from tvixbuild_nb.nix.sources import Fetched, closure, fetch, open_path_source
from tvixbuild_nb.sandbox.services import shared_builder

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Closure:
    """What one Nix has built, taken into a castore."""

    nix: Nix
    top: StorePath
    castore: Castore
    paths: dict[StorePath, Fetched]

    @property
    def names(self) -> list[str]:
        return [StoreDir().join(path) for path in self.paths]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closure]:
    scratch = tmp_path_factory.mktemp("publishing")
    nix = Nix(scratch / "nix")
    top = build_closure(nix, scratch)
    with (
        open_castore(scratch / "castore") as castore,
        open_path_source(f"local?root={nix.root / 'root'}") as source,
    ):
        yield Closure(nix, top, castore, fetch(source, closure(source, [top]), castore))


def known(nix: Nix, names: list[str]) -> dict[str, tuple[bytes, bytes, bytes]]:
    """What ``nix`` knows of each: hash, size and references; and it has checked the contents."""
    nix("nix-store", "--verify-path", *names)
    return {
        name: (
            nix("nix-store", "--query", "--hash", name),
            nix("nix-store", "--query", "--size", name),
            nix("nix-store", "--query", "--references", name),
        )
        for name in names
    }


def test_an_export_is_imported(built: Closure, tmp_path: Path) -> None:
    stream = tmp_path / "export"
    with stream.open("wb") as file:
        file.writelines(export_paths(built.paths.values(), built.castore))
    other = Nix(tmp_path / "other")
    with stream.open("rb") as file:
        done = subprocess.run(
            ["nix-store", "--import"], stdin=file, env=other.environment, capture_output=True, timeout=120
        )
    assert done.returncode == 0, done.stderr.decode()
    assert sorted(done.stdout.decode().split()) == sorted(built.names)
    assert known(other, built.names) == known(built.nix, built.names)
    top = StoreDir().join(built.top)
    assert other("nix-store", "--query", "--deriver", top) == built.nix("nix-store", "--query", "--deriver", top)
    # Nix's own export of the same paths, byte for byte.
    order = [StoreDir().join(path) for path in exported(stream.read_bytes(), built)]
    assert built.nix("nix-store", "--export", *order) == stream.read_bytes()


_EXPRESSIONS = r"""
let make = name: script: derivation {
  inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-euc" script ]; PATH = "/bin";
}; in make "built-top" "mkdir $out; ln -s ${make "built-leaf" "echo leaf > $out"} $out/link; echo $out > $out/größe"
"""


@pytest.mark.usefixtures("root")
def test_what_was_built_here_is_taken(nix: Nix, tmp_path: Path) -> None:
    """Neither path was ever built by this Nix, which takes both, from an export and from a cache."""
    (tmp_path / "built.nix").write_text(_EXPRESSIONS)
    [basename] = nix.instantiate(tmp_path / "built.nix")
    with open_castore(tmp_path / "castore") as castore:
        with opened_derivation(nix.store / basename, castore, f"local?root={nix.root / 'root'}") as opened:
            with closing(shared_builder(None, castore, None)) as service:
                opened.closure_build(opened.plan(itself=True), service).run(show=False)
            [output] = opened.derivation.outputs.values()
            assert output.path is not None
            paths = fetch(opened.built, closure(opened.built, [output.path]), castore)
        (tmp_path / "export").write_bytes(b"".join(export_paths(paths.values(), castore)))
        write_binary_cache(tmp_path / "cache", paths.values(), castore)
    top, names = StoreDir().join(output.path), [StoreDir().join(path) for path in paths]
    importing, copying = Nix(tmp_path / "importing"), Nix(tmp_path / "copying")
    with (tmp_path / "export").open("rb") as file:
        subprocess.run(["nix-store", "--import"], stdin=file, env=importing.environment, check=True, timeout=120)
    copying("nix", "copy", "--no-check-sigs", "--from", f"file://{tmp_path / 'cache'}", top)
    assert known(importing, names) == known(copying, names)
    for path, found in paths.items():
        told = known(importing, [StoreDir().join(path)])[StoreDir().join(path)]
        references = "".join(f"{StoreDir().join(each)}\n" for each in found.info.references)
        assert told == (f"{found.info.nar_hash}\n".encode(), b"%d\n" % found.info.nar_size, references.encode())
    listed = copying("nix", "store", "ls", "--recursive", "--long", top).decode()
    assert "./größe" in listed and "-built-leaf" in listed
    nix("nix-store", "-r", f"/nix/store/{basename}", "--option", "sandbox-paths", "/bin/sh=/bin/busybox")
    assert known(nix, names) == known(importing, names), "and it builds the same itself"


def exported(data: bytes, built: Closure) -> list[StorePath]:
    """The paths of an export in their order."""
    ends = {
        data.index(b"NIXE" + bytes(4) + len(name).to_bytes(8, "little") + name.encode()): name for name in built.names
    }
    return [StoreDir().parse(ends[at]) for at in sorted(ends)]


@pytest.mark.parametrize("compression", ["none", "xz", "zstd"])
def test_a_binary_cache_is_copied_from(built: Closure, tmp_path: Path, compression: str) -> None:
    key = SecretKey.generate("here-1")
    cache = tmp_path / "cache"
    write_binary_cache(cache, built.paths.values(), built.castore, compression=compression, key=key)
    top = StoreDir().join(built.top)
    other = Nix(tmp_path / "other")
    trusted = ("--option", "trusted-public-keys", str(key.public), "--option", "require-sigs", "true")
    other("nix", "copy", *trusted, "--from", f"file://{cache}", top)
    assert known(other, built.names) == known(built.nix, built.names)
    listed = json.loads(other("nix", "store", "ls", "--json", "--recursive", "--store", f"file://{cache}", top))
    assert listed["type"] == "directory" and listed["entries"]["bin"]["entries"]["run"]["executable"] is True
    assert other("nix", "store", "cat", "--store", f"file://{cache}", f"{top}/self") == f"I am {top}\n".encode()
