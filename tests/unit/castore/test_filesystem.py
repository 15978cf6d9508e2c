"""castore:// in fsspec: its own suite of what file systems do, ranges, symlinks, and pandas reading an output."""

from __future__ import annotations

import errno
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy
import pandas
import pytest
import xarray
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from tvixbuild_nb.castore import Castore, Digest, FileNode, Tree, open_castore
from tvixbuild_nb.castore.filesystem import CastoreFileSystem
from tvixbuild_nb.errors import DigestMismatch, InvalidNode

LARGE = bytes(range(256)) * (9 << 12)  # of several chunks on object storage
TABLE = "name,count\nalpha,1\nbeta,2\n"
ABSENT = "42" * 32


@pytest.fixture(params=["file:{}/store", "objectstore+file:{}/store", "memory:"])
def castore(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Castore]:
    with open_castore(request.param.format(tmp_path)) as opened:
        yield opened


@pytest.fixture
def tree(castore: Castore, tmp_path: Path) -> Tree:
    top = tmp_path / "tree"
    (top / "data/deep").mkdir(parents=True)
    (top / "data/table.csv").write_text(TABLE)
    (top / "data/deep/large").write_bytes(LARGE)
    (top / "empty").write_bytes(b"")
    (top / "run").write_text("#!/bin/sh\n")
    (top / "run").chmod(0o755)
    for name, target in {
        "latest": "data/table.csv",
        "dir": "data/deep",
        "loop": ".",
        "out": "../../etc/passwd",
        "absolute": "/etc/passwd",
        "broken": "nowhere",
    }.items():
        (top / name).symlink_to(target)
    return castore.tree(castore.ingest(top))


@pytest.fixture
def fs(castore: Castore) -> CastoreFileSystem:
    return CastoreFileSystem(castore)


class TestReading:
    def test_listings_and_what_is_there(self, fs: CastoreFileSystem, tree: Tree) -> None:
        assert tree.url == f"castore://{tree.digest}"
        names = ["absolute", "broken", "data", "dir", "empty", "latest", "loop", "out", "run"]
        assert fs.ls(tree.url, detail=False) == [f"{tree.digest}/{name}" for name in names]
        kinds = {entry["name"].rpartition("/")[2]: entry["type"] for entry in fs.ls(tree.url)}
        assert kinds == dict.fromkeys(names, "link") | {
            "data": "directory", "empty": "file", "latest": "file", "run": "file"
        }  # fmt: skip
        about = fs.info((tree / "run").url)
        assert (about["size"], about["executable"], about["digest"]) == (10, True, str((tree / "run").digest))
        assert fs.isdir(tree.url) and fs.isdir(f"{tree.url}/dir") and fs.isfile(f"{tree.url}/latest")
        assert fs.size(f"{tree.url}/latest") == len(TABLE)
        assert fs.ls(f"{tree.url}/latest") == [fs.info(f"{tree.url}/latest")]
        assert not fs.exists(f"{tree.url}/nothing") and not fs.exists(f"castore://{ABSENT}")

    def test_walks_and_patterns_end(self, fs: CastoreFileSystem, tree: Tree) -> None:
        digest = str(tree.digest)
        assert fs.glob(f"{tree.url}/**/*.csv") == [f"{digest}/data/table.csv"]
        assert fs.glob(f"{tree.url}/d*") == [f"{digest}/data", f"{digest}/dir"]
        walked = {top: (sorted(dirs), sorted(files)) for top, dirs, files in fs.walk(tree.url)}
        assert sorted(walked) == [digest, f"{digest}/data", f"{digest}/data/deep"]
        assert walked[f"{digest}/data"] == (["deep"], ["table.csv"])
        assert fs.du(f"{tree.url}/data") == len(TABLE) + len(LARGE)

    def test_seeks_and_ranges(self, fs: CastoreFileSystem, tree: Tree) -> None:
        path = f"{tree.url}/data/deep/large"
        with fs.open(path) as file:
            assert file.size == len(LARGE)
            assert file.read(5) == LARGE[:5]
            assert file.seek(-7, 2) == len(LARGE) - 7
            assert file.read() == LARGE[-7:]
            file.seek(5 << 20)
            assert file.read(1000) == LARGE[5 << 20 :][:1000]
        with fs.open(path) as file:
            assert file.read() == LARGE
        assert fs.cat_file(path, 3, -4) == LARGE[3:-4]
        assert (fs.head(path, 9), fs.tail(path, 9)) == (LARGE[:9], LARGE[-9:])
        table = f"{tree.url}/latest"
        assert fs.cat_ranges([path, table, path], [0, 0, -3], [2, 4, None]) == [LARGE[:2], b"name", LARGE[-3:]]
        assert fs.read_text(table) == TABLE
        assert fs.cat([table]) == {fs._strip_protocol(table): TABLE.encode()}

    def test_ranges_of_what_is_not_there(self, fs: CastoreFileSystem, tree: Tree) -> None:
        paths = [f"{tree.url}/nothing", f"{tree.url}/latest"]
        missing, found = fs.cat_ranges(paths, 0, 4)
        assert isinstance(missing, FileNotFoundError) and found == b"name"
        with pytest.raises(FileNotFoundError):
            fs.cat_ranges(paths, 0, 4, on_error="raise")
        with pytest.raises(ValueError, match="as many"):
            fs.cat_ranges(paths, [0], [1, 2])

    def test_a_digest_may_be_that_of_a_file(self, fs: CastoreFileSystem, castore: Castore, tree: Tree) -> None:
        node = castore.ingest_bytes(TABLE.encode())
        assert castore.tree(node).url == f"castore://{node.digest}"
        with fs.open(f"castore://{node.digest}") as file:
            assert file.read().decode() == TABLE
        empty = castore.ingest_bytes(b"")
        assert fs.cat_file(f"castore://{empty.digest}") == b""

    @pytest.mark.parametrize("name", ["out", "absolute", "broken", "nothing", "data/table.csv/below", "loop/broken"])
    def test_nothing_leads_out(self, fs: CastoreFileSystem, tree: Tree, name: str) -> None:
        with pytest.raises(FileNotFoundError):
            fs.open(f"{tree.url}/{name}")

    def test_symlinks_within_are_followed(self, fs: CastoreFileSystem, tree: Tree) -> None:
        assert fs.read_text(f"{tree.url}/loop/loop/data/table.csv") == TABLE
        assert fs.ls(f"{tree.url}/dir", detail=False) == [f"{tree.digest}/dir/large"]
        assert (tree / "loop/latest").resolve().read_text() == TABLE

    def test_what_is_no_digest(self, fs: CastoreFileSystem, tree: Tree) -> None:
        with pytest.raises(InvalidNode, match="not a digest"):
            fs.ls("castore://hello/world")
        with pytest.raises(FileNotFoundError, match="begins with a digest"):
            fs.ls("castore://")
        with pytest.raises(IsADirectoryError):
            fs.open(tree.url)

    @pytest.mark.parametrize(
        "change",
        [
            lambda fs, at: fs.open(f"{at}/new", "wb"),
            lambda fs, at: fs.mkdir(f"{at}/new"),
            lambda fs, at: fs.makedirs(f"{at}/new", exist_ok=True),
            lambda fs, at: fs.rm(at, recursive=True),
            lambda fs, at: fs.rm_file(f"{at}/empty"),
            lambda fs, at: fs.mv(f"{at}/empty", f"{at}/new"),
            lambda fs, at: fs.copy(f"{at}/empty", f"{at}/new"),
            lambda fs, at: fs.touch(f"{at}/new"),
            lambda fs, at: fs.pipe(f"{at}/new", b"x"),
            lambda fs, at: fs.put(__file__, f"{at}/new"),
        ],
    )
    def test_it_is_read_only(
        self, fs: CastoreFileSystem, tree: Tree, change: Callable[[CastoreFileSystem, str], object]
    ) -> None:
        with pytest.raises(OSError, match="read-only") as caught:
            change(fs, tree.url)
        assert caught.value.errno == errno.EROFS

    def test_damage_is_an_error(self, castore: Castore, fs: CastoreFileSystem, tmp_path: Path) -> None:
        digest = castore.ingest_bytes(b"contents").digest
        for path in tmp_path.glob(f"store/blobs/*/{digest}"):
            path.write_bytes(b"damaged!")
            with pytest.raises(DigestMismatch, match=str(digest)):
                fs.cat_file(f"castore://{digest}")


class TestWhoUsesIt:
    @pytest.fixture
    def table(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
        """A table in a store of its own, whose address alone is known."""
        (tmp_path / "out").mkdir()
        (tmp_path / "out/table.csv").write_text(TABLE)
        (tmp_path / "out/latest.csv").symlink_to("table.csv")
        return open_castore(tmp_path / "s").tree(open_castore(tmp_path / "s").ingest(tmp_path / "out"))

    def test_pandas(self, table: Tree) -> None:
        options = {"store": table.castore.address}
        for name in ("table.csv", "latest.csv"):
            frame = pandas.read_csv((table / name).url, storage_options=options)
            assert list(frame["count"]) == [1, 2]

    def test_xarray(self, tmp_path: Path) -> None:
        made = xarray.Dataset({"t": (("x", "y"), numpy.arange(120_000).reshape(300, 400))})
        made.to_netcdf(tmp_path / "out.nc", engine="h5netcdf")
        made.to_zarr(tmp_path / "out.zarr", consolidated=False)
        address = f"objectstore+file:{tmp_path}/store"
        with open_castore(address) as castore:
            netcdf, zarr = (castore.tree(castore.ingest(tmp_path / name)).url for name in ("out.nc", "out.zarr"))
        with fsspec.open(netcdf, store=address) as file, xarray.open_dataset(file, engine="h5netcdf") as found:
            assert found.equals(made)
        assert xarray.open_zarr(zarr, storage_options={"store": address}, consolidated=False).equals(made)

    def test_the_default_store(self, table: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("TVIXBUILD_NB_STORE", table.castore.address)
        assert list(pandas.read_csv((table / "table.csv").url)["name"]) == ["alpha", "beta"]
        monkeypatch.setenv("TVIXBUILD_NB_STORE", str(tmp_path / "another"))
        open_castore(tmp_path / "another").close()
        with pytest.raises(FileNotFoundError):
            pandas.read_csv((table / "table.csv").url)

    def test_by_its_protocol(self, table: Tree) -> None:
        with fsspec.open((table / "table.csv").url, "rt", store=table.castore.address) as file:
            assert file.read() == TABLE
        mapper = fsspec.get_mapper(table.url, store=table.castore.address)
        assert mapper["table.csv"] == TABLE.encode()

    def test_a_tree_has_one(self) -> None:
        castore = open_castore("memory:")
        tree = castore.tree(castore.ingest_bytes(b"x"))
        with tree.fsspec().open(tree.url) as file:
            assert file.read() == b"x"
        other = open_castore("memory:")
        with pytest.raises(FileNotFoundError):
            other.tree(FileNode(Digest.of(b"x"), 1)).fsspec().open(tree.url)

    def test_another_process_opens_it_by_address(self, table: Tree) -> None:
        fs = pickle.loads(pickle.dumps(table.fsspec()))
        assert fs.castore is not table.castore
        assert fs.read_text((table / "table.csv").url) == TABLE

    def test_the_same_contents_have_the_same_key(self, table: Tree) -> None:
        fs = table.fsspec()
        assert (
            fs.ukey((table / "latest.csv").url) == fs.ukey((table / "table.csv").url) == str(Digest.of(TABLE.encode()))
        )


class TestGet(AbstractFixtures, AbstractGetTests):  # type: ignore[misc]
    """fsspec's own tests of what is copied out; what it would write first is ingested."""

    @pytest.fixture
    def fs(self, tmp_path: Path) -> CastoreFileSystem:
        return CastoreFileSystem(open_castore(tmp_path / "store"))

    @pytest.fixture
    def fs_path(self) -> str:
        return ""

    def _ingested(self, make: Callable[..., str], fs: CastoreFileSystem, tmp_path: Path, join: Any) -> str:
        source = make(LocalFileSystem(auto_mkdir=True), join, str(tmp_path / "made"))
        node = fs.castore.ingest(source)
        return str(fs.castore.tree(node).url)

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self, fs: CastoreFileSystem, tmp_path: Path, fs_join: Any) -> str:
        return self._ingested(self._bulk_operations_scenario_0, fs, tmp_path, fs_join)

    @pytest.fixture
    def fs_glob_edge_cases_files(self, fs: CastoreFileSystem, tmp_path: Path, fs_join: Any) -> str:
        return self._ingested(self._glob_edge_cases_files, fs, tmp_path, fs_join)

    @pytest.fixture
    def fs_dir_and_file_with_same_name_prefix(self, fs: CastoreFileSystem, tmp_path: Path, fs_join: Any) -> str:
        return self._ingested(self._dir_and_file_with_same_name_prefix, fs, tmp_path, fs_join)

    @pytest.fixture
    def fs_10_files_with_hashed_names(self, fs: CastoreFileSystem, tmp_path: Path, fs_join: Any) -> str:
        return self._ingested(self._10_files_with_hashed_names, fs, tmp_path, fs_join)

    test_get_directory_recursive = None  # it writes into the file system that it tests
