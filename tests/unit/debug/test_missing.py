"""What compilers, linkers, Python and pkg-config do not find: told from the inputs and from where the build looked."""

from __future__ import annotations

import pytest

from tvixbuild_nb.build import BuildResult, Usage
from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, FileNode, Node, open_castore
from tvixbuild_nb.debug.checks.missing import missing
from tvixbuild_nb.debug.explanation import Finding
from tvixbuild_nb.debug.facts import Facts
from tvixbuild_nb.debug.inside import MountView
from tvixbuild_nb.fs.trace import Search
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.request import BuildRequest


def _tree(castore: Castore, path: str) -> Node:
    empty = castore.ingest_bytes(b"")
    node: Node = FileNode(empty.digest, empty.size, False)
    for name in reversed(path.split("/")):
        made = Directory({name.encode(): node})
        node = DirectoryNode(castore.directories.put(made), made.size)
    return node


def _found(line: str, path: str = "share/other", searches: tuple[Search, ...] = (), **env: bytes) -> list[Finding]:
    castore = open_castore("memory:")
    request = BuildRequest(
        command_args=["x"], inputs={"p": _tree(castore, path)}, inputs_dir="in", working_dir="build",
        scratch_paths=["build"], environment_vars=env,
    )  # fmt: skip
    result = BuildResult(
        id="r", request_digest=request.digest, service="s", status="failed", failed_at="build", store="memory:",
        started=0, finished=1, timings={}, usage=Usage(source="rusage"), exit_code=1,
    )  # fmt: skip
    view = MountView(request, SpecOptions(), castore, searches=searches)
    return list(missing(Facts(request, result, view, ((3, line), (4, line)), castore)))


LINES = [
    ("x.c:1:10: fatal error: sys/zlib.h: No such file or directory", "include/sys/zlib.h", "CPATH", "include"),
    ("/usr/bin/ld: cannot find -lz: No such file or directory", "lib/libz.so", "LIBRARY_PATH", "lib"),
    ("/usr/bin/ld: cannot find -lz", "lib/libz.a", "LIBRARY_PATH", "lib"),
    ("ModuleNotFoundError: No module named 'six'", "lib/site-packages/six.py", "PYTHONPATH", "lib/site-packages"),
    ("ModuleNotFoundError: No module named 'yaml.a'", "lib/s/yaml/__init__.py", "PYTHONPATH", "lib/s"),
    ("x.c:1:10: fatal error: 'zlib.h' file not found", "include/zlib.h", "CPATH", "include"),
    ("ld.lld: error: unable to find library -lz", "lib/libz.so", "LIBRARY_PATH", "lib"),
    ("/usr/bin/python3.11: No module named pytest", "lib/s/pytest/__init__.py", "PYTHONPATH", "lib/s"),
    (
        "Package zlib was not found in the pkg-config search path.",
        "lib/pkgconfig/zlib.pc",
        "PKG_CONFIG_PATH",
        "lib/pkgconfig",
    ),
    ("Package 'zlib', required by 'virtual:world', not found", "share/zlib.pc", "PKG_CONFIG_PATH", "share"),
    ('  package configuration file provided by "Foo", but', "lib/cmake/foo-config.cmake", "Foo_DIR", "lib/cmake"),
    ("Can't locate XML/Parser.pm in @INC (@INC contains: /etc/perl)", "lib/XML/Parser.pm", "PERL5LIB", "lib"),
    ("Error: Cannot find module '@a/b'", "node_modules/@a/b/package.json", "NODE_PATH", "node_modules"),
    ("cannot load such file -- x/y (LoadError)", "lib/x/y.rb", "RUBYLIB", "lib"),
    (
        "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
        "lib/libGL.so.1",
        "LD_LIBRARY_PATH",
        "lib",
    ),
    ("No package 'zlib' found", "lib/pkgconfig/zlib.pc", "PKG_CONFIG_PATH", "lib/pkgconfig"),
]


@pytest.mark.parametrize(("line", "path", "variable", "directory"), LINES)
def test_what_an_input_has_elsewhere(line: str, path: str, variable: str, directory: str) -> None:
    (found,) = _found(line, path)
    assert f"but not where it was looked for: /in/p/{path}" in found.cause and found.lines == {4}
    assert found.cure == f'sb.env["{variable}"] = "/in/p/{directory}"' and found.confidence == "likely"
    (after,) = _found(line, path, **{variable: b"/a"})
    assert after.cure == f'sb.env["{variable}"] = "/in/p/{directory}:/a"'


@pytest.mark.parametrize(("line", "path", "variable", "directory"), LINES)
def test_what_no_input_has(line: str, path: str, variable: str, directory: str) -> None:
    (found,) = _found(line)
    assert found.cause.startswith("no input has the ") and variable in found.cure and len(found.evidence) == 1


def test_where_it_was_looked_for_is_evidence_in_order() -> None:
    search = Search("zlib.h", ("b/include", "a/include", ""))
    (found,) = _found("x.c:1:10: fatal error: zlib.h: No such file or directory", searches=(search,))
    told = [one.text for one in found.evidence[1:]]
    assert told == ["zlib.h was looked for in /in/b/include, /in/a/include, /in/: nowhere"]
    many = Search("zlib.h", tuple(f"{number}" for number in range(12)), "p/zlib.h")
    (found,) = _found("x.c:1:10: fatal error: zlib.h: No such file or directory", searches=(many,))
    assert found.evidence[1].text.endswith("/in/7 and 4 more: found as /in/p/zlib.h")


def test_a_module_that_was_looked_for_and_done_without_is_only_possible() -> None:
    castore = open_castore("memory:")
    request = BuildRequest(command_args=["x"], inputs={"p": _tree(castore, "a")}, inputs_dir="in")
    result = BuildResult(
        id="r", request_digest=request.digest, service="s", status="failed", failed_at="build", store="memory:",
        started=0, finished=1, timings={}, usage=Usage(source="rusage"), exit_code=1,
    )  # fmt: skip
    handled = ["ModuleNotFoundError: No module named 'tzdata'", "", "During handling of the above exception, another"]
    view = MountView(request, SpecOptions(), castore)
    (found,) = missing(Facts(request, result, view, tuple(enumerate([*handled, "", "KeyError: 'x'"], 1)), castore))
    assert found.confidence == "possible"


def test_other_words_find_nothing() -> None:
    assert _found("checking for zlib.h... no") == [] and _found("cannot find the way") == []
