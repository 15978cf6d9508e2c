"""ingest, ls, tree, cat, export: the store by digests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.cli import Command, start_command
from tvixbuild_nb.castore import Directory, DirectoryNode, FileNode, SymlinkNode, directory_digest, open_castore

EMPTY = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
# Files that hold these numbers have digests whose first six hex digits are the same; found by trying.
SAME_BEGINNING = (1643, 4447)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with some of everything; the store is one of its own."""
    monkeypatch.setenv("TVIXBUILD_NB_STORE", str(tmp_path / "store"))
    top = tmp_path / "source"
    (top / "bin").mkdir(parents=True)
    (top / "bin" / "hello").write_bytes(b"#!/bin/sh\n\xff\n")
    (top / "bin" / "hello").chmod(0o755)
    (top / "data").write_bytes(b"12345")
    (top / "link").symlink_to("bin/hello")
    (top / "tools").symlink_to("bin")
    (top / "nowhere").symlink_to("/etc")
    os.mkdir(os.fsencode(top) + b"/\xff\x1b[2J")
    return top


@pytest.fixture
def digest(command: Command, source: Path) -> str:
    return str(command.json("ingest", source)["digest"])


def test_one_path_is_an_object(command: Command, source: Path) -> None:
    found = command.json("ingest", source)
    with open_castore() as castore:
        node = castore.ingest(source)
    assert isinstance(node, DirectoryNode)
    assert found == {
        "kind": "directory", "digest": str(node.digest), "size": 14, "entries": 7, "executable": None, "target": None
    }  # fmt: skip


def test_several_paths_are_a_list(command: Command, source: Path) -> None:
    program, data, link = command.json("ingest", source / "bin" / "hello", source / "data", source / "nowhere")
    assert (program["kind"], program["size"], program["executable"], program["entries"]) == ("file", 12, True, None)
    assert (data["size"], data["executable"]) == (5, False)
    assert (link["kind"], link["digest"], link["target"]) == ("symlink", None, "/etc")


def test_what_cannot_be_stored_is_named(command: Command, source: Path) -> None:
    os.mkfifo(source / "fifo")
    assert command("ingest", source, status=1) == ""
    assert "fifo: this is a FIFO" in command.err
    assert command("ingest", source / "none", status=1) == ""
    assert "none: No such file" in command.err


def test_ls(command: Command, digest: str) -> None:
    names = [entry["name"] for entry in command.json("ls", digest)]
    assert [os.fsencode(name) for name in names] == [b"bin", b"data", b"link", b"nowhere", b"tools", b"\xff\x1b[2J"]
    shown = command("ls", digest)
    assert "\x1b" not in shown and "\\xff\\x1b[2J" in shown and "link -> bin/hello" in shown
    assert all(digest.isprintable() for digest in shown.splitlines())


def test_ls_of_one_entry_and_of_what_a_link_leads_to(command: Command, digest: str) -> None:
    assert [entry["kind"] for entry in command.json("ls", f"{digest}/data")] == ["file"]
    assert [entry["kind"] for entry in command.json("ls", f"{digest}/tools")] == ["symlink"]
    assert [entry["name"] for entry in command.json("ls", f"{digest}/tools/")] == ["hello"]
    assert [entry["name"] for entry in command.json("ls", f"{digest}/tools/hello")] == ["hello"]


def test_tree(command: Command, digest: str) -> None:
    shown = command("tree", digest)
    assert "├── bin  1 entry" in shown and "│   └── hello  12 B" in shown and "\\xff\\x1b[2J" in shown
    assert shown.splitlines()[-1] == "2 directories, 2 files, 3 symlinks; 17 B in files"
    found = command.json("tree", digest)
    assert found["root"]["digest"] == digest and len(found["entries"]) == 7
    assert [entry["path"] for entry in found["entries"]][:2] == ["bin", "bin/hello"]
    assert command.json("tree", f"{digest}/bin")["entries"][0]["path"] == "hello"


def test_cat_gives_the_bytes(command: Command, digest: str) -> None:
    for place in ("bin/hello", "link", "tools/hello"):
        command("cat", f"{digest}/{place}")
        assert command.out == b"#!/bin/sh\n\xff\n"


def test_export(command: Command, digest: str, tmp_path: Path) -> None:
    assert command("export", digest, tmp_path / "out") == ""
    assert (tmp_path / "out" / "link").readlink() == Path("bin/hello")
    assert command.json("ingest", tmp_path / "out")["digest"] == digest
    command("export", f"{digest}/data", tmp_path / "data")
    assert (tmp_path / "data").read_bytes() == b"12345"
    command("export", digest, tmp_path / "out", status=1)


@pytest.mark.parametrize("name", ["ls", "tree", "cat"])
def test_what_is_not_there(command: Command, digest: str, name: str) -> None:
    command(name, "0" * 64, status=1)
    assert f"{'0' * 64}: the store file:" in command.err and "hint: --store" in command.err
    command(name, f"{digest}/bin/none", status=1)
    assert f"{digest}/bin/none: no such entry" in command.err
    command(name, "abc", status=2)
    assert "64 hex digits" in command.err
    command(name, f"{digest}/nowhere/passwd", status=1)
    assert "out of the tree" in command.err
    command(name, digest, "--store", "nope:x", status=2)
    assert "memory:" in command.err


def test_the_beginning_of_a_digest(command: Command, digest: str, tmp_path: Path) -> None:
    data = command.json("ls", f"{digest}/data")[0]["digest"]
    for count in (6, 7, 12, 63):
        assert command("ls", digest[:count]) == command("ls", digest)
        assert command("tree", digest[:count].upper()) == command("tree", digest)
        assert command("cat", f"{digest[:count]}/data") == command("cat", data[:count]) == "12345"
    command("export", f"{digest[:12]}/bin", tmp_path / "out")
    assert (tmp_path / "out" / "hello").exists()
    command("ls", digest[:5], status=2)
    assert f"not a digest in hex: '{digest[:5]}'" in command.err and "at least the first 6" in command.err
    command("ls", "0" * 12, status=1)
    assert "holds nothing whose digest begins so" in command.err and "hint: --store" in command.err


def test_a_beginning_of_several_digests_lists_them(command: Command, source: Path) -> None:
    with open_castore() as castore:
        nodes = [castore.ingest_bytes(b"%d" % number) for number in SAME_BEGINNING]
    command("cat", str(nodes[0].digest)[:6], status=2)
    assert "several digests begin so:" in command.err and "hint: give more digits" in command.err
    assert all(f"  {node.digest}  blob of " in command.err for node in nodes)
    assert command("cat", str(nodes[0].digest)[:12]) == str(SAME_BEGINNING[0])


def test_a_store_that_cannot_look_up_beginnings(command: Command, digest: str) -> None:
    command("ls", digest[:12], "--store", "memory:", status=2)
    assert "all 64 hex digits" in command.err and "`tvixbuild-nb ingest` prints them" in command.err


@pytest.mark.parametrize(("path", "kind"), [("/data", "file"), ("/link", "symlink")])
def test_only_a_directory_can_be_mounted(command: Command, digest: str, tmp_path: Path, path: str, kind: str) -> None:
    command("mount", f"{digest}{path}", tmp_path, status=1)
    assert f"{digest}{path}: this is a {kind}, and only a directory can be mounted" in command.err
    assert "hint: name a directory" in command.err


def test_a_directory_is_no_file(command: Command, digest: str) -> None:
    command("cat", digest, status=1)
    assert "this is a directory, not a file" in command.err


def test_the_empty_file_and_the_empty_directory(command: Command, source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    assert command.json("ingest", tmp_path / "file")["digest"] == EMPTY
    assert command.json("ls", EMPTY)[0]["kind"] == "file"
    assert command.json("ingest", tmp_path / "directory")["digest"] == EMPTY
    assert command("cat", EMPTY) == ""
    assert command.json("ls", EMPTY) == []


def test_a_tree_deeper_than_the_stack(command: Command, source: Path) -> None:
    with open_castore() as castore, castore.batch() as batch:
        node: DirectoryNode | SymlinkNode = SymlinkNode(b"end")
        for _ in range(3000):
            directory = Directory({b"d": node})
            batch.put_directory(directory)
            node = DirectoryNode(directory_digest(directory), directory.size)
        batch.commit(node)
    assert isinstance(node, DirectoryNode)
    assert "2999 directories, 0 files, 1 symlink;" in command("tree", str(node.digest))


def test_nobody_reads_on(source: Path) -> None:
    with open_castore() as castore:
        node = castore.ingest_bytes(os.urandom(1 << 20))
    assert isinstance(node, FileNode)
    process = start_command("cat", str(node.digest))
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert (process.wait(timeout=30), process.stderr.read()) == (141, b"")


def test_other_encodings_get_escapes(digest: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    process = start_command("tree", digest, env=environment, stdout=subprocess.PIPE)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and err == b"" and b"\\u251c\\u2500\\u2500 bin" in out


def test_json_is_ascii(command: Command, digest: str) -> None:
    assert command("ls", digest, "--json").isascii()
    assert json.loads(command.out)


def test_a_full_disk_under_the_output(digest: str) -> None:
    with open("/dev/full", "wb") as full:
        for name in ("ls", "cat"):
            process = start_command(name, f"{digest}/data", stdout=full)
            _, err = process.communicate(timeout=30)
            assert (process.returncode, err) == (1, b"tvixbuild-nb: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_closed_streams(digest: str, closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", sys.executable, "-m", "tvixbuild_nb", "ls", digest], capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
