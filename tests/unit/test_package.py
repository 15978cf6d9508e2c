"""The package as such: what importing it costs and brings along, and what its metadata promise."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tvixbuild_nb

REPO = Path(__file__).parents[2]
PACKAGE = Path(tvixbuild_nb.__file__).parent
JUPYTER = {"IPython", "ipywidgets", "anywidget", "traitlets", "ipykernel"}


def rooms() -> list[str]:
    return sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists())


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPO)
    return {name.partition(".")[0] for name in done.stdout.split()}


def metadata() -> dict[str, object]:
    return tomllib.loads((REPO / "pyproject.toml").read_text())


def test_import_brings_nothing_along() -> None:
    brought = modules_after("import tvixbuild_nb") - modules_after("import importlib, typing")
    assert brought <= {"tvixbuild_nb"} | set(sys.stdlib_module_names)


def test_grpc_comes_when_an_address_needs_it() -> None:
    opening = "tvixbuild_nb.open_castore('memory:'); tvixbuild_nb.Sandbox('true', builder='oci:')"
    elsewhere = "tvixbuild_nb.open_castore('grpc+http://localhost:1')"
    assert "grpc" not in modules_after(f"import tvixbuild_nb; {opening}")
    assert "grpc" in modules_after(f"import tvixbuild_nb; {elsewhere}")


def test_every_public_name_arrives_without_jupyter() -> None:
    assert not modules_after("from tvixbuild_nb import *") & JUPYTER


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        tvixbuild_nb.no_such_name  # noqa: B018


def test_version_and_licence() -> None:
    project = metadata()["project"]
    assert isinstance(project, dict)
    assert project["version"] == tvixbuild_nb.__version__
    assert f"## [{tvixbuild_nb.__version__}]" in (REPO / "CHANGELOG.md").read_text()
    assert project["license"] == "MIT" and "MIT License" in (REPO / "LICENSE").read_text()
    assert (PACKAGE / "py.typed").exists()


def test_extra_all_holds_every_optional_dependency() -> None:
    project = metadata()["project"]
    assert isinstance(project, dict)
    extras = set(project["optional-dependencies"]) - {"all", "dev"}
    (everything,) = project["optional-dependencies"]["all"]
    assert set(everything.partition("[")[2].rstrip("]").split(",")) == extras


def test_import_contracts_name_every_room() -> None:
    tool = metadata()["tool"]
    assert isinstance(tool, dict)
    (jupyter_free,) = [c for c in tool["importlinter"]["contracts"] if "Jupyter" in c["name"]]
    above = {"widgets", "cli", "lab", "serve"}
    held = {name.partition(".")[2] for name in jupyter_free["source_modules"]}
    assert set(rooms()) - above <= held


def test_keeper_knows_only_the_standard_library_and_itself() -> None:
    for path in (PACKAGE / "keeper").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            for name in names:
                known = name.partition(".")[0] in sys.stdlib_module_names or name.startswith("tvixbuild_nb.keeper")
                # What the owner's side raises is part of the one tree of errors.
                assert known or name == "tvixbuild_nb.errors", f"{path.relative_to(PACKAGE)} imports {name}"


def test_no_import_registers_exit_or_signal_handlers() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert "atexit" not in text.replace("no atexit", ""), path
        assert "preexec_fn" not in text, path


def test_package_lists_hold_plain_names() -> None:
    for name in ("binder/apt.txt", "tests/apt.txt"):
        lines = [line for line in (REPO / name).read_text().splitlines() if not line.startswith("#")]
        assert lines and all(line.replace("-", "").replace(".", "").replace("+", "").isalnum() for line in lines)


@pytest.mark.skipif(os.name != "posix", reason="needs executable bits")
def test_scripts_are_executable() -> None:
    assert all(os.access(REPO / script, os.X_OK) for script in (".ci/run", ".ci/setup"))


def test_every_room_is_imported_where_unix_is_missing() -> None:
    """Windows renders, stores and reads records; only building needs Linux."""
    code = """
import os, sys
import asyncio, blake3, pydantic.main, platformdirs, pydantic_core, zoneinfo  # what is not ours
for name in ("fcntl", "pwd", "grp", "resource", "termios"):
    sys.modules[name] = None
for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "pidfd_open", "geteuid", "fork"):
    delattr(os, name)
sys.platform = "win32"
import tvixbuild_nb
from tvixbuild_nb import Sandbox, SpecOptions
for name in dir(tvixbuild_nb):
    getattr(tvixbuild_nb, name)
print(Sandbox("true", store="memory:", options=SpecOptions.tvix()).spec.process.args)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "/bin/sh" in done.stdout
