"""What a build answers, as messages and back: Tvix's, Snix's and our own."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from tvixbuild_nb.build.result import BuildOutput, BuildResult
from tvixbuild_nb.castore.encoding import decode_node, encode_node
from tvixbuild_nb.errors import InvalidNode
from tvixbuild_nb.proto import build_pb2, castore_pb2, snix_build_pb2, snix_castore_pb2, watched_pb2
from tvixbuild_nb.request import BuildRequest

# What our Result says of a BuildResult; the rest is the caller's: id, store, service.
_SHARED = frozenset(watched_pb2.Result.DESCRIPTOR.fields_by_name) - {"outputs"}


def tvix_answer(request: bytes, outputs: Sequence[BuildOutput]) -> bytes:
    """The Build of Tvix: outputs carry the last component of their paths."""
    build = build_pb2.Build(build_request=build_pb2.BuildRequest.FromString(request))
    for output in outputs:
        name = posixpath.basename(output.path).encode()
        build.outputs.append(castore_pb2.Node.FromString(encode_node(name, output.node)))
        build.outputs_needles.add(needles=output.needles)
    return build.SerializeToString(deterministic=True)


def snix_answer(outputs: Sequence[BuildOutput]) -> bytes:
    """The BuildResponse of Snix: outputs without names, in the request's order; named ones its client refuses."""
    response = snix_build_pb2.BuildResponse()
    for output in outputs:
        entry = snix_castore_pb2.Entry.FromString(encode_node(b"", output.node))
        response.outputs.add(output=entry, needles=output.needles)
    return response.SerializeToString(deterministic=True)


def outputs_of(namespace: str, answer: bytes, request: BuildRequest) -> tuple[BuildOutput, ...]:
    """The outputs in what the build service of ``namespace`` answered; :class:`InvalidNode` when they are not those.

    Without names they come in the request's order, and so they do with the last components of their paths.
    """
    if namespace == "snix":
        response = snix_build_pb2.BuildResponse.FromString(answer)
        found = [(_named(each.output), tuple(each.needles)) for each in response.outputs]
    else:
        build = build_pb2.Build.FromString(answer)
        needles = [tuple(each.needles) for each in build.outputs_needles]
        # Its first version has no list of needles when nothing was looked for.
        needles += [()] * (len(build.outputs) - len(needles))
        found = [(_named(node), those) for node, those in zip(build.outputs, needles, strict=True)]
    if len(found) != len(request.outputs):
        raise InvalidNode(f"{len(found)} outputs came for {len(request.outputs)}", path="outputs")
    outputs = []
    for index, (path, ((name, node), those)) in enumerate(zip(request.outputs, found, strict=True)):
        if name not in (b"", posixpath.basename(path).encode()):
            raise InvalidNode(f"{name!r} came for {path}", path="outputs", index=index)
        outputs.append(BuildOutput(path=path, node=node, needles=_indices(those, request)))
    return tuple(outputs)


def _named(message: Message) -> Any:
    return decode_node(message.SerializeToString(deterministic=True), named=False)


def _indices(needles: Sequence[int], request: BuildRequest) -> tuple[int, ...]:
    if any(needle >= len(request.refscan_needles) for needle in needles):
        raise InvalidNode("a needle came that nobody asked for", path="needles")
    return tuple(sorted(set(needles)))


def result_message(result: BuildResult) -> watched_pb2.Result:
    """Our Result of a build."""
    data = result.model_dump(mode="json", include=set(_SHARED), exclude_none=True)
    message = watched_pb2.Result()
    json_format.ParseDict(_text(data), message)
    for output in result.outputs:
        node = castore_pb2.Node.FromString(encode_node(b"", output.node))
        message.outputs.add(path=output.path, node=node, needles=output.needles)
    return message


def _text(value: Any) -> Any:
    """``value`` with nothing in its texts that is not UTF-8: names of files need not be."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _text(each) for name, each in value.items()}
    return [_text(each) for each in value] if isinstance(value, list) else value


def result_of(message: watched_pb2.Result, request: BuildRequest, **ours: Any) -> BuildResult:
    """The BuildResult of a Result; ``ours``: what only the caller knows.

    ValueError (pydantic's, or :class:`InvalidNode`) for what no build of ``request`` answers.
    """
    data = json_format.MessageToDict(message, preserving_proto_field_name=True)
    outputs = []
    for each in message.outputs:
        node = decode_node(each.node.SerializeToString(deterministic=True), named=False)[1]
        outputs.append(BuildOutput(path=each.path, node=node, needles=_indices(each.needles, request)))
    if outputs and tuple(output.path for output in outputs) != request.outputs:
        raise InvalidNode("other outputs came than were asked for", path="outputs")
    if message.status == "succeeded" and len(outputs) != len(request.outputs):
        raise InvalidNode("outputs are missing in the answer", path="outputs")
    known: dict[str, Any] = {name: data[name] for name in _SHARED if name in data}
    known["usage"] = data.get("usage") or {"source": "the builder did not tell"}
    known.setdefault("timings", {})
    return BuildResult.model_validate({**known, "outputs": tuple(outputs), **ours})
