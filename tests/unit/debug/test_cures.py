"""Cures: for a sandbox they are Python that compiles, for a derivation nothing that only a sandbox has."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from tvixbuild_nb.castore import FileNode, open_castore
from tvixbuild_nb.debug.cures import Cures, DerivationCures, SandboxCures, cures_for
from tvixbuild_nb.request import BuildRequest, FrozenMap

STORE = "nix/store"
ZLIB = "0123456789abcdfghijklmnpqrsvwxyz-zlib-1.3.1-dev"
OUT = "00000000000000000000000000000000-out"
# What a derivation does not have, or cannot take.
SANDBOX_ONLY = re.compile(r"\bsb\.|inputs_dir|add_host_program|add_input|available_ro_paths|provide_bin_sh|\bsb = ")


def _request(inputs_dir: str = STORE, command: str = "true\r\n") -> BuildRequest:
    empty = open_castore("memory:").ingest_bytes(b"")
    return BuildRequest(
        command_args=["/bin/sh", "-c", command], inputs={ZLIB: FileNode(empty.digest, 0, False)}, inputs_dir=inputs_dir,
        outputs=[f"{STORE}/{OUT}"], scratch_paths=["build", STORE], working_dir="build",
        environment_vars={"PATH": b"/bin", "out": f"/{STORE}/{OUT}".encode()},
        additional_files={"opt/run": b"echo\r\n"},
    )  # fmt: skip


def _all(cures: Cures) -> Iterator[tuple[str, str]]:
    """Every cure there is, by the method's name, for names and paths of each kind."""
    store, missing = f"/{STORE}/{ZLIB}", f"/{STORE}/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-glibc-2.40/lib"
    calls = {
        "known": [("a", "b")],
        "variable": [("FOO", 'a "b" $c')],
        "stands_for": [("DEST", f"/{STORE}/{OUT}"), ("DEST", "/build/x")],
        "search_path": [("PATH", f"{store}/bin"), ("CPATH", f"{store}/include"), ("CPATH", "/opt/x")],
        "program": [("sh",), ("nonesuch",), ("/usr/bin/nonesuch",)],
        "path": [(f"{store}/x",), (f"{missing}/x",), ("/opt/x",)],
        "package": [("z.h", "CPATH")],
        "with_libraries": [("/opt/x", "libz.so.1")],
        "beside": [
            (f"{store}/x", ZLIB, name, places)
            for name in ("libz.so.1", "/lib64/ld.so", f"{missing}/ld.so", f"{store}/lib/ld.so")
            for places in ((), (missing,), ("/lib/none",))
        ],
        "toolchain": [()],
        "shebang": [("/usr/bin/env", "python3", "/bin/sh", owner) for owner in (None, ZLIB)],
        "executable": [(f"{store}/x", ZLIB, "PATH/x"), ("/x", None, "PATH")],
        "command": [(f"{store}/bin/x",), (f"{store}/bin/x", "/bin/y")],
        "by_shell": [("/opt/run", "it has no x bit")],
        "shell": [()],
        "written": [("/build/o ut", f"{STORE}/{OUT}")],
        "unwritten": [(f"{STORE}/{OUT}",)],
        "line_ends": [((),), (("/opt/run", f"{store}/x"),)],
        "writable": [("opt",), (None,)],
        "disk": [()],
        "certificates": [()],
        "network": [("do without",)],
        "limit": [("memory", 1 << 30, "bytes")],
        "more_files": [(1024,), (1 << 30,)],
        "checkout": [()],
        "again": [(), ("silent_timeout", 60)],
        "waiting": [("20260101-000000-abcdef",)],
    }
    for name, given in calls.items():
        for arguments in given:
            yield name, getattr(cures, name)(*arguments)
    for here in (True, False):
        yield "given", cures.given("/opt/x", here=here)
    asked = {name for name, _ in inspect.getmembers(Cures, inspect.isfunction) if not name.startswith("_")}
    assert {*calls, "given"} == asked


@pytest.mark.parametrize("inputs_dir", [STORE, ""])
def test_what_a_sandbox_is_told_is_python(inputs_dir: str) -> None:
    for name, cure in _all(cures_for(_request(inputs_dir), None)):
        if name != "known":
            compile(cure, name, "exec")


def test_what_a_derivation_is_told_is_no_sandboxes() -> None:
    cures = cures_for(_request(), "x.drv")
    assert isinstance(cures, DerivationCures) and isinstance(cures_for(_request(), None), SandboxCures)
    for name, cure in _all(cures):
        assert not SANDBOX_ONLY.search(cure), (name, cure)
        if cure.startswith("from "):
            compile(cure, name, "exec")
    assert cures.known("sb", "nix") == "nix"


def test_a_request_that_was_made_of_a_derivation_is_one_whatever_runs_it() -> None:
    request = _request()
    variables = {**request.environment_vars, "NIX_BUILD_TOP": b"/build", "NIX_STORE": b"/nix/store"}
    for more, called in (({"name": b"hello"}, "hello.drv"), ({}, "PATH.drv")):
        made = request.model_copy(update={"environment_vars": FrozenMap({**variables, **more})})
        cures = cures_for(made, None)
        assert isinstance(cures, DerivationCures) and cures.again() == f"tvixbuild-nb drv run {called}"
    other = request.model_copy(update={"environment_vars": FrozenMap(variables), "inputs_dir": "in"})
    assert isinstance(cures_for(other, None), SandboxCures)


def test_what_a_derivation_is_told_names_packages_and_outputs() -> None:
    cures = cures_for(_request(), "x.drv")
    found = cures.search_path("CPATH", f"/{STORE}/{ZLIB}/include")
    assert found.startswith("buildInputs = [ pkgs.zlib ];") and 'CPATH = "${pkgs.zlib}/include";' in found
    assert cures.stands_for("DEST", f"/{STORE}/{OUT}").startswith('DEST = placeholder "out";')
    assert cures.written("/build/x", f"{STORE}/{OUT}").startswith("mv /build/x $out")
    lost = f"/{STORE}/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-glibc-2.40/lib/ld.so"
    assert "which its closure here lacks" in cures.beside(f"/{STORE}/{ZLIB}/x", ZLIB, lost, ())
