"""builtin:fetchurl, the builder that is a part of Nix: a download with this host's network, and no container."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from tvixbuild_nb.build import BuildContext, BuildOutput, BuildResult, BuildService, ReplayBuildService, Usage
from tvixbuild_nb.build.events import FailedAt, Status
from tvixbuild_nb.build.recorded import RunHost
from tvixbuild_nb.castore import Castore, FileNode, Node
from tvixbuild_nb.errors import Cancelled, InvalidDerivation, TvixBuildError
from tvixbuild_nb.keeper.log import STREAMS, LogWriter
from tvixbuild_nb.nix.attributes import text
from tvixbuild_nb.nix.derivation import Derivation, Fixed
from tvixbuild_nb.nix.fixedoutput import check_fixed
from tvixbuild_nb.nix.modulo import derivation_path
from tvixbuild_nb.nix.nar import ingest_nar
from tvixbuild_nb.nix.sources.compression import decompressed
from tvixbuild_nb.nix.sources.readahead import ReadAhead
from tvixbuild_nb.nix.sources.transport import FileTransport, HttpTransport
from tvixbuild_nb.request import BuildRequest

BUILDER = b"builtin:fetchurl"


class Fetchurl:
    """The build service of one derivation whose builder is ``builtin:fetchurl``; its output goes to ``castore``.

    ``url`` is fetched (http, https, file), with ``unpack`` taken apart as a NAR, xz-compressed when it is called so,
    with ``executable`` made executable; then its hash is checked. A user and password in the URL are sent, and shown
    nowhere. :class:`InvalidDerivation` when there is no URL, or none of a known kind.
    """

    def __init__(self, derivation: Derivation, castore: Castore) -> None:
        [output] = derivation.outputs.values()
        if derivation.builder != BUILDER or not isinstance(output, Fixed):
            raise InvalidDerivation("builtin:fetchurl gives one fixed output", path="builder")
        self._output = output
        self._derivation = derivation
        self._castore = castore
        self._url = _checked(text(derivation.env.get(b"url", b""), "url"))
        # Neither who asks nor what the query tells the server belongs into a log.
        self.shown_url = urlunsplit(self._url._replace(netloc=_without_user(self._url), query="", fragment=""))

    @property
    def address(self) -> str:
        return BUILDER.decode()

    @property
    def castore(self) -> Castore:
        return self._castore

    def close(self) -> None:
        """Nothing is held."""

    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        """See :class:`BuildService`; the request is recorded, what counts is the derivation."""
        started = time.time()
        context.take_down(request)
        context.record.write_host(RunHost.here())
        context.accept()
        log = LogWriter(str(context.record.log_path), str(context.record.index_path))
        outputs: tuple[BuildOutput, ...] = ()
        status: Status = "succeeded"
        failed_at: FailedAt | None = None
        message, hint = None, None
        try:
            log.write(STREAMS.index("stderr"), f"fetching {self.shown_url}\n".encode(), started)
            failed_at = "build"
            with context.stage("run"):
                node = self._fetch(context)
            failed_at = "output"
            outputs = (BuildOutput(path=request.outputs[0], node=node),)
            with context.stage("ingest"):
                place = self._derivation.store_dir.join(derivation_path(self._derivation))
                check_fixed(self._output, node, self._castore, place)
            failed_at = None
        except Cancelled as cancelled:
            status, failed_at, message = "cancelled", None, cancelled.message
        except TvixBuildError as error:
            status, message, hint = "failed", self._harmless(error.message), error.hint
            log.write(STREAMS.index("stderr"), f"error: {message}\n".encode(), time.time())
        finally:
            log.close()
        context.log_size = log.size
        finished = time.time()
        result = BuildResult(
            id=context.record.id,
            request_digest=request.digest,
            service=self.address,
            status=status,
            failed_at=failed_at,
            message=message,
            hint=hint,
            outputs=outputs if status == "succeeded" else (),
            rejected=outputs if failed_at == "output" else (),
            store=self._castore.address,
            started=started,
            finished=finished,
            timings=dict(context.timings),
            usage=Usage(wall=finished - started, source="a download, which runs no process"),
            log_size=log.size,
        )
        return context.end(result)

    def _fetch(self, context: BuildContext) -> Node:
        env = self._derivation.env
        unpack, executable = env.get(b"unpack") == b"1", env.get(b"executable") == b"1"
        with self._stream() as pieces:
            if pieces is None:
                raise InvalidDerivation(f"it is not there: {self.shown_url}")
            heard = _cancellable(pieces, context)
            if not unpack:
                return self._file(heard, executable)
            compression = "xz" if self._url.path.endswith(".xz") else "none"
            with ReadAhead(decompressed(heard, compression, path=self.shown_url)) as stream:
                node = ingest_nar(self._castore, stream, path=self.shown_url).node
        return FileNode(node.digest, node.size, True) if executable and isinstance(node, FileNode) else node

    def _file(self, pieces: Iterator[bytes], executable: bool) -> Node:
        size = 0
        with self._castore.batch() as batch:
            with batch.open_write() as writer:
                for piece in pieces:
                    size += len(piece)
                    writer.lend(piece)
                digest = writer.close()
            node = FileNode(digest, size, executable)
            batch.commit(node)
        return node

    @contextmanager
    def _stream(self) -> Iterator[Iterator[bytes] | None]:
        transport: FileTransport | HttpTransport
        if self._url.scheme == "file":
            transport, name = FileTransport(Path("/")), unquote(self._url.path).lstrip("/")
        else:
            name = urlunsplit(self._url._replace(netloc=_without_user(self._url), fragment=""))
            transport = HttpTransport(name, headers=_authorization(self._url))
        with closing(transport), transport.stream(name) as pieces:
            yield pieces

    def _harmless(self, message: str) -> str:
        if self._url.query:
            message = message.replace(f"?{self._url.query}", "")
        return message.replace(self._url.netloc, _without_user(self._url)) if self._url.netloc else message


def service_for(derivation: Derivation, castore: Castore, service: BuildService) -> Fetchurl | None:
    """What builds a derivation that no sandbox can; None for every other, and where ``service`` shows records."""
    if derivation.builder != BUILDER or isinstance(service, ReplayBuildService):
        return None
    return Fetchurl(derivation, castore)


def _checked(url: str) -> SplitResult:
    if not url:
        raise InvalidDerivation("builtin:fetchurl needs the attribute url", path="url")
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError as error:
        raise InvalidDerivation("builtin:fetchurl does not understand this url", path="url") from error
    if not known and not (parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")):
        raise InvalidDerivation(
            f"builtin:fetchurl does not fetch {parts.scheme or 'this'}: URLs here", path="url", hint="http, https, file"
        )
    return parts


def _without_user(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


def _authorization(url: SplitResult) -> dict[str, str]:
    user = url.netloc.rpartition("@")[0]
    if not user:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(unquote(user).encode()).decode()}"}


def _cancellable(pieces: Iterator[bytes], context: BuildContext) -> Iterator[bytes]:
    for piece in pieces:
        context.cancel.check()
        yield piece
