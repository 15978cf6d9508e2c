"""A stand-in for a real Snix: two daemons that behave on the wire as Snix was seen to, and not as our server does.

It uses the generated messages and nothing else of the package, and keeps everything in memory. ``namespace`` makes it
an old Tvix; without ``reflection`` clients have to find out by trying.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from blake3 import blake3
from grpc_reflection.v1alpha import reflection

from tvixbuild_nb.proto import build_pb2, snix_build_pb2, snix_castore_pb2

# What its gRPC library decodes at most.
LARGEST = 4 * 1024 * 1024
Messages = snix_castore_pb2
# The request, and the castore daemon's contents -> an entry and its needles for each output; an error's text otherwise.
Build = Callable[[Any, "Contents"], "list[tuple[Any, list[int]]] | str"]


@dataclass
class Contents:
    """What the castore daemon holds, and what it was sent."""

    blobs: dict[bytes, bytes] = field(default_factory=dict)
    directories: dict[bytes, Any] = field(default_factory=dict)
    blobs_put: list[bytes] = field(default_factory=list)
    streams_put: list[list[bytes]] = field(default_factory=list)

    def put_blob(self, data: bytes) -> bytes:
        digest = blake3(data).digest()
        self.blobs[digest] = data
        return digest

    def size_of(self, directory: Any) -> int:
        entries = len(directory.directories) + len(directory.files) + len(directory.symlinks)
        # Twice what its .proto says.
        return 2 * entries + sum(each.size for each in directory.directories)


def _digest(context: Any, digest: bytes) -> bytes:
    if len(digest) != 32:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "invalid digest length")
    return digest


class Castore:
    """Its blob and directory services."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents

    def stat(self, request: Any, context: Any) -> Any:
        if _digest(context, request.digest) not in self.contents.blobs:
            context.abort(grpc.StatusCode.NOT_FOUND, "blob not found")
        # Of small blobs it knows no chunks, and so tells no size.
        return Messages.StatBlobResponse()

    def read(self, request: Any, context: Any) -> Iterator[Any]:
        data = self.contents.blobs.get(_digest(context, request.digest))
        if data is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "blob not found")
        for start in range(0, len(data), 4096):
            yield Messages.BlobChunk(data=data[start : start + 4096])

    def put_blob(self, chunks: Iterator[Any], context: Any) -> Any:
        data = bytearray()
        for chunk in chunks:
            if chunk.ByteSize() > LARGEST:
                context.abort(grpc.StatusCode.OUT_OF_RANGE, "decoded message length too large")
            data += chunk.data
        digest = self.contents.put_blob(bytes(data))
        self.contents.blobs_put.append(digest)
        return Messages.PutBlobResponse(digest=digest)

    def get(self, request: Any, context: Any) -> Iterator[Any]:
        known = self.contents.directories
        root = _digest(context, request.digest)
        if not request.recursive:
            if root not in known:
                context.abort(grpc.StatusCode.NOT_FOUND, "directory not found")
            yield known[root]
            return
        # An unknown root is an answer of nothing.
        waiting, seen = deque([root] if root in known else []), {root}
        while waiting:
            directory = known[waiting.popleft()]
            yield directory
            for child in directory.directories:
                if child.digest not in seen:
                    seen.add(child.digest)
                    waiting.append(child.digest)

    def put_directory(self, directories: Iterator[Any], context: Any) -> Any:
        sent: dict[bytes, Any] = {}
        unnamed: set[bytes] = set()
        digest = b""
        for directory in directories:
            if directory.ByteSize() > LARGEST:
                context.abort(grpc.StatusCode.OUT_OF_RANGE, "decoded message length too large")
            for child in directory.directories:
                if child.digest not in sent:
                    # Also when it was stored before.
                    context.abort(grpc.StatusCode.INTERNAL, "unknown child")
                size = self.contents.size_of(sent[child.digest])
                if size != child.size:
                    context.abort(grpc.StatusCode.INTERNAL, f"wrong size {child.size} for digest, expected {size}")
                unnamed.discard(child.digest)
            digest = blake3(directory.SerializeToString(deterministic=True)).digest()
            sent[digest] = directory
            unnamed.add(digest)
        if unnamed != {digest}:
            context.abort(grpc.StatusCode.INTERNAL, "not one root")
        self.contents.directories.update(sent)
        self.contents.streams_put.append(list(sent))
        return Messages.PutDirectoryResponse(root_digest=digest)


class Builder:
    """Its build service, in both namespaces' words; ``build`` does what runc would."""

    def __init__(self, contents: Contents, build: Build) -> None:
        self._contents = contents
        self._build = build
        self.asked: list[Any] = []

    def _outputs(self, request: Any, context: Any) -> list[tuple[Any, list[int]]]:
        self.asked.append(request)
        outputs = self._build(request, self._contents)
        if isinstance(outputs, str):
            context.abort(grpc.StatusCode.INTERNAL, outputs)
        return outputs  # type: ignore[return-value]

    def snix(self, request: Any, context: Any) -> Any:
        response = snix_build_pb2.BuildResponse()
        for entry, needles in self._outputs(request, context):
            response.outputs.add(output=entry, needles=needles)
        return response

    def tvix(self, request: Any, context: Any) -> Any:
        build = build_pb2.Build(build_request=build_pb2.BuildRequest.FromString(request.SerializeToString()))
        for path, (entry, needles) in zip(request.outputs, self._outputs(request, context), strict=True):
            named = Messages.Entry.FromString(entry.SerializeToString())
            getattr(named, named.WhichOneof("entry")).name = path.rpartition("/")[2].encode()
            build.outputs.add().ParseFromString(named.SerializeToString())
            build.outputs_needles.add(needles=needles)
        return build


@contextmanager
def _daemon(services: dict[str, dict[str, Any]], reflected: bool) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(16))
    for name, methods in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    if reflected:
        reflection.enable_server_reflection([*services, reflection.SERVICE_NAME], server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc+http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def _method(kind: str, handler: Any, request: Any) -> Any:
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(handler, request.FromString, lambda message: message.SerializeToString())


@contextmanager
def castore_daemon(contents: Contents, *, namespace: str = "snix", reflected: bool = True) -> Iterator[str]:
    """The castore daemon over ``contents``; its address."""
    castore = Castore(contents)
    blobs = {
        "Stat": _method("unary_unary", castore.stat, Messages.StatBlobRequest),
        "Read": _method("unary_stream", castore.read, Messages.ReadBlobRequest),
        "Put": _method("stream_unary", castore.put_blob, Messages.BlobChunk),
    }
    directories = {
        "Get": _method("unary_stream", castore.get, Messages.GetDirectoryRequest),
        "Put": _method("stream_unary", castore.put_directory, Messages.Directory),
    }
    prefix = f"{namespace}.castore.v1"
    with _daemon({f"{prefix}.BlobService": blobs, f"{prefix}.DirectoryService": directories}, reflected) as address:
        yield address


@contextmanager
def build_daemon(
    contents: Contents, build: Build, *, namespace: str = "snix", reflected: bool = True
) -> Iterator[tuple[str, Builder]]:
    """The build daemon, whose inputs and outputs are in ``contents``; its address and what it is asked."""
    builder = Builder(contents, build)
    method = _method("unary_unary", getattr(builder, namespace), snix_build_pb2.BuildRequest)
    with _daemon({f"{namespace}.build.v1.BuildService": {"DoBuild": method}}, reflected) as address:
        yield address, builder
