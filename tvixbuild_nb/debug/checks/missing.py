"""Headers, libraries, modules and packages that a build looked for: whether an input has them, and where it looked."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from tvixbuild_nb.debug.checks.cures import search_path
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts
from tvixbuild_nb.debug.inside import MountView

_MOST = 3


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is missing in words, the line that says so, the files that it is, and the variable that leads to them."""

    what: str
    pattern: str
    files: tuple[str, ...]
    variable: str


_KINDS = (
    _Kind("the header {}", r"fatal error: (?P<name>[\w./+-]+\.h\w*): No such file or directory", ("{}",), "CPATH"),
    _Kind("the library {}", r"cannot find -l(?P<name>[\w+.-]+)", ("lib{}.so", "lib{}.a"), "LIBRARY_PATH"),
    _Kind(
        "the Python module {}", r"ModuleNotFoundError: No module named '(?P<name>\w+)",
        ("{}.py", "{}/__init__.py"), "PYTHONPATH",
    ),
    _Kind("the package {}", r"No package '(?P<name>[^']+)' found", ("{}.pc",), "PKG_CONFIG_PATH"),
)  # fmt: skip


def missing(facts: Facts) -> Iterator[Finding]:
    """What compilers, linkers, Python and pkg-config did not find, each once."""
    if facts.view is None or facts.result.failed_at != "build":
        return
    for kind in _KINDS:
        seen = set[str]()
        for line, match in facts.lines(kind.pattern):
            if match["name"] not in seen and len(seen) < _MOST:
                seen.add(match["name"])
                yield _finding(facts.view, kind, match["name"], line)


def _finding(view: MountView, kind: _Kind, name: str, line: Evidence) -> Finding:
    what = kind.what.format(name)
    files = [file.format(name) for file in kind.files]
    places = [path for path, _ in view.files if any(path.endswith(f"/{file}") for file in files)][:_MOST]
    names = dict.fromkeys((*(posixpath.basename(file) for file in files), name))
    looked = [said for said in map(view.searched, names) if said is not None]
    evidence = (
        line,
        *(Evidence("file", said) for said in looked[:_MOST]),
        *(Evidence("file", f"{place} is there") for place in places),
    )
    if not places:
        cure = f'sb.add_input("...", ...)  # what has {files[0]}; then sb.env["{kind.variable}"]'
        return Finding(f"no input has {what}", evidence, cure, "likely")
    used = next(file for file in files if places[0].endswith(f"/{file}"))
    directory = places[0].removesuffix(f"/{used}")
    cause = f"{what} is there, but not where it was looked for: {places[0]}"
    return Finding(cause, evidence, search_path(view.request, kind.variable, directory), "likely")
