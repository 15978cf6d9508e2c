"""RemoteStore: the two services at one address as a Backend; upkeep is the business of whoever runs the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import Node
from tvixbuild_nb.castore.remote.blobs import RemoteBlobs
from tvixbuild_nb.castore.remote.connection import CHUNK, Connection
from tvixbuild_nb.castore.remote.directories import RemoteDirectories
from tvixbuild_nb.castore.remote.line import EndingLine, Line
from tvixbuild_nb.castore.services import Batch, GcReport
from tvixbuild_nb.castore.writers import ServiceBatch
from tvixbuild_nb.errors import RemoteStoreError


class RemoteStore:
    """What is stored at the other end of ``line``; closing it closes the line.

    The protocol knows no pins and no gc: what keeps contents there is the server's.
    """

    local_path: Path | None = None

    def __init__(self, line: Line, directories: RemoteDirectories | None = None) -> None:
        self._line = line
        self.blobs = RemoteBlobs(line)
        self.directories = directories or RemoteDirectories(line)

    @property
    def address(self) -> str:
        return self._line.address.text

    def endable(self) -> tuple[RemoteStore, Callable[[], None]]:
        """See :class:`Endable`."""
        line = EndingLine(self._line)
        return RemoteStore(line, self.directories.over(line)), line.end

    def batch(self) -> Batch:
        return RemoteBatch(self.blobs, self.directories)

    def hold(self, node: Node) -> None:
        """Nothing to do: a server keeps what it took while it runs, or says that it did not."""

    def pin(self, name: str, node: Node) -> None:
        raise self._not_here("pins are kept")

    def unpin(self, name: str) -> bool:
        raise self._not_here("pins are kept")

    def pins(self) -> Mapping[str, Node]:
        """None: there is no way to ask."""
        return {}

    def gc(self, roots: Iterable[Node], *, dry_run: bool = False) -> GcReport:
        raise self._not_here("garbage is collected")

    def sync(self) -> None:
        """Nothing to do: what a server has confirmed is its to keep."""

    def close(self) -> None:
        self._line.close()

    def _not_here(self, what: str) -> RemoteStoreError:
        return RemoteStoreError(
            f"{what} where the store is, not over gRPC", path=self.address, hint="do it on the server's machine"
        )


class RemoteBatch(ServiceBatch):
    """A Batch whose small blobs go many at once; directories go at commit, each closure in one stream."""

    def __init__(self, blobs: RemoteBlobs, directories: RemoteDirectories) -> None:
        super().__init__(blobs, directories)
        self._remote = blobs

    def put_blobs(self, blobs: Sequence[tuple[Digest, bytes]]) -> None:
        fresh = dict(blobs)
        absent = self._remote.missing(fresh)
        self._remote.put_small([(digest, fresh[digest]) for digest in absent if len(fresh[digest]) <= CHUNK])
        super().put_blobs([(digest, fresh[digest]) for digest in absent if len(fresh[digest]) > CHUNK])


def remote_store(address: str) -> RemoteStore:
    """The store at a ``grpc+`` address; it is connected to when it is first used.

    Raises :class:`InvalidAddress`, and :class:`HostRefused` where gRPC is not installed.
    """
    return RemoteStore(Connection(address))
