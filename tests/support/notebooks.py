"""Notebooks of a few cells, on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

# What a teaching notebook has in it: a request, its configuration, runs that end well and badly, their parts.
TEACHING = (
    "from tvixbuild_nb import Sandbox, lab, runs\nlab.setup()",
    'text = b"so much depends\\n"\nsandbox = Sandbox(outputs=["nix/store/loud"], inputs={"src": text})\nsandbox',
    "%load_ext tvixbuild_nb",
    "%%sandbox --to run --env WHO=you\necho hello $WHO\ntr a-z A-Z < /nix/store/src > /nix/store/loud",
    'print(run)\nprint(run.timings, run.usage, [run.usage])\nlab.check("first-upper", run)',
    "%sandbox mounts",
    "%sandbox preview",
    "print(sandbox.config_json())",
    "sandbox.isolation()",
    'sandbox.command = ("/bin/sh", "-c", "mkdir /nix/store/loud; echo one; echo two >&2; touch /nix/store/loud/file")\n'
    "again = sandbox.run(observe=True)",
    "again.isolation()",
    "again.mount_table()",
    'again.outputs["nix/store/loud"]',
    "again.accesses",
    'failed = Sandbox("cat /nix/store/missing", outputs=["nix/store/out"]).run()\nfailed',
    "failed.explain()",
    "run.diff(again)",
    "print(runs())\nsandbox.history()",
    'again.exec("ls /nix/store; id -u", fresh=True)',
    'lab.check("first-upper", sandbox)',
)
RAISES = frozenset({TEACHING[-1]})


def cell(source: str, number: int, *tags: str) -> Any:
    """A code cell whose id says where it stands."""
    found = nbformat.v4.new_code_cell(source, id=f"cell-{number:02}")
    if tags:
        found.metadata.tags = list(tags)
    return found


def notebook(*sources: str, raises: frozenset[str] = RAISES) -> Any:
    """A notebook of these code cells; those in ``raises`` are tagged so."""
    found = nbformat.v4.new_notebook(
        cells=[
            cell(source, number, *(["raises-exception"] if source in raises else []))
            for number, source in enumerate(sources)
        ]
    )
    found.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return found


def put(path: Path, *sources: str) -> Path:
    """A notebook of these code cells at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook(*sources), path)
    return path


def outputs(path: Path, number: int) -> list[Any]:
    """What code cell ``number`` (from 0) of a stored notebook shows."""
    found: list[Any] = nbformat.read(path, as_version=4).cells[number].outputs
    return found
