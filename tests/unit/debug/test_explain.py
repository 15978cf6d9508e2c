"""The checkers of explain() over constructed trees: loaders, libraries, links, near names, and what is told once."""

from __future__ import annotations

import io
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvixbuild_nb.build import BuildResult, Usage
from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, FileNode, Node, SymlinkNode, open_castore
from tvixbuild_nb.debug.checks.executable import examine
from tvixbuild_nb.debug.checks.surroundings import surroundings
from tvixbuild_nb.debug.elf import read_elf
from tvixbuild_nb.debug.explaining import explain_run, merged
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts
from tvixbuild_nb.debug.inside import MountView
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.request import BuildRequest

SAID = Evidence("verdict", "failed at exec")
HOST = {"x86_64": 62, "aarch64": 183}.get(os.uname().machine, 62)


def _elf(interpreter: bytes, needed: tuple[bytes, ...] = (), runpath: bytes = b"") -> bytes:
    strings = b"\0" + b"".join(name + b"\0" for name in needed) + runpath + b"\0"
    entries, at = [], 1
    for name in needed:
        entries.append((1, at))
        at += len(name) + 1
    entries += [(29, at)] if runpath else []
    text = 64 + 3 * 56
    dynamic_at = text + len(interpreter) + 1 + len(strings)
    entries += [(5, text + len(interpreter) + 1), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    end = dynamic_at + len(dynamic)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, HOST, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0)
    table = b"".join(
        struct.pack("<IIQQQQQQ", kind, 4, start, start, 0, length, length, 1)
        for kind, start, length in ((1, 0, end), (3, text, len(interpreter) + 1), (2, dynamic_at, len(dynamic)))
    )
    return header + table + interpreter + b"\0" + strings + dynamic


class _Tree:
    def __init__(self) -> None:
        self.castore: Castore = open_castore("memory:")

    def file(self, contents: bytes, executable: bool = True) -> FileNode:
        node = self.castore.ingest_bytes(contents)
        return FileNode(node.digest, node.size, executable)

    def directory(self, **entries: Node) -> DirectoryNode:
        made = Directory({name.replace("_so", ".so").encode(): node for name, node in entries.items()})
        return DirectoryNode(self.castore.directories.put(made), made.size)

    def view(self, files: dict[str, bytes] | None = None, **inputs: Node) -> MountView:
        request = BuildRequest(
            command_args=["/in/p/bin/x"], inputs=inputs, inputs_dir="in", scratch_paths=["build"],
            working_dir="build", additional_files=files or {},
        )  # fmt: skip
        return MountView(request, SpecOptions(), self.castore)


def test_a_missing_library_is_found_through_its_runpath() -> None:
    tree = _Tree()
    program = _elf(b"/in/l/ld_so".replace(b"_so", b".so"), (b"libz.so", b"liby.so"), b"$ORIGIN/../lib:/in/none")
    loader = tree.directory(ld_so=tree.file(_elf(b"")))
    whole = tree.directory(libz_so=tree.file(b"z"), liby_so=tree.file(b"y"))
    half = tree.directory(libz_so=tree.file(b"z"))
    for library, missing in ((whole, None), (half, "liby.so")):
        package = tree.directory(bin=tree.directory(x=tree.file(program)), lib=library)
        found = examine(tree.view(p=package, l=loader), "/in/p/bin/x", SAID, strict=True)
        assert (found is None) == (missing is None), found
        if found is not None and missing is not None:
            assert f"its shared library {missing} is not found" in found.cause and found.confidence == "likely"
            assert any("/in/p/bin/../lib" in evidence.text for evidence in found.evidence)


def test_links_are_followed_step_by_step_and_said() -> None:
    tree = _Tree()
    package = tree.directory(
        real=tree.directory(x=tree.file(b"#!/in/p/none\n")), bin=SymlinkNode(b"real"), a=SymlinkNode(b"b"),
        b=SymlinkNode(b"a"),
    )  # fmt: skip
    view = tree.view(p=package)
    entry = view.resolve("../in/./p/bin/x")
    assert (entry.path, entry.kind, entry.executable) == ("/in/p/real/x", "file", True)
    assert entry.via == ("/in/p/bin -> real",)
    assert view.resolve("/in/p/a").kind == "missing"
    assert view.resolve("/in/p/real/x/y").kind == "missing"
    assert view.resolve("/build/made").kind == "unknown"
    found = examine(view, "/in/p/bin/x", SAID, strict=True)
    assert found is not None and "its interpreter cannot be executed: /in/p/none is not inside" in found.cause


def test_near_names_and_additional_files() -> None:
    tree = _Tree()
    package = tree.directory(bin=tree.directory(python3=tree.file(b"#!/in/p/bin/python3")))
    view = tree.view({"opt/run": b"#!/bin/sh\n"}, p=package)
    found = examine(view, "/in/p/bin/python", SAID, strict=True)
    assert found is not None and any("/in/p/bin/python3 is there" in one.text for one in found.evidence)
    found = examine(view, "/opt/run", SAID, strict=True)
    assert found is not None and found.cure.startswith('sb.command = ("/bin/sh", "/opt/run")')


@given(st.binary(max_size=300))
def test_damaged_elf_files_are_no_elf_files(rest: bytes) -> None:
    read_elf(io.BytesIO(b"\x7fELF" + rest))
    whole = _elf(b"/l", (b"a",))
    read_elf(io.BytesIO(whole[:100] + rest + whole[100 + len(rest) :]))


def test_one_cause_is_told_once_and_the_surest_first() -> None:
    line = Evidence("log", "x", 3)
    weak = Finding("from the text", (line,), "cure", "likely")
    status = Finding("status", (SAID,), "cure", "possible")
    sure = Finding("seen", (line,), "cure", "certain")
    other = Finding("another", (Evidence("log", "y", 4),), "cure", "likely")
    assert merged([other, sure, weak, status]) == [sure, other]
    again = Finding("another", (Evidence("log", "z", 5),), "cure", "likely")
    assert merged([other, again])[0].lines == {4, 5}


def _result(**fields: object) -> BuildResult:
    request = BuildRequest(command_args=["x"])
    given = {
        "id": "r", "request_digest": request.digest, "service": "s", "status": "failed", "failed_at": "build",
        "store": "memory:", "started": 0, "finished": 1, "timings": {}, "usage": Usage(source="cgroup"), **fields,
    }  # fmt: skip
    return BuildResult.model_validate(given)


@pytest.mark.parametrize(
    ("fields", "cause", "confidence"),
    [
        ({"usage": Usage(source="cgroup", oom_kills=1, peak_memory=1 << 20), "exit_code": 2}, "a child", "certain"),
        ({"usage": Usage(source="cgroup", oom_kills=1), "exit_code": 137}, "a child", "certain"),
        ({"usage": Usage(source="cgroup", oom_kills=1), "signal": 9}, "the command was ended", "certain"),
        ({"exit_code": 137}, "SIGKILL ended", "possible"),
        ({"signal": 11}, "SIGSEGV ended", "likely"),
        ({"exit_code": 126}, "status 126", "possible"),
        ({"status": "timed-out", "failed_at": None}, "time limit", "certain"),
        ({"status": "cancelled", "failed_at": None}, "cancelled", "certain"),
    ],
)
def test_ends(fields: dict[str, object], cause: str, confidence: str) -> None:
    found = explain_run(_result(**fields), BuildRequest(command_args=["x"]), open_castore("memory:"))
    assert [cause in one.cause and one.confidence == confidence for one in found] == [True], str(found)


def test_owners_are_named_with_the_ids_that_are_mapped() -> None:
    line = (7, "chown: f: Invalid argument")
    (found,) = surroundings(Facts(BuildRequest(command_args=["x"]), _result(), _Tree().view(), (line,)))
    assert found.lines == {7} and any("user ids inside" in one.text for one in found.evidence)
