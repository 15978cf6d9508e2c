"""The JSON of nix derivation show, and derivations from files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given

from support.cli import Command
from support.derivations import BASENAMES, SHOWN, STORE, derivations, golden
from tvixbuild_nb.errors import InvalidDerivation
from tvixbuild_nb.nix import (
    Derivation,
    InputAddressed,
    StorePath,
    derivation_path,
    derivations_in,
    read_derivation,
    show_derivations,
)

READ = derivations_in(STORE)
# Nix 2.8 prints its bytes as they are, which is no JSON.
NOT_TEXT = golden("bytes")


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    return Command(capfdbinary)


@pytest.mark.parametrize("basename", BASENAMES)
def test_goldens(basename: str) -> None:
    path = StorePath.parse(basename)
    shown = show_derivations({path: READ(path)})
    printed = (SHOWN / f"{basename}.json").read_bytes()
    assert shown.text == printed.decode("utf-8", "replace")
    assert len(shown.warnings) == (2 if basename == NOT_TEXT else 0)


@given(derivations())
def test_every_derivation_gives_json(derivation: Derivation) -> None:
    path = derivation_path(derivation)
    [(key, value)] = json.loads(show_derivations({path: derivation}).text).items()
    assert key == derivation.store_dir.join(path)
    assert list(value) == ["outputs", "inputSrcs", "inputDrvs", "system", "builder", "args", "env"]
    assert value["args"] == [word.decode("utf-8", "replace") for word in derivation.args]
    assert list(value["inputDrvs"]) == [derivation.store_dir.join(each) for each in derivation.input_derivations]


def test_what_is_no_text_is_named() -> None:
    value = {b"\xff": b"\xfe", b"\xfe": b"text"}
    made = Derivation("x", {"out": InputAddressed(StorePath(bytes(20), "x"))}, b"\xff", b"\xff", (b"", b"\xff"), value)
    path = derivation_path(made)
    shown = show_derivations({path: made})
    assert [warning.removeprefix(f"{path}: ").partition(" is not")[0] for warning in shown.warnings] == [
        "system", "builder", "args[1]", "the name of a variable", "the name of a variable", "variable \ufffd",
    ]  # fmt: skip
    # Two names became one: both stand there, as they do in Nix's.
    assert shown.text.count('"\ufffd": ') == 2


def test_several_are_shown_in_the_order_given() -> None:
    paths = [StorePath.parse(golden(name)) for name in ("simple", "arguments")]
    assert [key[-20:] for key in json.loads(show_derivations({path: READ(path) for path in paths}).text)] == [
        f"/nix/store/{path}"[-20:] for path in paths
    ]


def test_names_of_files(tmp_path: Path) -> None:
    """A derivation is called what its file is called, or else what its environment says."""
    data = (STORE / golden("simple")).read_bytes()
    for name, expected in (("other.drv", "other"), (golden("simple"), "simple"), ("noted.txt", "simple")):
        (tmp_path / name).write_bytes(data)
        assert read_derivation(tmp_path / name).name == expected
        assert read_derivation(os.fsencode(tmp_path / name), "given").name == "given"


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.drv")
    for path in (tmp_path / "fifo.drv", Path("/dev/zero")):
        with pytest.raises(InvalidDerivation, match="not a regular file"):
            read_derivation(path)
    with pytest.raises(FileNotFoundError):
        read_derivation(tmp_path / "nosuch.drv")
    with open(tmp_path / "large.drv", "wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(InvalidDerivation, match="larger than 64 MiB"):
        read_derivation(tmp_path / "large.drv")


@pytest.mark.parametrize(
    "name",
    ["simple", "variables", "structured", "several", "fixed-sha512-flat", "floating", "deferred", "impure", "large"],
)
def test_drv_show_prints_what_nix_prints(command: Command, name: str) -> None:
    basename = golden(name)
    command("drv", "show", STORE / basename)
    assert command.out == (SHOWN / f"{basename}.json").read_bytes()
    assert command.err == ""


def test_drv_show_warns(command: Command, tmp_path: Path) -> None:
    assert "\ufffd" in command("drv", "show", STORE / NOT_TEXT)
    assert command.err.count("warning: ") == 2 and "variable value is not UTF-8" in command.err
    misnamed = tmp_path / f"{'0' * 32}-simple.drv"
    misnamed.write_bytes((STORE / golden("simple")).read_bytes())
    assert golden("simple") in command("drv", "show", misnamed)
    assert f"its contents belong to {golden('simple')}" in command.err


def test_drv_show_refuses_with_the_offset(command: Command, tmp_path: Path) -> None:
    broken = tmp_path / "broken.drv"
    broken.write_bytes((STORE / golden("simple")).read_bytes()[:30])
    assert command("drv", "show", broken, status=2) == ""
    assert "broken.drv, byte 15: the string does not end" in command.err


def test_drv_show_of_another_store(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIX_STORE_DIR", "/gnu/store")
    other = tmp_path / "simple.drv"
    other.write_bytes((STORE / golden("simple")).read_bytes().replace(b"/nix/store", b"/gnu/store"))
    assert '"/gnu/store/' in command("drv", "show", other)
