"""Callers that take their time, and what they keep from others: nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from support.wireclient import WireClient
from tvixbuild_nb.castore import Castore, Digest, Directory, DirectoryNode, FileNode, encode_directory, open_castore
from tvixbuild_nb.castore.remote.messages import asking_for, chunk_message
from tvixbuild_nb.serve import Listen, Server, ServerOptions

BLOBS, DIRECTORIES = "/snix.castore.v1.BlobService", "/snix.castore.v1.DirectoryService"
LARGE = 64 << 20
# Seconds in which a small question is answered, also on a busy machine.
SOON = 10.0
PATIENCE = 0.3


@pytest.fixture
def castore() -> Iterator[Castore]:
    with open_castore("memory:") as castore:
        yield castore


@pytest.fixture
def large(castore: Castore) -> FileNode:
    node = castore.ingest_bytes(bytes(LARGE))
    assert isinstance(node, FileNode)
    return node


@pytest.fixture
def impatient(castore: Castore, tmp_path: Path) -> Iterator[Server]:
    with Server(Listen(path=tmp_path / "s"), castore, None, ServerOptions(patience=PATIENCE)) as server:
        yield server


@contextmanager
def channel_to(server: Server) -> Iterator[grpc.Channel]:
    options = [("grpc.max_receive_message_length", 32 << 20), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"unix:{server.address.partition(':')[2]}", options) as channel:
        yield channel


def in_steps(messages: list[bytes]) -> tuple[Iterator[bytes], Callable[[], None]]:
    """The messages, each but the first as soon as it is asked for with the second."""
    steps = threading.Semaphore(1)

    def sending() -> Iterator[bytes]:
        for message in messages:
            steps.acquire()
            yield message

    return sending(), steps.release


def test_who_is_slow_lives(impatient: Server, castore: Castore, large: FileNode) -> None:
    leaf = encode_directory(Directory({}))
    root = encode_directory(Directory({b"leaf": DirectoryNode(Digest.of(leaf), 0)}))
    with channel_to(impatient) as channel:
        closure, next_directory = in_steps([leaf, root])
        putting = channel.stream_unary(f"{DIRECTORIES}/Put").future(closure)
        blob, next_chunk = in_steps([chunk_message(b"one"), chunk_message(b"two")])
        writing = channel.stream_unary(f"{BLOBS}/Put").future(blob)
        reading = channel.unary_stream(f"{BLOBS}/Read")(asking_for(large.digest))
        came = len(next(reading))
        time.sleep(5 * PATIENCE)
        next_directory()
        next_chunk()
        assert putting.result(SOON)[2:] == Digest.of(root) and writing.result(SOON)[2:] == Digest.of(b"onetwo")
        assert came + sum(len(message) for message in reading) > LARGE
    assert castore.directories.get(Digest.of(root)) is not None


def test_small_questions_are_answered_whatever_is_open(castore: Castore, large: FileNode, tmp_path: Path) -> None:
    def ask(server: Server, channel: grpc.Channel) -> None:
        channel.unary_unary(f"{BLOBS}/Stat")(asking_for(large.digest), timeout=SOON)
        assert list(channel.unary_stream(f"{DIRECTORIES}/Get")(asking_for(empty), timeout=SOON)) == [b""]
        health = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=SOON).status == 1
        with WireClient(server.address) as client:
            assert "snix.castore.v1.BlobService" in client.services()
        put = channel.stream_unary(f"{BLOBS}/Put")
        assert put(iter([chunk_message(b"x")]), timeout=SOON)[2:] == Digest.of(b"x")

    empty = castore.directories.put(Directory({}))
    with Server(Listen(path=tmp_path / "s"), castore, None) as server, channel_to(server) as channel:
        # Nobody is given up meanwhile: more wait than there are threads for, and most that have one are stalled.
        reads = [channel.unary_stream(f"{BLOBS}/Read")(asking_for(large.digest)) for _ in range(150)]
        for read in reads[:50]:
            next(read)
        ask(server, channel)
        with channel_to(server) as other:
            ask(server, other)
        assert all(read.is_active() for read in reads)
        for read in reads:
            read.cancel()


def was_ended(call: Any, kind: str) -> bool:
    """Whether the server gave it up; who reads hears of it after what came before."""
    try:
        for _ in call if kind == "reads" else ():
            pass
    except grpc.RpcError:
        return True
    return not call.is_active() and kind != "reads"


@pytest.mark.parametrize("kind", ["reads", "puts", "closure puts", "questions"])
def test_who_is_idle_makes_room_when_threads_are_short(impatient: Server, large: FileNode, kind: str) -> None:
    with channel_to(impatient) as channel:
        idle: list[Any] = []
        hold = threading.Event()

        def never_ending(*first: bytes) -> Iterator[bytes]:
            yield from first
            hold.wait()

        for _ in range(160):
            if kind == "reads":
                idle.append(channel.unary_stream(f"{BLOBS}/Read")(asking_for(large.digest)))
            elif kind == "questions":
                # Asked without ever saying what.
                idle.append(channel.stream_unary(f"{BLOBS}/Stat").future(never_ending()))
            else:
                service = BLOBS if kind == "puts" else DIRECTORIES
                first = chunk_message(b"begin") if kind == "puts" else b""
                idle.append(channel.stream_unary(f"{service}/Put").future(never_ending(first)))
        try:
            with channel_to(impatient) as other:
                if kind == "reads":
                    read = other.unary_stream(f"{BLOBS}/Read")(asking_for(large.digest), timeout=60)
                    assert sum(map(len, read)) > LARGE
                elif kind == "questions":
                    other.unary_unary(f"{BLOBS}/Stat")(asking_for(large.digest), timeout=60)
                elif kind == "puts":
                    other.stream_unary(f"{BLOBS}/Put")(iter([chunk_message(b"x")]), timeout=60)
                else:
                    other.stream_unary(f"{DIRECTORIES}/Put")(iter([b""]), timeout=60)
            call = next(call for call in idle if was_ended(call, kind))
            assert call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, call.details()
            assert "begin it again" in call.details()
            assert any(call.is_active() for call in idle)
        finally:
            hold.set()
            for call in idle:
                call.cancel()
