"""Generate the protobuf modules of this room; needs grpcio-tools (the ``dev`` extra).

``python -m tvixbuild_nb.proto.generate [DESTINATION]`` writes ``tvixbuild_nb/proto/*_pb2.py`` and
``*_pb2.pyi`` below DESTINATION, by default over those of the package itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROTOS = ("castore", "build", "snix_castore", "snix_build", "watched", "manyblobs")


def generate(destination: Path) -> list[Path]:
    """Write the modules below ``destination`` (an import root) and return their paths.

    Raises RuntimeError when protoc refuses a .proto file; its reason is on standard error.
    """
    from grpc_tools import protoc

    root = HERE.parents[1]
    files = [f"{HERE.parent.name}/{HERE.name}/{name}.proto" for name in PROTOS]
    arguments = ["protoc", f"-I{root}", f"--python_out={destination}", f"--pyi_out={destination}", *files]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc refused " + ", ".join(files))
    below = destination / HERE.parent.name / HERE.name
    return [below / f"{name}_pb2{suffix}" for name in PROTOS for suffix in (".py", ".pyi")]


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[1])
