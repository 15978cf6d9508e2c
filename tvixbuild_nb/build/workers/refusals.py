"""A build whose refusal is a result: where many are built, one that cannot be must not take the others with it."""

from __future__ import annotations

import time

from tvixbuild_nb.build.events import FailedAt, Status
from tvixbuild_nb.build.result import BuildResult, Usage
from tvixbuild_nb.build.service import BuildContext, BuildService
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.request import BuildRequest


class RefusalsAsResults:
    """``service``, but what it refuses to start fails at setup, with the reason: recorded as any other result."""

    def __init__(self, service: BuildService) -> None:
        self._service = service

    @property
    def address(self) -> str:
        return self._service.address

    @property
    def castore(self) -> Castore:
        return self._service.castore

    def close(self) -> None:
        self._service.close()

    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        """See :class:`BuildService`; it raises nothing that the service does on purpose."""
        started = time.time()
        refusable = BuildContext(
            context.record, context.policy, context.cancel, context.timings, check=context.check, heard=context.heard,
            sent=context.sent,
        )  # fmt: skip
        # Whoever waits for the run need not wait for a turn as well.
        context.take_down(request)
        context.accept()
        if context.cancel.asked:
            return context.end(
                result_without_build(self, request, context, started, "cancelled", "cancelled before it began")
            )
        try:
            return self._service.do_build(request, refusable)
        except TvixBuildError as error:
            if refusable.accepted.is_set():
                raise
            words = error.message if error.where is None else f"{error.where}: {error.message}"
            return context.end(
                result_without_build(
                    self, request, context, started, "failed", words, failed_at="setup", hint=error.hint
                )
            )


def result_without_build(
    service: BuildService,
    request: BuildRequest,
    context: BuildContext,
    started: float,
    status: Status,
    message: str,
    *,
    failed_at: FailedAt | None = None,
    hint: str | None = None,
    worker: str | None = None,
    degraded: tuple[str, ...] = (),
) -> BuildResult:
    """The result of what never ran, or of whose run nobody can tell more than ``message``."""
    return BuildResult(
        id=context.record.id,
        request_digest=request.digest,
        service=service.address,
        status=status,
        failed_at=failed_at,
        message=message,
        hint=hint,
        store=service.castore.address,
        started=started,
        finished=time.time(),
        timings=dict(context.timings),
        usage=Usage(source="nobody measured it"),
        degraded=degraded,
        log_size=context.log_size,
        worker=worker,
    )
