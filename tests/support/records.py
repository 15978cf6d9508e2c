"""Records of runs that nothing built: made by the dummy service, with everything a real run may leave beside it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3

from tvixbuild_nb import Run, Sandbox, open_castore
from tvixbuild_nb.build import DummyBuild, DummyBuildService
from tvixbuild_nb.castore import Node
from tvixbuild_nb.request import BuildRequest

SECRET = "hunter2-hunter2-hunter2"


def said(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    """Prints, and makes a directory with two files and a symlink as each output."""
    build.print("one\n")
    build.print("two\n", "stderr")
    return {path: _tree(build) for path in request.outputs}


def _tree(build: DummyBuild) -> Node:
    from tvixbuild_nb.castore import Directory, DirectoryNode, SymlinkNode

    with build.castore.batch() as batch:
        inner = Directory({b"file": build.castore.ingest_bytes(b"contents\n" * 1000)})
        digest = batch.put_directory(inner)
        outer = Directory({
            b"inner": DirectoryNode(digest, inner.size),
            b"tool": build.castore.ingest_bytes(b"#!/bin/sh\n", True),
            b"link": SymlinkNode(b"inner/file"),
        })  # fmt: skip
        node = DirectoryNode(batch.put_directory(outer), outer.size)
        batch.commit(node)
    return node


def fails(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    """Prints what explains it, and makes nothing."""
    build.print("sh: frobnicate: not found\n", "stderr")
    return {}


def ran(script: Any = said, **fields: Any) -> Run:
    """A run that is over."""
    castore = open_castore("memory:")
    fields = {"command": "true", "outputs": ["nix/store/x"], **fields}
    sandbox = Sandbox(store=castore, builder=DummyBuildService(castore, script), **fields)
    sandbox.add_input("src", b"source\n")
    return sandbox.run(show=False)


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None], to: Path, *, honest: bool = True) -> Path:
    """A copy of a record in which ``change`` did something to the members; ``honest``: the manifest knows of it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = members.pop("record.json")
    change(members)
    if honest and "record.json" not in members:
        fields = json.loads(manifest)
        fields["members"] = {
            name: {"size": len(data), "blake3": blake3(data).hexdigest()} for name, data in members.items()
        }
        manifest = json.dumps(fields).encode()
    members.setdefault("record.json", manifest)
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return to
