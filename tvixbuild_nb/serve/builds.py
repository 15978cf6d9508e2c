"""The build services of a server: Tvix's, Snix's, and ours that can be watched; who goes away ends the own build."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from tvixbuild_nb.build import BuildPolicy, BuildResult, BuildService
from tvixbuild_nb.build.remote.answers import snix_answer, tvix_answer
from tvixbuild_nb.build.remote.policies import policy_of
from tvixbuild_nb.build.turns import Turns
from tvixbuild_nb.errors import BuildFailed, Cancelled, HostRefused, InvalidRequest, RemoteError
from tvixbuild_nb.proto import watched_pb2
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.serve.servedbuild import ServedBuild
from tvixbuild_nb.serve.whole import WholeInputs

if TYPE_CHECKING:
    import grpc

# Lines of a failed build's log in the answer of a method that has no log.
_LINES = 20
_LOG = logging.getLogger(__name__)


class BuildHandlers:
    """Builds by ``service``, at most ``most`` calls at a time (those that build and those that wait for their turn).

    ``runs`` is where runs are recorded as long as they go on; ``turns`` those of a service that takes none itself;
    ``paths`` are the host's paths that builds may ask for.
    """

    def __init__(
        self,
        service: BuildService,
        runs: Path,
        *,
        most: int,
        turns: Turns | None = None,
        paths: frozenset[str] = frozenset(),
    ) -> None:
        self._service = service
        self._runs = runs
        self._most = most
        self._turns = turns
        self._paths = paths
        self._lock = threading.Lock()
        self._running: set[ServedBuild] = set()
        self._closing = False
        self._inputs = WholeInputs(service.castore)

    def tvix(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        """tvix.build.v1: the Build with the request in it."""
        return tvix_answer(data, self._build(data, call).outputs)

    def snix(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        """snix.build.v1: the outputs, without names."""
        return snix_answer(self._build(data, call).outputs)

    def watched(self, data: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
        """Ours: what happens, as it happens; a build that fails is an answer."""
        try:
            asked = watched_pb2.WatchedBuildRequest.FromString(data)
        except DecodeError as error:
            raise InvalidRequest(f"not a WatchedBuildRequest: {error}", path="bytes") from None
        request = BuildRequest.from_bytes(asked.build_request.SerializeToString(deterministic=True))
        with self._started(request, policy_of(asked.policy), call) as build:
            for event in build.events():
                yield event.SerializeToString()

    def close(self) -> None:
        """Take no more; builds that go on are cancelled, and over when this returns."""
        with self._lock:
            self._closing = True
            running = list(self._running)
        for build in running:
            build.stop()
        for build in running:
            build.join()

    def _build(self, data: bytes, call: grpc.ServicerContext) -> BuildResult:
        request = BuildRequest.from_bytes(data)
        with self._started(request, BuildPolicy(keep="never"), call) as build:
            result = build.result()
            if result.status == "cancelled":
                raise Cancelled(result.message or "the build was cancelled")
            if not result.ok:
                log = "".join(f"\n  | {line}" for line in build.last_lines(_LINES))
                raise BuildFailed(f"{result.verdict()}{log}", hint=result.hint)
            return result

    @contextmanager
    def _started(self, request: BuildRequest, policy: BuildPolicy, call: grpc.ServicerContext) -> Iterator[ServedBuild]:
        """A build that was accepted; it is over, and nothing of it is left, at the end of the block."""
        self._check_paths(request)
        build = ServedBuild(self._service, request, policy, self._runs, self._turns)
        self._admit(build)
        try:
            # Called at once when the caller is gone already.
            if not call.add_callback(build.token.cancel):
                build.token.cancel()
            self._inputs.check(request, build.token)
            _LOG.info("build %s begins, for %s", build.name, call.peer())
            build.start()
            yield build
        finally:
            try:
                self._end(build)
                _LOG.info("build %s: %s", build.name, build.outcome)
            finally:
                with self._lock:
                    self._running.discard(build)

    def _end(self, build: ServedBuild) -> None:
        if not build.succeeded:
            self._inputs.forget(build.request)
        build.close()

    def _admit(self, build: ServedBuild) -> None:
        with self._lock:
            if self._closing:
                raise RemoteError("the server is being stopped", code="UNAVAILABLE")
            if sum(not other.over for other in self._running) >= self._most:
                raise RemoteError(
                    f"{self._most} builds run or wait here, and no more are taken", code="RESOURCE_EXHAUSTED",
                    hint="try again when some of them are over, or have the server started with a larger --max-builds",
                )  # fmt: skip
            self._running.add(build)

    def _check_paths(self, request: BuildRequest) -> None:
        """Refuse what asks for files of this machine."""
        constraints = request.constraints
        for index, path in enumerate(() if constraints is None else constraints.available_ro_paths):
            if path not in self._paths:
                raise HostRefused(
                    f"builds here may not read the host's {path}", path="constraints.available_ro_paths",
                    index=index, hint=f"give it as an input, or have the server started with --allow-ro-path {path}",
                )  # fmt: skip
