"""A client that has nothing but grpcio and the descriptors that a server's reflection gives: none of our modules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2

_METHOD = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


class WireClient:
    """Calls by the full name of a method; messages are made from the server's own descriptors."""

    def __init__(self, address: str) -> None:
        target = address.partition("://")[2] or f"unix:{address.partition(':')[2]}"
        self.channel = grpc.insecure_channel(target)
        self._pool = descriptor_pool.DescriptorPool()
        self._known: set[str] = set()

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.channel.close()

    def _ask(self, **question: Any) -> Any:
        call = self.channel.stream_stream(
            _METHOD,
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        return next(iter(call(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=30)))

    def services(self) -> set[str]:
        """The names of all services."""
        return {service.name for service in self._ask(list_services="").list_services_response.service}

    def _learn(self, **question: str) -> None:
        for data in self._ask(**question).file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            if file.name in self._known:
                continue
            self._known.add(file.name)
            for dependency in file.dependency:
                self._learn(file_by_filename=dependency)
            self._pool.Add(file)

    def message(self, name: str, **fields: Any) -> Any:
        """A message of the full name ``name``."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(name))(**fields)

    def call(self, service: str, method: str, asked: Any, *, timeout: float = 60) -> Any:
        """The answer, or the list of answers; ``asked``: keyword arguments of the message, or several for a stream.

        Bytes go as they are.
        """
        self._learn(file_containing_symbol=service)
        found = self._pool.FindServiceByName(service).FindMethodByName(method)
        made = message_factory.GetMessageClass(found.input_type)
        answered = message_factory.GetMessageClass(found.output_type)
        kind = f"{'stream' if found.client_streaming else 'unary'}_{'stream' if found.server_streaming else 'unary'}"

        def encode(each: Any) -> bytes:
            if isinstance(each, bytes):
                return each
            return bytes((made(**each) if isinstance(each, dict) else each).SerializeToString())

        to_call = getattr(self.channel, kind)(f"/{service}/{method}", response_deserializer=answered.FromString)
        sent: Any = map(encode, asked) if found.client_streaming else encode(asked)
        answer = to_call(sent, timeout=timeout)
        return list(answer) if found.server_streaming else answer

    def refused(self, service: str, method: str, asked: Any) -> grpc.RpcError:
        """The status that refuses the call."""
        try:
            self.call(service, method, asked)
        except grpc.RpcError as error:
            return error
        raise AssertionError("it was taken")


def in_pieces(data: bytes, size: int) -> Iterable[dict[str, bytes]]:
    """BlobChunks of ``data``."""
    return [{"data": data[start : start + size]} for start in range(0, len(data), size)] or [{"data": b""}]
