"""The stand-in for a Snix as a process of its own, which nothing but its two addresses connects with a test.

Started as a program it prints them, the castore daemon's first, and serves until its standard input ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.snix import Contents, build_daemon, castore_daemon
from tvixbuild_nb.proto import snix_castore_pb2

_PATHS = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]


def build(request: Any, contents: Contents) -> list[tuple[Any, list[int]]] | str:
    """The first output is the first input, the second says how many blobs and directories there were."""
    if request.command_args[-1] == "fail":
        return "nonzero exit code"
    first = snix_castore_pb2.Entry.FromString(request.inputs[0].SerializeToString())
    getattr(first, first.WhichOneof("entry")).ClearField("name")
    said = f"{len(contents.blobs)} {len(contents.directories)}\n".encode()
    return [(first, []), (snix_castore_pb2.Entry(file={"digest": contents.put_blob(said), "size": len(said)}), [0])]


@contextmanager
def snix_process(namespace: str = "snix") -> Iterator[tuple[str, str]]:
    """The addresses of both daemons, the castore's and the builder's, of a process that lives as long as the block."""
    command = [sys.executable, "-m", "support.snixprocess", namespace]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(_PATHS)}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        castore, builder = process.stdout.readline().split()
        yield castore, builder
    finally:
        process.communicate(timeout=60)


def _serve(namespace: str) -> None:
    contents = Contents()
    with (
        castore_daemon(contents, namespace=namespace) as castore,
        build_daemon(contents, build, namespace=namespace) as (builder, _),
    ):
        sys.stdout.write(f"{castore} {builder}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1])
