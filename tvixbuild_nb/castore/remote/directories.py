"""RemoteDirectories: a DirectoryService over gRPC."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import decode_directory, directory_digest, encode_directory
from tvixbuild_nb.castore.nodes import Directory
from tvixbuild_nb.castore.remote.connection import Answers
from tvixbuild_nb.castore.remote.faults import missing
from tvixbuild_nb.castore.remote.kept import MOST, Kept
from tvixbuild_nb.castore.remote.line import Line
from tvixbuild_nb.castore.remote.messages import answered, asking_for
from tvixbuild_nb.castore.remote.order import GetDirectory, RootFirst, children_first, roots_of
from tvixbuild_nb.castore.remote.window import begun_ahead
from tvixbuild_nb.errors import CastoreError, DigestMismatch, InvalidNode

# Bytes of an entry beside its name: its digest and what is around it.
_LEAST = 40


class RemoteDirectories:
    """The DirectoryService at the other end of ``line``; what comes from there is checked against its digest.

    Those last looked at are kept.
    """

    def __init__(self, line: Line, kept: Kept | None = None) -> None:
        self._line = line
        self._kept = kept or Kept()

    def over(self, line: Line) -> RemoteDirectories:
        """The same directories, called over ``line``."""
        return RemoteDirectories(line, self._kept)

    def get(self, digest: Digest) -> Directory | None:
        data = self.get_encoded(digest)
        return None if data is None else decode_directory(data)

    def get_encoded(self, digest: Digest) -> bytes | None:
        """See :class:`EncodedDirectories`."""
        if (known := self._kept.get(digest)) is not None:
            return known
        for data in self._answer(digest, recursive=False):
            self._kept.keep(digest, self._checked(digest, data))
            return data
        return None

    def _checked(self, digest: Digest, data: bytes) -> bytes:
        if Digest.of(data) != digest:
            raise DigestMismatch(f"{self._address} sent another directory", path=str(digest))
        return data

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        """See :class:`ManyDirectories`; the protocol has no such question, so each is fetched, many at a time.

        Of those last looked at, too: they may be gone there.
        """
        get, absent = self._line.call("unary_stream", self._method("Get")), set[Digest]()
        for digest, call in begun_ahead(
            dict.fromkeys(digests), lambda digest: get(asking_for(digest), timeout=self._line.patience)
        ):
            for data in self._messages(call):
                self._kept.keep(digest, self._checked(digest, data))
                break
            else:
                absent.add(digest)
        return absent

    def put(self, directory: Directory) -> Digest:
        """See :class:`DirectoryService`; also what it holds is sent, since an upload is a whole closure."""
        self.put_many([directory])
        return directory_digest(directory)

    def put_many(self, directories: Iterable[Directory]) -> None:
        """See :class:`DirectoryService`; :class:`NotFound` when something below is neither among them nor there."""
        known = {directory_digest(directory): directory for directory in directories}

        def get(digest: Digest) -> Directory | None:
            # An empty directory is false, and there all the same.
            found = known.get(digest)
            return self.get(digest) if found is None else found

        for root in roots_of(known.values(), directory_digest):
            self.put_closure(root, get)

    def put_closure(self, root: Digest, get: GetDirectory) -> None:
        """Send all that ``root`` reaches in one stream, leaves first, as ``get`` gives it.

        :class:`NotFound` when ``get`` lacks something, and the server keeps nothing; :class:`DigestMismatch` when the
        server says it is another root.
        """
        failed: list[Exception] = []
        begun = threading.Event()

        def stream() -> Iterator[bytes]:
            begun.wait()
            try:
                yield from map(encode_directory, children_first(root, get))
            except Exception as error:
                failed.append(error)
                call.cancel()

        call = self._line.call("stream_unary", self._method("Put")).future(stream())
        begun.set()
        try:
            stored = answered(self._line.checked(call.result))
        except Exception:
            if failed:
                raise failed[0] from None
            raise
        finally:
            # Whoever is interrupted here leaves no half upload that goes on.
            call.cancel()
        if stored != root:
            raise DigestMismatch(f"{self._address} calls this directory {stored}", path=str(root))

    def expect(self, root: Digest) -> None:
        """See :class:`FarDirectories`."""
        size = 0
        # Whatever is wrong shows to who asks for that directory; there may be another store that has it.
        with suppress(CastoreError, InvalidNode):
            for directory in self.get_closure(root):
                size += sum(_LEAST + len(name) for name, _ in directory)
                if size > MOST:
                    break

    def get_closure(self, digest: Digest) -> Iterator[Directory]:
        order = RootFirst(digest)
        for data in self._answer(digest, recursive=True):
            directory = order.check(data)
            if directory is not None:
                self._kept.keep(Digest.of(data), data)
                yield directory
        order.end()

    @property
    def _address(self) -> str:
        return self._line.address.text

    def _method(self, name: str) -> str:
        return self._line.castore_method("DirectoryService", name)

    def _answer(self, digest: Digest, *, recursive: bool) -> Iterator[bytes]:
        """The messages of an answer; none for what is not there, however the server says it."""
        get = self._line.call("unary_stream", self._method("Get"))
        return self._messages(
            get(asking_for(digest, flag=recursive), timeout=None if recursive else self._line.patience)
        )

    def _messages(self, call: Answers) -> Iterator[bytes]:
        try:
            yield from call
        except self._line.rpc_error as error:
            if (fault := missing(error, self._address)) is not None:
                raise fault from None
        finally:
            call.cancel()
