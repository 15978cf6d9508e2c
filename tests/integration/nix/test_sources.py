"""Every place that store paths come from answers alike: a contract, over what Nix itself has made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.nix import Nix
from support.nixpaths import build_closure, copy_to_cache, served
from support.users import AsUser
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.errors import InvalidValue, NotFound, PathSourceError, Untrusted
from tvixbuild_nb.nix import StoreDir, StorePath
from tvixbuild_nb.nix.nar import sum_of_node
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.settings import trust_settings
from tvixbuild_nb.nix.signing import SecretKey
from tvixbuild_nb.nix.sources import (
    CastoreSource,
    FirstOf,
    KnownPaths,
    LocalStore,
    PathSource,
    Remembering,
    ScannedStore,
    closure,
    fetch,
    open_path_source,
)

pytestmark = pytest.mark.integration

PLACES = ("database", "scanned", "file-none", "file-xz", "file-zstd", "http-xz", "http-zstd", "castore", "remembering")
# What reads a path's files sees what they refer to, but neither who built it nor who signed it.
CONTENTS_ONLY = ("scanned", "castore")
MISSING = StorePath(bytes(20), "missing")


@dataclass(frozen=True)
class Made:
    """A closure built by Nix, and caches of it; everything is signed by ``key``."""

    nix: Nix
    top: StorePath
    caches: Path
    key: SecretKey


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    scratch = tmp_path_factory.mktemp("sources")
    nix = Nix(scratch / "nix")
    top = build_closure(nix, scratch)
    key = SecretKey.parse(nix("nix", "key", "generate-secret", "--key-name", "cache.test-1").decode())
    (scratch / "key").write_text(key.reveal())
    nix("nix", "store", "sign", "--recursive", "--key-file", scratch / "key", StoreDir().join(top))
    for compression in ("none", "xz", "zstd"):
        copy_to_cache(nix, top, scratch / "caches" / compression, compression)
    return Made(nix, top, scratch / "caches", key)


@pytest.fixture
def castore(tmp_path: Path) -> Iterator[Castore]:
    with open_castore(tmp_path / "castore") as castore:
        yield castore


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(made: Made, castore: Castore) -> Iterator[Callable[[str], PathSource]]:
    with ExitStack() as stack:

        def open_place(place: str) -> PathSource:
            kind, _, compression = place.partition("-")
            keys = [made.key.public]
            if kind == "database":
                source: PathSource = open_path_source(f"local?root={made.nix.root / 'root'}")
                assert isinstance(source, LocalStore)
            elif kind == "scanned":
                source = ScannedStore(real=made.nix.store)
            elif kind == "castore":
                local = open_place("database")
                fetched = fetch(local, closure(local, [made.top]), castore)
                source = CastoreSource(castore, {path: found.node for path, found in fetched.items()})
            elif kind == "remembering":
                source = Remembering(open_place("http-zstd"), stack.enter_context(KnownPaths.beside(castore)))
            elif kind == "file":
                source = open_path_source(f"file://{made.caches / compression}", keys=keys)
            else:
                url = stack.enter_context(served(made.caches / compression))
                source = open_path_source(url, keys=keys)
            stack.callback(source.close)
            return source

        yield open_place


@pytest.fixture
def source(opened: Callable[[str], PathSource], place: str) -> PathSource:
    return opened(place)


def test_a_closure_is_what_nix_says(made: Made, source: PathSource, place: str) -> None:
    found = closure(source, [made.top])
    listed = made.nix("nix-store", "-qR", StoreDir().join(made.top)).decode().split()
    assert sorted(map(StoreDir().join, found)) == sorted(listed)
    for path, info in found.items():
        where = StoreDir().join(path)
        assert info.path == path
        assert str(info.nar_hash) == made.nix("nix-store", "-q", "--hash", where).decode().strip()
        assert info.nar_size == int(made.nix("nix-store", "-q", "--size", where))
        references = made.nix("nix-store", "-q", "--references", where).decode().split()
        assert list(map(StoreDir().join, info.references)) == sorted(references)
        deriver = made.nix("nix-store", "-q", "--deriver", where).decode().strip()
        if place not in CONTENTS_ONLY:
            assert ("unknown-deriver" if info.deriver is None else StoreDir().join(info.deriver)) == deriver
            assert made.key.public.verifies(info.fingerprint(source.store), info.signatures[0])
    assert made.top in found[made.top].references


def test_nodes_are_those_of_the_files(made: Made, source: PathSource, castore: Castore) -> None:
    for path, found in fetch(source, closure(source, [made.top]), castore).items():
        assert found.node == open_castore("memory:").ingest(made.nix.store / str(path))
        assert castore.has_closure(found.node)
        total = sum_of_node(castore, found.node)
        assert (total.hash, total.size) == (found.info.nar_hash, found.info.nar_size)


def test_what_is_not_there(made: Made, source: PathSource, castore: Castore) -> None:
    assert source.info(MISSING) is None
    with pytest.raises(NotFound) as caught:
        source.node(MISSING, castore)
    assert caught.value.path == f"/nix/store/{MISSING}"
    with pytest.raises(NotFound, match="does not have it"):
        closure(source, [made.top, MISSING])


def test_the_way_to_what_is_missing_is_named(made: Made, castore: Castore) -> None:
    with open_path_source(f"local?root={made.nix.root / 'root'}") as local:
        everything = closure(local, [made.top])
        nodes = {path: found.node for path, found in fetch(local, everything, castore).items()}
        (leaf,) = [path for path in everything if path.name == "leaf"]

    class Lacking(CastoreSource):
        def info(self, path: StorePath) -> PathInfo | None:
            return None if path.name == "text" else everything[path]

    with pytest.raises(NotFound, match=f"needed by {leaf}, needed by {made.top}"):
        closure(Lacking(castore, nodes), [made.top])


def test_remembered_paths_need_no_source(made: Made, castore: Castore) -> None:
    with KnownPaths.beside(castore) as known, served(made.caches / "zstd") as url:
        with open_path_source(url, keys=[made.key.public]) as cache:
            first = Remembering(cache, known)
            fetched = fetch(first, closure(first, [made.top]), castore)
        again = open_path_source(url, keys=[made.key.public])
    # The server is gone.
    with KnownPaths.beside(castore) as known, Remembering(again, known) as second:
        infos = closure(second, [made.top])
        assert {path: found.node for path, found in fetch(second, infos, castore).items()} == {
            path: found.node for path, found in fetched.items()
        }
        with open_castore("memory:") as other, pytest.raises(PathSourceError, match="cannot be reached"):
            second.node(made.top, other)


def test_other_trust_is_asked_anew(made: Made, castore: Castore) -> None:
    address = f"file://{made.caches / 'xz'}"
    with KnownPaths.beside(castore) as known:
        Remembering(open_path_source(address, require_signatures=False), known).node(made.top, castore)
        stranger = SecretKey.generate("stranger").public
        with pytest.raises(Untrusted, match=r"signed by cache\.test-1, which is not trusted") as caught:
            Remembering(open_path_source(address, keys=[stranger]), known).node(made.top, castore)
        assert caught.value.hint is not None and "stranger" in caught.value.hint


def test_a_key_of_the_same_name_is_not_enough(made: Made) -> None:
    impostor = SecretKey.generate(made.key.name).public
    with pytest.raises(Untrusted, match="this trusted key did not make"):
        open_path_source(f"file://{made.caches / 'xz'}", keys=[impostor]).info(made.top)


def test_the_settings_are_read_as_nix_reads_them(nix: Nix, tmp_path: Path) -> None:
    (tmp_path / "nix.conf").write_text("include more # comment\ntrusted-public-keys = one:1 two:2\n!include none\n")
    (tmp_path / "more").write_text("trusted-public-keys = lost:1\nrequire-sigs = false\n")
    (tmp_path / "own").write_text("extra-trusted-public-keys = three:3\tfour:4\n")
    changes = {"NIX_CONF_DIR": str(tmp_path), "NIX_USER_CONF_FILES": f"{tmp_path}/own:{tmp_path}/nothing"}
    for more in ("", "extra-trusted-public-keys = five:5\nrequire-sigs = yes"):
        changes["NIX_CONFIG"] = f"experimental-features = nix-command\n{more}"
        command = ("config", "show") if nix.version >= (2, 20) else ("show-config",)
        printed = json.loads(nix("nix", *command, "--json", **changes))
        found = trust_settings(changes)
        assert sorted(found.keys) == sorted(printed["trusted-public-keys"]["value"])
        assert found.require_signatures == printed["require-sigs"]["value"]


def test_several_places_are_one(made: Made, castore: Castore, opened: Callable[[str], PathSource]) -> None:
    empty = CastoreSource(castore, {})
    with FirstOf([empty, opened("file-xz")]) as both:
        assert len(fetch(both, closure(both, [made.top]), castore)) == 3
        assert both.info(MISSING) is None
        with pytest.raises(NotFound):
            both.node(MISSING, castore)
    with pytest.raises(InvalidValue, match="different store directories"):
        FirstOf([empty, CastoreSource(castore, {}, StoreDir("/other/store"))])


def test_outputs_and_derivers(made: Made) -> None:
    with open_path_source(f"local?root={made.nix.root / 'root'}") as local:
        assert isinstance(local, LocalStore)
        info = local.info(made.top)
        assert info is not None and info.deriver is not None
        assert local.outputs(info.deriver) == {"out": made.top}
        assert local.derivers(made.top) == [info.deriver]


def test_the_database_is_read_while_nix_writes(made: Made, tmp_path: Path) -> None:
    with open_path_source(f"local?root={made.nix.root / 'root'}") as local:
        assert local.info(made.top) is not None
        (tmp_path / "added").write_text(os.urandom(8).hex())
        path = StoreDir().parse(made.nix("nix-store", "--add", tmp_path / "added").decode().strip())
        found = local.info(path)
        assert found is not None and found.ca is not None and found.proves_itself(StoreDir())


def test_an_ordinary_user_reads_the_database(made: Made, as_user: AsUser, passable_tmp: Path, root: None) -> None:
    """Who may not write beside the database cannot open its log; nobody has it open, so it lies there complete."""
    target = passable_tmp / "root"
    subprocess.run(["cp", "-a", made.nix.root / "root", target], check=True)
    script = (
        "from tvixbuild_nb.nix.sources import open_path_source; from tvixbuild_nb.nix import StorePath; "
        f"print(open_path_source('local?root={target}').info(StorePath.parse('{made.top}')).nar_size)"
    )
    done = as_user([sys.executable, "-c", script])
    assert int(done.stdout) == int(made.nix("nix-store", "-q", "--size", StoreDir().join(made.top)))
