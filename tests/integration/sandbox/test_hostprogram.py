"""Programs of the host as inputs: the files they need, found and placed so that they start inside."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.castore import Castore, DirectoryNode, open_castore
from tvixbuild_nb.errors import HostRefused, InvalidRequest
from tvixbuild_nb.sandbox.hostprogram import add_to_inputs, program_files

pytestmark = pytest.mark.integration

GREETING = 'const char *greeting(void) { return "hello from a library"; }\n'
MAIN = "#include <stdio.h>\nconst char *greeting(void);\nint main(void) { puts(greeting()); return 0; }\n"


@pytest.fixture
def store() -> Castore:
    return open_castore("memory:")


@pytest.fixture
def dynamic(passable_tmp: Path) -> Path:
    """A program with a library of its own beside it, which it finds by its run path."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc and libc6-dev")
    base = passable_tmp / "app"
    (base / "lib").mkdir(parents=True)
    (base / "greeting.c").write_text(GREETING)
    (base / "main.c").write_text(MAIN)
    library = base / "lib" / "libgreeting.so.1"
    for command in (
        ["-shared", "-fPIC", "-Wl,-soname,libgreeting.so.1", "-o", library, base / "greeting.c"],
        ["-o", base / "hello", base / "main.c", library, f"-Wl,-rpath,{base}/lib"],
    ):
        subprocess.run(["gcc", *command], check=True)
    return base


def script(path: Path, first_line: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{first_line}\necho hello from a script\n")
    path.chmod(0o755)
    return path


def real(path: str) -> str:
    return os.path.realpath(path)


def test_loader_and_libraries_come_along(dynamic: Path) -> None:
    found = program_files(str(dynamic / "hello"))
    assert {str(dynamic / "hello"), str(dynamic / "lib" / "libgreeting.so.1")} <= set(found)
    names = {os.path.basename(path) for path in found}
    assert any(name.startswith("ld-linux") for name in names) and "libc.so.6" in names
    # Every path can be placed: what is on the way to it is a directory, or a link that is there, too.
    for path in found:
        assert os.path.lexists(path)
        assert real(os.path.dirname(path)) == os.path.dirname(path)


def test_merged_usr_links_stand_beside_what_they_lead_to(passable_tmp: Path, store: Castore) -> None:
    tool = script(passable_tmp / "usr" / "bin" / "tool", "#!/bin/sh")
    (passable_tmp / "bin").symlink_to("usr/bin")
    (passable_tmp / "bin" / "alias").symlink_to(f"{passable_tmp}/bin/tool")
    found = program_files(str(passable_tmp / "bin" / "alias"))
    assert {str(passable_tmp / "bin"), str(passable_tmp / "usr/bin/alias"), str(tool)} <= set(found)
    assert str(passable_tmp / "bin" / "alias") not in found
    inputs = add_to_inputs(store, {}, found)
    top, *rest = passable_tmp.parts[1:]
    place = store.tree(inputs[top]) / "/".join(rest)
    assert (place / "bin").readlink() == "usr/bin"
    assert (place / "usr" / "bin" / "tool").read_text().endswith("echo hello from a script\n")
    assert (place / "usr" / "bin" / "tool").executable


@pytest.mark.parametrize("line", ["#!/bin/sh", "#! /bin/sh -e", "#!/usr/bin/env sh", "#!/usr/bin/env -S A=b sh -e"])
def test_the_interpreter_of_a_script(passable_tmp: Path, line: str) -> None:
    found = program_files(str(script(passable_tmp / "tool", line)))
    assert real("/bin/sh") in found
    assert (real("/usr/bin/env") in found) == ("env" in line)


def test_an_interpreter_that_is_not_there(passable_tmp: Path) -> None:
    with pytest.raises(HostRefused, match="'/no/such/sh' is not there"):
        program_files(str(script(passable_tmp / "tool", "#!/no/such/sh")))
    with pytest.raises(HostRefused, match="needs no-such-interpreter, which is not on PATH"):
        program_files(str(script(passable_tmp / "tool", "#!/usr/bin/env no-such-interpreter")))


def test_what_is_not_there_is_named(passable_tmp: Path) -> None:
    with pytest.raises(HostRefused, match="'no-such-program' is not a program"):
        program_files("no-such-program")
    with pytest.raises(HostRefused, match="'/no/such/data' is not there"):
        program_files("sh", ["/no/such/data"])


def test_a_missing_library_is_named(dynamic: Path) -> None:
    (dynamic / "lib" / "libgreeting.so.1").unlink()
    with pytest.raises(HostRefused, match=r"hello needs libgreeting\.so\.1, which this host does not have"):
        program_files(str(dynamic / "hello"))
    # In a directory that is taken as data it is one file among others.
    assert str(dynamic / "hello") in program_files("sh", [str(dynamic)])


def test_ld_library_path_is_not_counted_on(dynamic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (dynamic / "lib").rename(dynamic / "elsewhere")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(dynamic / "elsewhere"))
    with pytest.raises(HostRefused, match=r"libgreeting\.so\.1"):
        program_files(str(dynamic / "hello"))


def test_data_directories(dynamic: Path, passable_tmp: Path, store: Castore) -> None:
    data = passable_tmp / "data"
    (data / "empty").mkdir(parents=True)
    (data / "text").write_text("x")
    (data / "broken").symlink_to("nowhere")
    (data / "null").symlink_to("/dev/null")
    (data / "other").symlink_to(dynamic / "lib")
    (data / "run").symlink_to(dynamic / "hello")
    (data / "damaged").write_bytes(b"\x7fELF\x02\x01")
    (data / "damaged").chmod(0o755)
    os.mkfifo(data / "fifo")
    found = program_files("sh", [str(data)])
    assert str(dynamic / "lib" / "libgreeting.so.1") in found  # needed by what the link leads to
    inputs = add_to_inputs(store, {}, found)
    top, *rest = data.parts[1:]
    place = store.tree(inputs[top]) / "/".join(rest)
    kinds = {entry.name: entry.kind for entry in place.iterdir()}
    assert kinds == {
        "empty": "directory", "text": "file", "broken": "symlink", "null": "symlink", "other": "symlink",
        "run": "symlink", "damaged": "file",
    }  # fmt: skip
    assert list(place / "empty") == []


def test_a_broken_link_as_data(passable_tmp: Path) -> None:
    (passable_tmp / "broken").symlink_to("nowhere")
    assert str(passable_tmp / "broken") in program_files("sh", [str(passable_tmp / "broken")])


def test_programs_are_merged_and_contradictions_refused(store: Castore, dynamic: Path) -> None:
    inputs = add_to_inputs(store, {}, program_files("sh"))
    both = add_to_inputs(store, inputs, program_files(str(dynamic / "hello")))
    assert set(inputs) <= set(both)
    assert add_to_inputs(store, both, program_files("sh")) == both
    top = dynamic.parts[1]
    with pytest.raises(InvalidRequest, match=f"/{top} is already an input"):
        add_to_inputs(store, {top: store.ingest_bytes(b"")}, [str(dynamic / "hello")])
    with pytest.raises(InvalidRequest, match="another one"):
        (dynamic / "hello").write_text("changed")
        add_to_inputs(store, both, [str(dynamic / "hello")])
    assert isinstance(both[top], DirectoryNode)


def test_inputs_must_be_at_the_root(store: Castore) -> None:
    with pytest.raises(InvalidRequest, match="must stand where the host has it"):
        Sandbox("true", store=store).add_host_program("sh")


def test_a_dynamic_program_and_a_script_run_inside(root: None, dynamic: Path, passable_tmp: Path) -> None:
    if shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
        pytest.skip("needs runc")
    tool = script(passable_tmp / "tool", "#!/usr/bin/env sh")
    builder = OCIBuildService(passable_tmp / "bundles")
    for program, said in ((dynamic / "hello", "hello from a library\n"), (tool, "hello from a script\n")):
        sandbox = Sandbox(
            [str(program)],
            inputs_dir="",
            provide_bin_sh=False,
            env={"PATH": os.environ["PATH"]},
            builder=builder,
            store=builder.castore,
        )
        sandbox.add_host_program(str(program))
        run = sandbox.run(timeout=60, show=False, check=True)
        assert run.log.text() == said
    builder.close()
