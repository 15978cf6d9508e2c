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
from tvixbuild_nb.debug.cures import cures_for
from tvixbuild_nb.debug.elf import read_elf
from tvixbuild_nb.debug.explaining import explain_run, merged
from tvixbuild_nb.debug.explanation import Evidence, Explanation, Finding
from tvixbuild_nb.debug.facts import Facts
from tvixbuild_nb.debug.inside import MountView
from tvixbuild_nb.debug.telling import failing, telling
from tvixbuild_nb.oci import SpecOptions, render_spec
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


def _examined(view: MountView, path: str, derivation: str | None = None) -> Finding | None:
    return examine(view, cures_for(view.request, derivation), path, SAID, strict=True)


def test_a_missing_library_is_found_through_its_runpath() -> None:
    tree = _Tree()
    program = _elf(b"/in/l/ld_so".replace(b"_so", b".so"), (b"libz.so", b"liby.so"), b"$ORIGIN/../lib:/in/none")
    loader = tree.directory(ld_so=tree.file(_elf(b"")))
    whole = tree.directory(libz_so=tree.file(b"z"), liby_so=tree.file(b"y"))
    half = tree.directory(libz_so=tree.file(b"z"))
    for library, missing in ((whole, None), (half, "liby.so")):
        package = tree.directory(bin=tree.directory(x=tree.file(program)), lib=library)
        found = examine(
            (view := tree.view(p=package, l=loader)), cures_for(view.request, None), "/in/p/bin/x", SAID, strict=True
        )
        assert (found is None) == (missing is None), found
        if found is not None and missing is not None:
            assert f"its shared library {missing} is not found" in found.cause and found.confidence == "likely"
            assert any("/in/p/bin/../lib" in evidence.text for evidence in found.evidence)


@pytest.mark.parametrize("derivation", [None, "x.drv"])
def test_what_a_program_of_an_input_lacks_is_an_inputs_and_never_the_hosts(derivation: str | None) -> None:
    tree = _Tree()
    program = _elf(b"/in/l/ld.so", (b"libz.so",), b"/in/z/lib")
    package = tree.directory(bin=tree.directory(x=tree.file(program)))
    loader = tree.directory(ld_so=tree.file(_elf(b"")))
    alone = _examined(tree.view(p=package), "/in/p/bin/x", derivation)
    assert alone is not None and "its ELF interpreter /in/l/ld.so is not inside" in alone.cause
    loaded = _examined(tree.view(p=package, l=loader), "/in/p/bin/x", derivation)
    assert loaded is not None and "its shared library libz.so is not found" in loaded.cause
    for found, name in ((alone, "l"), (loaded, "z")):
        assert any("inputs['p']" in one.text for one in found.evidence) and "host" not in found.cure
        if derivation is None:
            # Where its own search path leads, or its loader stands, is the name of the input that is missing.
            assert found.cure.startswith("# the input p has x without") and f'\nsb.add_input("{name}", ' in found.cure
        else:
            assert f"refers to {name}, which its closure here lacks" in found.cure and "sb." not in found.cure


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
    found = _examined(view, "/in/p/bin/x")
    assert found is not None and "its interpreter cannot be executed: /in/p/none is not inside" in found.cause


def test_near_names_and_additional_files() -> None:
    tree = _Tree()
    package = tree.directory(bin=tree.directory(python3=tree.file(b"#!/in/p/bin/python3")))
    view = tree.view({"opt/run": b"#!/bin/sh\n"}, p=package)
    found = _examined(view, "/in/p/bin/python")
    assert found is not None and any("/in/p/bin/python3 is there" in one.text for one in found.evidence)
    found = _examined(view, "/opt/run")
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
    # Whatever the order: nothing uncertain stands beside a cause, and of the same certainty the last line is first.
    assert merged([status, other]) == [other] and merged([status]) == [status]
    late = Finding("late", (Evidence("log", "late", 9),), "cure", "likely")
    assert merged([other, late]) == merged([late, other]) == [late, other]
    seen = Finding("looked", (line, Evidence("file", "/x is not there")), "cure", "likely")
    assert merged([seen, sure]) == [sure]


def test_a_cure_in_one_line_is_still_code() -> None:
    cures = {
        "a = 1": "x: a = 1",
        "a = 1  # why": "x: a = 1  # why",
        "# in the command: b": "x: # in the command: b",
        "# first, then\na = 1  # c\nb = a": "x: a = 1; b = a",
        "# first\n# then": "x: # first; then",
        "#!/bin/sh": "x: #!/bin/sh",
    }
    for cure, brief in cures.items():
        assert Finding("x", (), cure, "likely").brief == brief


def _ran(log: list[str], **fields: object) -> Explanation:
    tree = _Tree()
    request = BuildRequest(
        command_args=["x"], inputs={"src": tree.directory(data=tree.file(b"", executable=False))}, inputs_dir="in",
        scratch_paths=["build"], working_dir="build", environment_vars={"PATH": b"/in/none:/bin"},
    )  # fmt: skip
    spec = render_spec(request, SpecOptions())
    return explain_run(_result(**fields), request, tree.castore, spec=spec, log=list(enumerate(log, 1)))


@pytest.mark.parametrize(
    ("line", "causes"),
    [
        ("cat: /in/src/dat: No such file or directory", ["/in/src/dat is not inside"]),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/in/none/x'", ["/in/none/x is not inside: already"]),
        ("Error: ENOENT: no such file or directory, open '/opt/x'", ["/opt/x is not inside: already /opt is not"]),
        ("tar: /in/x.tar: Cannot open: No such file or directory", ["/in/x.tar is not inside"]),
        ("cat: /in/src/data: No such file or directory", []),
        ("cat: /dev/shm/x: No such file or directory", []),
        ("cat: data: No such file or directory", []),
    ],
)
def test_paths_that_are_not_inside_and_what_is_there_instead(line: str, causes: list[str]) -> None:
    found = _ran(["compiling", line], exit_code=1)
    assert [one.cause.startswith(cause) for one, cause in zip(found, causes, strict=True)] == [True] * len(causes)
    assert all(one.confidence == "likely" for one in found)
    # Said before the end it is only possible, and long before it is nothing to speak of.
    after = _ran([line, "1 test failed"], exit_code=1)
    assert after.first is None and len(after) == len(causes)
    assert not _ran([line, *["test failed"] * 9], exit_code=1)


def test_what_bash_could_not_find_is_a_program_only_by_its_status() -> None:
    line = "bash: line 1: /in/src/run: No such file or directory"
    (found,) = _ran([line], exit_code=127)
    assert found.cause == "/in/src/run is not inside" and found.confidence == "certain"
    (read,) = _ran([line], exit_code=1)
    assert read.confidence == "likely"


def test_a_program_that_was_done_without_is_no_cause() -> None:
    line = "sh: foo: not found"
    assert _ran([line], exit_code=1).first is not None
    assert _ran([line, "make: *** [all] Error 127"], exit_code=2).first is not None
    assert _ran([line, "x.c:1:2: error: expected ';'"], exit_code=1).first is None
    assert _ran([line, *["test ok"] * 9, "1 failed"], exit_code=1).first is None
    (told,) = _ran([line], exit_code=127)
    assert any(one.text == "/in/none of PATH is not inside" for one in told.evidence)


def test_what_reads_like_an_error_is_shown_where_nothing_is_known() -> None:
    log = [(1, "starting"), (2, "x.c:1: error: oh"), (3, ""), *((number, f"step {number}") for number in range(4, 20))]
    assert telling(log)[0] == "log line 2: x.c:1: error: oh" and telling(log)[-1] == "log line 19: step 19"
    assert len(telling(log)) == 6 and telling([(1, " "), (2, "a")]) == ["log line 2: a"]
    for fine in ("checking for foo... not found", "10 passed, 0 failed", "-- Looking for x - not found", "errors.c"):
        assert not failing(fine)
    assert failing("make: *** [all] Error 2") and failing("1 test failed") and failing("Traceback (most recent")


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
