"""What a server takes from clients that are wrong, by mistake or on purpose: nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from blake3 import blake3

from support.served import Served
from support.wireclient import WireClient, in_pieces
from tvixbuild_nb.castore import (
    Castore,
    Digest,
    Directory,
    DirectoryNode,
    FileNode,
    SymlinkNode,
    encode_directory,
    open_castore,
)
from tvixbuild_nb.errors import DigestMismatch, InvalidNode, NotFound, RemoteStoreError

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

BLOBS, DIRECTORIES = "snix.castore.v1.BlobService", "snix.castore.v1.DirectoryService"
INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
ABSENT = b"\x42" * 32


@pytest.fixture
def client(server: Served) -> Iterator[WireClient]:
    with WireClient(server.address) as client:
        yield client


def contents(server: Served) -> list[Path]:
    """Files of the server's store that hold blobs."""
    return [path for name in ("blobs", "tmp") for path in (server.store / name).rglob("*") if path.is_file()]


def test_garbage_is_refused_everywhere(client: WireClient) -> None:
    for method in ("Stat", "Read"):
        assert client.refused(BLOBS, method, b"\xff\xff garbage").code() is INVALID
        assert client.refused(BLOBS, method, {"digest": b"short"}).code() is INVALID
        assert client.refused(BLOBS, method, {"digest": ABSENT}).code() is MISSING
    assert client.refused(BLOBS, "Put", [b"\x0a\x7fgarbage"]).code() is INVALID
    assert client.refused(DIRECTORIES, "Get", b"garbage").code() is INVALID
    assert client.refused(DIRECTORIES, "Put", [b"garbage"]).code() is INVALID
    assert client.refused(DIRECTORIES, "Put", []).code() is INVALID
    for namespace in ("tvix", "snix"):
        refused = client.refused(f"{namespace}.build.v1.BuildService", "DoBuild", b"\xff garbage")
        assert refused.code() is INVALID
    for service, method in (("WatchedBuild", "DoBuild"), ("ManyBlobs", "Missing"), ("ManyBlobs", "Put")):
        assert client.refused(f"tvixbuild_nb.v1.{service}Service", method, b"\xff garbage").code() is INVALID
    many = "tvixbuild_nb.v1.ManyBlobsService"
    assert client.refused(many, "Missing", {"digests": [ABSENT, b"short"]}).code() is INVALID
    assert client.refused(many, "Put", {"blobs": [bytes(3 << 20), bytes(3 << 20)]}).code() is INVALID


def test_requests_that_break_a_rule(client: WireClient) -> None:
    system = {"system": "x86_64-linux"}
    for broken, word in (
        ({"command_args": []}, "command"),
        ({"command_args": ["a"], "outputs": ["nix/store/x"], "constraints": system}, "scratch"),
        ({"command_args": ["a"], "scratch_paths": ["b", "a"], "constraints": system}, "scratch_paths"),
        ({"command_args": ["a"], "environment_vars": [{"key": "a=b"}]}, "environment_vars"),
        ({"command_args": ["a"], "constraints": {}}, "system"),
        ({"command_args": ["a"], "inputs": [{"symlink": {"name": b"../x", "target": b"t"}}]}, "inputs"),
    ):
        refused = client.refused("tvix.build.v1.BuildService", "DoBuild", broken)
        assert refused.code() is INVALID and word in refused.details(), refused.details()


def test_directories_in_wrong_forms(client: WireClient, far: Castore) -> None:
    leaf = Directory({b"link": SymlinkNode(b"x")})
    node = DirectoryNode(Digest.of(encode_directory(leaf)), leaf.size)
    root = Directory({b"leaf": node})
    other = Directory({b"else": SymlinkNode(b"y")})
    good, parent = encode_directory(leaf), encode_directory(root)
    unsorted_ = {"symlinks": [{"name": b"b", "target": b"t"}, {"name": b"a", "target": b"t"}]}
    wrong_size = encode_directory(Directory({b"leaf": DirectoryNode(node.digest, 1)}))
    for name, stream in {
        "a missing child": [parent],
        "the root first": [parent, good],
        "two roots": [good, encode_directory(other)],
        "something after the root": [good, parent, encode_directory(other)],
        "a size as the .proto says": [good, wrong_size],
        "unsorted": [unsorted_],
        "a name twice": [{"symlinks": [{"name": b"a", "target": b"t"}] * 2}],
        "a name that leads elsewhere": [{"symlinks": [{"name": b"../a", "target": b"t"}]}],
        "an unknown field": [good + b"\x22\x00"],
        "defaults written out": [b"\x12\x28\x0a\x01a\x12\x20" + bytes(32) + b"\x18\x00" + b"\x20\x00"],
    }.items():
        refused = client.refused(DIRECTORIES, "Put", stream)
        assert refused.code() is INVALID, (name, refused.details())
    for encoded in (good, parent, wrong_size):
        assert far.directories.get(Digest.of(encoded)) is None
    # A child that is there already is no part of the stream all the same.
    client.call(DIRECTORIES, "Put", [good])
    assert client.refused(DIRECTORIES, "Put", [parent]).code() is INVALID
    client.call(DIRECTORIES, "Put", [good, parent])
    assert far.directories.get(Digest.of(parent)) == root


def test_chunks_that_are_too_large(client: WireClient, server: Served, far: Castore) -> None:
    data = bytes(5 << 20)
    refused = client.refused(BLOBS, "Put", [{"data": b"begin"}, {"data": data}])
    assert refused.code() is INVALID and "at most" in refused.details()
    # Above the limit of a message nobody even looks at it.
    assert client.refused(BLOBS, "Put", [{"data": bytes(40 << 20)}]).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    answer = client.call(BLOBS, "Put", in_pieces(data, 4 << 20))
    assert answer.digest == blake3(data).digest() and far.blobs.has(Digest(answer.digest))
    assert len(contents(server)) == 1


def test_whoever_breaks_off_leaves_nothing(server: Served, far: Castore) -> None:
    writer = far.blobs.open_write()
    writer.write(bytes(range(256)) * (64 << 10))
    writer.abort()
    deadline = time.monotonic() + 10
    while contents(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    with far.blobs.open_write() as again:
        again.write(b"it goes on")
    assert far.blobs.has(Digest.of(b"it goes on"))
    assert contents(server) == []


def test_errors_come_back_as_they_were_raised(far: Castore) -> None:
    for call, kind in (
        (lambda: far.tree(FileNode(Digest(ABSENT), 1)).read_bytes(), NotFound),
        (lambda: far.directories.put(Directory({b"gone": DirectoryNode(Digest(ABSENT), 2)})), NotFound),
        (lambda: far.pin("x", SymlinkNode(b"x")), RemoteStoreError),
        (lambda: far.gc(), RemoteStoreError),
    ):
        with pytest.raises(kind):
            call()
    from tvixbuild_nb.castore.remote.connection import Connection

    connection = Connection(far.address)
    put = connection.call("unary_unary", connection.castore_method("DirectoryService", "Put"))
    with pytest.raises(InvalidNode, match="nothing follows|unknown field"):
        connection.checked(lambda: put(b"\x22\x00", timeout=20))
    connection.close()


def test_damage_in_the_servers_store_is_told(server: Served, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    with open_castore(server.address) as far:
        node = far.ingest_bytes(data)
        (blob,) = contents(server)
        blob.chmod(0o600)
        blob.write_bytes(data[:-1] + b"!")
        with pytest.raises(DigestMismatch):
            far.tree(node).read_bytes()


# Clients of nothing but grpcio, all calls of which are begun before the first is over.
PUTTING = """
import sys
import grpc
from blake3 import blake3
target, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
channels = [grpc.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(2)]
for channel in channels:
    grpc.channel_ready_future(channel).result(30)
# A stream of one message is on the wire what one message is, and takes no thread here.
puts = [channel.unary_unary("/snix.castore.v1.BlobService/Put") for channel in channels]
print("ready", flush=True)
sys.stdin.readline()
blobs = [b"%d is small" % number for number in range(first, first + count)]
calls = [puts[n % 2].future(b"\\x0a" + bytes((len(data),)) + data, timeout=180) for n, data in enumerate(blobs)]
assert [call.result() for call in calls] == [b"\\x0a\\x20" + blake3(data).digest() for data in blobs]
print("done", flush=True)
sys.stdin.readline()
stat = channels[0].unary_unary("/snix.castore.v1.BlobService/Stat")
for call in [stat.future(b"\\x0a\\x20" + blake3(data).digest(), timeout=180) for data in blobs]:
    call.result()
"""


def test_ten_thousand_small_blobs_at_once(server: Served) -> None:
    """From four processes over two connections each."""
    target, share = server.address.partition("://")[2], 2500
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", PUTTING, target, str(first), str(share)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for first in range(0, 10_000, share)
    ]  # fmt: skip
    try:
        for word in ("ready", "done"):
            for client in clients:
                assert client.stdout is not None and client.stdout.readline() == f"{word}\n"
            for client in clients:
                assert client.stdin is not None
                client.stdin.write("go on\n")
                client.stdin.flush()
        assert [client.wait(180) for client in clients] == [0, 0, 0, 0]
    finally:
        for client in clients:
            client.kill()
            client.communicate()
    with open_castore(server.store, read_only=True) as castore:
        assert not castore.blobs.missing(Digest.of(b"%d is small" % number) for number in range(10_000))
