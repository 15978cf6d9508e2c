"""nar hash, dump, restore, ls."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import nars
from support.cli import Command
from tvixbuild_nb.nix.nar import sum_of_path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    top = tmp_path / "source"
    (top / "bin").mkdir(parents=True)
    (top / "bin" / "run").write_bytes(b"#!/bin/sh\n")
    (top / "bin" / "run").chmod(0o755)
    (top / "link").symlink_to("bin/run")
    os.mkdir(os.fsencode(top) + b"/\xff\x1b[2J")
    return top


def test_hash_of_a_path_and_of_what_is_stored(command: Command, source: Path) -> None:
    total = sum_of_path(source)
    assert command("nar", "hash", source) == f"{total.hash.sri}\n"
    assert command.json("nar", "hash", source) == {"nar_hash": total.hash.sri, "nar_size": total.size}
    digest = command.json("ingest", source)["digest"]
    assert command("nar", "hash", digest) == f"{total.hash.sri}\n"
    assert command("nar", "hash", f"{digest}/bin/run") == command("nar", "hash", source / "bin" / "run")
    assert command("nar", "hash", f"{digest}/link") == command("nar", "hash", source / "link")


def test_dump_and_restore(command: Command, source: Path, tmp_path: Path) -> None:
    command("nar", "dump", source)
    (tmp_path / "x.nar").write_bytes(command.out)
    command("nar", "restore", tmp_path / "x.nar", tmp_path / "out")
    assert sum_of_path(tmp_path / "out") == sum_of_path(source)
    digest = command.json("ingest", source)["digest"]
    command("nar", "dump", digest)
    assert command.out == (tmp_path / "x.nar").read_bytes()


def test_ls(command: Command, source: Path, tmp_path: Path) -> None:
    command("nar", "dump", source)
    (tmp_path / "x.nar").write_bytes(command.out)
    assert command("nar", "ls", tmp_path / "x.nar").splitlines() == [
        "d                 .",
        "d                 bin",
        "x           10 B  bin/run",
        "l                 link -> bin/run",
        r"d                 \xff\x1b[2J",
    ]
    listed = command.json("nar", "ls", tmp_path / "x.nar")
    assert [entry["path"] for entry in listed] == ["", "bin", "bin/run", "link", "\udcff\x1b[2J"]
    assert listed[2] == {
        "path": "bin/run", "kind": "file", "size": 10, "executable": True, "target": None,
        "offset": command.out and (tmp_path / "x.nar").read_bytes().index(b"#!/bin/sh"),
    }  # fmt: skip


def test_what_is_wrong_is_told_with_its_offset(command: Command, tmp_path: Path) -> None:
    data = nars.nar(nars.directory((b"a", nars.regular()), (b"..", nars.regular())))
    (tmp_path / "x.nar").write_bytes(data)
    command("nar", "restore", tmp_path / "x.nar", tmp_path / "out", status=2)
    assert f"x.nar, byte {data.index(b'..') - 8}: '..' is not a name" in command.err
    assert os.listdir(tmp_path) == ["x.nar"], "not even under another name"
    assert command("nar", "ls", tmp_path / "x.nar", status=2).splitlines()[-1].endswith(" a")
    command("nar", "hash", tmp_path / "nothing", status=1)
    assert "No such file" in command.err
    command("nar", "ls", tmp_path / "nothing", status=1)
    command("nar", "dump", "nothing", status=2)
    assert "nothing: no such file, and not a digest" in command.err
    (tmp_path / "out").write_text("mine")
    command("nar", "restore", tmp_path / "x.nar", tmp_path / "out", status=1)
    assert "something already" in command.err and (tmp_path / "out").read_text() == "mine"
    for size in (0, 7, 30, len(data) - 1):
        (tmp_path / "cut.nar").write_bytes(data.replace(b"..", b"bb")[:size])
        command("nar", "restore", tmp_path / "cut.nar", tmp_path / "new", status=2)
        assert f"cut.nar, byte {size}: it ends in the middle" in command.err
    command("nar", "restore", tmp_path / "x.nar", tmp_path / "no" / "dir", status=1)
    assert sorted(os.listdir(tmp_path)) == ["cut.nar", "out", "x.nar", "xdg-data"], "the last one is the store"
