"""Clients that know nothing of this package but what reflection tells them; and one that does as Snix's does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from blake3 import blake3

from support.served import Served
from support.wireclient import WireClient, in_pieces
from tvixbuild_nb.castore import Castore, Digest, DirectoryNode

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

NAMESPACES = ("snix", "tvix")


@pytest.fixture
def client(server: Served) -> Iterator[WireClient]:
    with WireClient(server.address) as client:
        yield client


def request(**changes: Any) -> dict[str, Any]:
    return {
        "command_args": ["/bin/sh", "-c", "echo said; cat /nix/store/in > /nix/store/out"],
        "scratch_paths": ["nix/store"],
        "inputs_dir": "nix/store",
        "outputs": ["nix/store/out"],
        "constraints": {"system": "x86_64-linux", "provide_bin_sh": True},
        "refscan_needles": ["absent", "depends"],
        **changes,
    }


def test_services_and_health(client: WireClient) -> None:
    assert client.services() == {
        *(f"{name}.castore.v1.{service}" for name in NAMESPACES for service in ("BlobService", "DirectoryService")),
        *(f"{name}.build.v1.BuildService" for name in NAMESPACES),
        "tvixbuild_nb.v1.WatchedBuildService",
        "tvixbuild_nb.v1.ManyBlobsService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    for service in ("", "snix.build.v1.BuildService", "tvix.castore.v1.BlobService"):
        assert client.call("grpc.health.v1.Health", "Check", {"service": service}).status == 1
    assert client.refused("grpc.health.v1.Health", "Check", {"service": "x"}).code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_build(client: WireClient, namespace: str) -> None:
    data = b"so much depends\n"
    digest = client.call(f"{namespace}.castore.v1.BlobService", "Put", in_pieces(data, 5)).digest
    asked = request(inputs=[{"file": {"name": b"in", "digest": digest, "size": len(data)}}])
    answer = client.call(f"{namespace}.build.v1.BuildService", "DoBuild", asked)
    if namespace == "snix":
        (output,) = answer.outputs
        made, needles = output.output.file, output.needles
        assert made.name == b""
    else:
        made, needles = answer.outputs[0].file, answer.outputs_needles[0].needles
        assert made.name == b"out" and answer.build_request.command_args[0] == "/bin/sh"
    assert (made.digest, made.size, list(needles)) == (digest, len(data), [1])
    chunks = client.call(f"{namespace}.castore.v1.BlobService", "Read", {"digest": made.digest})
    assert b"".join(chunk.data for chunk in chunks) == data
    told = client.call(f"{namespace}.castore.v1.BlobService", "Stat", {"digest": digest, "send_chunks": True})
    assert [(chunk.digest, chunk.size) for chunk in told.chunks] == [(digest, len(data))]


def test_how_builds_end(client: WireClient) -> None:
    service = "snix.build.v1.BuildService"
    failed = client.refused(service, "DoBuild", request(command_args=["/bin/sh", "-c", "echo why; exit 3"]))
    assert failed.code() is grpc.StatusCode.INTERNAL
    assert "status 3" in failed.details() and "| why" in failed.details()
    absent = {"file": {"name": b"in", "digest": b"\x42" * 32, "size": 1}}
    assert client.refused(service, "DoBuild", request(inputs=[absent])).code() is grpc.StatusCode.NOT_FOUND
    for constraints in (
        {"system": "vax-vms"},
        {"system": "x86_64-linux", "available_ro_paths": ["/etc"]},
    ):
        refused = client.refused(service, "DoBuild", request(constraints=constraints))
        assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_whoever_goes_away_ends_the_build(client: WireClient, passable_tmp: Path) -> None:
    asked = request(command_args=["/bin/sh", "-c", "sleep 60"])
    for service, method in (("snix.build.v1.BuildService", "DoBuild"), ("tvix.build.v1.BuildService", "DoBuild")):
        with pytest.raises(grpc.RpcError) as raised:
            client.call(service, method, asked, timeout=2)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        for _ in range(100):
            if not list((passable_tmp / "bundles").glob("*/config.json")):
                break
            client.call("grpc.health.v1.Health", "Check", {"service": ""})
            time.sleep(0.1)
        assert not list((passable_tmp / "bundles").glob("*/config.json"))


def test_watching(client: WireClient) -> None:
    asked = {"build_request": request(command_args=["/bin/sh", "-c", "echo said; exit 3"]), "policy": {"trace": True}}
    events = client.call("tvixbuild_nb.v1.WatchedBuildService", "DoBuild", asked)
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds[0] == "accepted" and kinds[-1] == "result" and {"stage", "log", "file"} <= {*kinds}
    assert b"".join(event.log.data for event in events) == b"said\n"
    result = events[-1].result
    assert (result.status, result.failed_at, result.exit_code) == ("failed", "build", 3)
    assert {"config.json", "host.json"} <= {event.file.name for event in events}


def test_as_a_snix_client_does(client: WireClient, far: Castore) -> None:
    """Ingest: blobs in pieces of its own size, closures whole, all of them again for the next tree; then mount."""
    blobs, directories = "snix.castore.v1.BlobService", "snix.castore.v1.DirectoryService"
    data = bytes(range(256)) * 30_000
    assert client.refused(blobs, "Stat", {"digest": blake3(data).digest()}).code() is grpc.StatusCode.NOT_FOUND
    digest = client.call(blobs, "Put", in_pieces(data, 1 << 20)).digest
    assert digest == blake3(data).digest()
    file = {"name": b"f", "digest": digest, "size": len(data)}
    client.call(directories, "Put", [{}])
    leaf = client.message("snix.castore.v1.Directory", files=[file])

    def named(name: bytes, directory: Any, size: int) -> dict[str, Any]:
        return {"name": name, "digest": blake3(directory.SerializeToString()).digest(), "size": size}

    middle = client.message("snix.castore.v1.Directory", directories=[named(b"l", leaf, 2)])
    root = client.message("snix.castore.v1.Directory", directories=[named(b"a", leaf, 2), named(b"b", middle, 4)])
    for _ in range(2):
        answer = client.call(directories, "Put", [leaf, middle, root])
        assert answer.root_digest == blake3(root.SerializeToString()).digest()
    # Breadth first, each once; of an unknown root nothing, and no error.
    asked = {"digest": answer.root_digest, "recursive": True}
    assert client.call(directories, "Get", asked) == [root, leaf, middle]
    assert client.call(directories, "Get", {"digest": b"\x42" * 32, "recursive": True}) == []
    assert client.refused(directories, "Get", {"digest": b"\x42" * 32}).code() is grpc.StatusCode.NOT_FOUND
    chunks = client.call(blobs, "Read", {"digest": digest})
    assert b"".join(chunk.data for chunk in chunks) == data
    assert max(chunk.ByteSize() for chunk in chunks) < 4 << 20
    assert far.has_closure(DirectoryNode(Digest(answer.root_digest), 10))
