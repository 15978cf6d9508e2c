"""Servers that say other things than they should: nothing of it is believed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from blake3 import blake3

from support.snix import Contents, castore_daemon
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
from tvixbuild_nb.castore.remote.many import ManyBlobs
from tvixbuild_nb.castore.services import ManySmallBlobs
from tvixbuild_nb.errors import DigestMismatch, InvalidNode, NotFound
from tvixbuild_nb.proto import snix_castore_pb2
from tvixbuild_nb.proto.manyblobs_pb2 import GetManyResponse

CONTENTS = bytes(range(256)) * 100


@pytest.fixture
def contents() -> Contents:
    return Contents()


@pytest.fixture
def far(contents: Contents) -> Iterator[Castore]:
    with castore_daemon(contents) as address, open_castore(address) as castore:
        yield castore


def stored(contents: Contents, directory: Directory) -> DirectoryNode:
    data = encode_directory(directory)
    digest = blake3(data).digest()
    contents.directories[digest] = snix_castore_pb2.Directory.FromString(data)
    return DirectoryNode(Digest(digest), directory.size)


def test_blobs_that_are_something_else(contents: Contents, far: Castore) -> None:
    digest = Digest.of(b"what was asked for")
    contents.blobs[digest] = CONTENTS
    with pytest.raises(DigestMismatch):
        far.tree(FileNode(digest, 3)).read_bytes()
    stream = far.blobs.open_read(digest)
    assert stream is not None
    with stream, pytest.raises(DigestMismatch):
        while stream.read(1000):
            pass
    with pytest.raises(DigestMismatch):
        far.blobs.reader(digest)


def test_small_blobs_that_are_something_else(contents: Contents, far: Castore) -> None:
    digest, right = Digest.of(b"what was asked for"), Digest.of(CONTENTS)
    contents.blobs[right] = CONTENTS
    assert isinstance(far.blobs, ManySmallBlobs)
    assert far.blobs.get_small([digest, right]) == {right: CONTENTS}
    contents.blobs[digest] = CONTENTS
    with pytest.raises(DigestMismatch):
        far.blobs.get_small([right, digest])


class OneAnswer:
    """A line over which each call is answered with the same message."""

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.rpc_error = grpc.RpcError

    def call(self, kind: str, method: str) -> Any:
        return lambda request: self

    def __iter__(self) -> Iterator[bytes]:
        return iter([self.message])

    def cancel(self) -> bool:
        return False


def test_many_blobs_of_which_some_were_not_asked_for() -> None:
    asked = [Digest.of(b"asked for"), Digest.of(b"large"), Digest.of(b"not there")]
    answer = GetManyResponse(blobs=[b"asked for"], larger=[asked[1]])
    many = ManyBlobs(OneAnswer(answer.SerializeToString()))  # type: ignore[arg-type]
    assert many.get(asked) == {asked[0]: b"asked for"}
    answer.blobs.append(b"something else")
    with pytest.raises(DigestMismatch, match="nobody asked"):
        ManyBlobs(OneAnswer(answer.SerializeToString())).get(asked)  # type: ignore[arg-type]
    with pytest.raises(InvalidNode, match="not blobs"):
        ManyBlobs(OneAnswer(b"\xff garbage")).get(asked)  # type: ignore[arg-type]


def test_the_last_bytes_of_a_wrong_blob_are_never_given_out(contents: Contents, far: Castore) -> None:
    digest = Digest.of(CONTENTS)
    contents.blobs[digest] = CONTENTS[:-1] + b"!"
    stream = far.blobs.open_read(digest)
    assert stream is not None
    given = b""
    with stream, pytest.raises(DigestMismatch):
        while part := stream.read(100):
            given += part
    assert not given.endswith(b"!") and len(given) < len(CONTENTS)


def test_directories_that_are_something_else(contents: Contents, far: Castore) -> None:
    other = Directory({b"a": SymlinkNode(b"b")})
    digest = Digest(b"\x42" * 32)
    contents.directories[digest] = snix_castore_pb2.Directory.FromString(encode_directory(other))
    with pytest.raises(DigestMismatch):
        far.directories.get(digest)
    with pytest.raises(DigestMismatch):
        list(far.directories.get_closure(digest))


def test_closures_with_what_does_not_belong(contents: Contents, far: Castore) -> None:
    leaf = stored(contents, Directory({b"a": SymlinkNode(b"b")}))
    wrong = Directory({b"leaf": DirectoryNode(leaf.digest, 7)})
    node = stored(contents, wrong)
    with pytest.raises(InvalidNode, match="wrong size 7"):
        list(far.directories.get_closure(node.digest))
    whole = stored(contents, Directory({b"leaf": leaf}))
    assert len(list(far.directories.get_closure(whole.digest))) == 2
    assert list(far.directories.get_closure(Digest(b"\x01" * 32))) == []
    lone = stored(contents, Directory({b"leaf": DirectoryNode(Digest(b"\x02" * 32), 2)}))
    contents.directories[b"\x02" * 32] = snix_castore_pb2.Directory()
    with pytest.raises(DigestMismatch):
        list(far.directories.get_closure(lone.digest))


def test_a_closure_that_ends_too_soon(contents: Contents, far: Castore) -> None:
    from tvixbuild_nb.castore.remote.order import RootFirst

    leaf = Directory({b"a": SymlinkNode(b"b")})
    root = Directory({b"leaf": DirectoryNode(Digest.of(encode_directory(leaf)), leaf.size)})
    order = RootFirst(Digest.of(encode_directory(root)))
    assert order.check(encode_directory(root)) == root
    with pytest.raises(NotFound):
        order.end()
    assert order.check(encode_directory(root)) is None, "what comes again is passed over"
    assert order.check(encode_directory(leaf)) == leaf
    order.end()
    with pytest.raises(DigestMismatch, match="nothing names"):
        order.check(encode_directory(Directory({b"x": SymlinkNode(b"y")})))
