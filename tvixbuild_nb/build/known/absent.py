"""What compilers, linkers and languages look for and do not find: how they say it, and which files it would be."""

from __future__ import annotations

from dataclasses import dataclass

from tvixbuild_nb.build.known.failure import Failure


@dataclass(frozen=True, slots=True)
class Absent:
    """``what`` is missing (with the name), who looked, the line that says so, its files, the variable that leads there.

    ``pattern`` has the group ``name``; in ``files`` and ``variable`` it stands as ``{name}`` and ``{lower}``.
    """

    what: str
    who: str
    pattern: str
    files: tuple[str, ...]
    variable: str


ABSENT: tuple[Absent, ...] = (
    Absent(
        "the header {name}", "the compiler",
        r"fatal error: '?(?P<name>[\w./+-]+\.h\w*)'?(?:: No such file or directory| file not found)",
        ("{name}",), "CPATH",
    ),
    Absent(
        "the library -l{name}", "the linker", r"(?:cannot find|unable to find library) -l(?P<name>[\w+.-]+)",
        ("lib{name}.so", "lib{name}.a"), "LIBRARY_PATH",
    ),
    Absent(
        "the Python module {name}", "Python",
        r"(?:ModuleNotFoundError: |\bpython[\d.]*: )No module named '?(?P<name>\w+)",
        ("{name}.py", "{name}/__init__.py"), "PYTHONPATH",
    ),
    Absent(
        "the package {name}", "pkg-config",
        r"(?:No package '|Package '(?=[^']+'(?:, required by '[^']*',)? not found)"
        r"|Package (?=\S+ was not found in the pkg-config))(?P<name>[^'\s]+)",
        ("{name}.pc",), "PKG_CONFIG_PATH",
    ),
    Absent(
        "the package {name}", "CMake", r"package configuration file provided by \"(?P<name>[\w.+-]+)\"",
        ("{name}Config.cmake", "{lower}-config.cmake"), "{name}_DIR",
    ),
    Absent(
        "the Perl module {name}", "Perl", r"Can't locate (?P<name>[\w/]+\.pm) in @INC", ("{name}",), "PERL5LIB",
    ),
    Absent(
        "the Node module {name}", "Node", r"Cannot find module '(?P<name>[\w@][\w@/.-]*)'", ("{name}/package.json",),
        "NODE_PATH",
    ),
    Absent(
        "the Ruby file {name}", "Ruby", r"cannot load such file -- (?P<name>\w[\w/.-]*)", ("{name}.rb",), "RUBYLIB",
    ),
    Absent(
        "the shared library {name}", "what loads it",
        r"(?:Error|dlopen failed): (?P<name>lib[\w.+-]+\.so[\w.]*): cannot open shared object file",
        ("{name}",), "LD_LIBRARY_PATH",
    ),
)  # fmt: skip

NOT_FOUND: tuple[Failure, ...] = tuple(
    Failure(
        "build",
        absent.pattern,
        f"no directory where {absent.who} looks has {absent.what}",
        f"give what has it as an input (Nix: buildInputs), and its directory in {absent.variable}",
    )
    for absent in ABSENT
)
