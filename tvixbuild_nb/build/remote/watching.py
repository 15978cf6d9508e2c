"""Watching: a build elsewhere that tells what happens; events become this run's, as if it were built here."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, get_args

from google.protobuf.message import DecodeError

from tvixbuild_nb.build.events import StageEvent, Stream
from tvixbuild_nb.build.remote.answers import result_of
from tvixbuild_nb.build.remote.plain import verdict_of
from tvixbuild_nb.build.remote.policies import policy_message
from tvixbuild_nb.build.remote.taken import TakenDown
from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.build.verdict import Ended, Verdict
from tvixbuild_nb.castore.remote.connection import WATCHED, Answers, Connection
from tvixbuild_nb.castore.remote.faults import error_of
from tvixbuild_nb.errors import Cancelled, InvalidValue
from tvixbuild_nb.keeper.log import STREAMS, LogWriter
from tvixbuild_nb.proto import watched_pb2
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.request.wire import to_message

if TYPE_CHECKING:
    import grpc

_STREAMS = get_args(Stream)


class Watching:
    """One call of our own build service; a context manager, after which the log is complete.

    ``faults`` is what could not be taken down of it, a sentence each.
    """

    def __init__(self, connection: Connection, request: BuildRequest, context: BuildContext) -> None:
        self._connection = connection
        self._request = request
        self._context = context
        self._taken = TakenDown(context.record.path)
        self._log = LogWriter(str(context.record.log_path), str(context.record.index_path))
        self._found: watched_pb2.Result | None = None
        self._accepted = False
        self.faults: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()

    def result(self, **ours: Any) -> BuildResult:
        """Build, and wait for the end; :class:`Ended` when the builder could not tell it.

        Raises what the builder refuses before it accepts, and :class:`Cancelled` when cancelled before.
        """
        message = watched_pb2.WatchedBuildRequest(
            build_request=to_message(self._request), policy=policy_message(self._context.policy)
        )
        call = self._connection.call("unary_stream", f"/{WATCHED}/DoBuild")(message.SerializeToString())
        with self._context.cancel.heard_by(call.cancel):
            try:
                found = self._follow(call)
            except self._connection.rpc_error as error:
                self._store()
                raise self._broken(error) from None
            except (ValueError, DecodeError) as error:
                call.cancel()
                self._store()
                text = f"what the builder tells cannot be understood: {error}"
                raise Ended(Verdict("failed", "setup", message=text)) from None
        self._store()
        return self._told(found, ours)

    def _follow(self, call: Answers) -> watched_pb2.Result:
        """The result, when the builder has tidied up, which is when it ends the call."""
        try:
            for data in call:
                self._take(watched_pb2.BuildEvent.FromString(data))
        except self._connection.rpc_error:
            # When all was told it does no harm that the line breaks.
            if self._found is None:
                raise
        if self._found is None:
            raise InvalidValue("it ended without a result", path="result")
        return self._found

    def _take(self, event: watched_pb2.BuildEvent) -> None:
        match event.WhichOneof("event"):
            case "accepted":
                self._accepted = True
                self._context.accept()
            case "stage":
                self._stage(event.stage)
            case "log":
                self._chunk(event.log)
            case "file":
                self._taken.add(event.file.name, event.file.data)
            case "result":
                self._found = event.result

    def _stage(self, told: watched_pb2.Stage) -> None:
        event = StageEvent.model_validate(
            {
                "time": told.time,
                "stage": told.stage,
                "state": told.state,
                "log_offset": self._log.size,
                "detail": told.detail if told.HasField("detail") else None,
            }
        )
        # The request's stage is ours: here it was taken, and brought there with its inputs.
        if event.stage != "request":
            self._context.retell(event)

    def _chunk(self, told: watched_pb2.LogChunk) -> None:
        if told.stream not in _STREAMS:
            raise InvalidValue(f"{told.stream!r} is no stream of a log", path="log")
        self._log.write(STREAMS.index(told.stream), told.data, told.time)
        self._context.log_size = self._log.size

    def _store(self) -> None:
        self.faults = self._taken.store()
        if self._log.lost:
            self.faults += (f"{self._log.lost} bytes of the log: {self._log.error}",)

    def _broken(self, error: grpc.RpcError) -> Exception:
        if self._accepted:
            return Ended(verdict_of(error, self._connection, self._context))
        if self._context.cancel.asked:
            return Cancelled("the build was cancelled")
        return error_of(error, self._connection.address.text, store=False)

    def _told(self, found: watched_pb2.Result, ours: dict[str, Any]) -> BuildResult:
        try:
            result = result_of(found, self._request, **{**ours, "log_size": self._log.size})
        except ValueError as error:
            text = f"what the builder tells of the end cannot be understood: {error}"
            raise Ended(Verdict("failed", "setup", message=text)) from None
        return result.model_copy(update={"degraded": (*result.degraded, *self.faults)})
