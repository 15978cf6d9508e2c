"""A build by Tvix's or Snix's own method: one question, one answer at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from tvixbuild_nb.build.events import FailedAt
from tvixbuild_nb.build.remote.answers import outputs_of
from tvixbuild_nb.build.result import BuildOutput
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.build.verdict import Ended, Verdict
from tvixbuild_nb.castore.remote.connection import Connection
from tvixbuild_nb.castore.remote.faults import error_of, is_code
from tvixbuild_nb.errors import InvalidNode
from tvixbuild_nb.request import BuildRequest

if TYPE_CHECKING:
    import grpc

# Codes of a builder that did not come to build.
_SET_UP = frozenset(
    {"UNAVAILABLE", "UNIMPLEMENTED", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "PERMISSION_DENIED",
     "UNAUTHENTICATED", "RESOURCE_EXHAUSTED"}
)  # fmt: skip


def answer_of(connection: Connection, request: BuildRequest, context: BuildContext) -> tuple[BuildOutput, ...]:
    """The outputs of ``request`` as the builder answers; :class:`Ended` when there are none.

    Cancelling ends the call, and so does the policy's time limit, which then holds for waiting and building; what the
    builder does with the build after that is its own.
    """
    namespaces = connection.build_namespaces()
    if not namespaces:
        message = f"there is no build service at {connection.address.text}"
        raise Ended(Verdict("failed", "setup", message=message, hint="stores and builders may have two addresses"))
    for namespace in namespaces:
        try:
            answer = _asked(connection, f"/{namespace}.build.v1.BuildService/DoBuild", request, context)
        except connection.rpc_error as error:
            if is_code(error, "UNIMPLEMENTED") and namespace != namespaces[-1]:
                continue
            raise Ended(verdict_of(error, connection, context)) from None
        try:
            return outputs_of(namespace, answer, request)
        except (InvalidNode, DecodeError) as error:
            message = f"the builder's answer cannot be read: {error}"
            raise Ended(Verdict("failed", "setup", message=message)) from None
    raise AssertionError("unreachable")


def _asked(connection: Connection, method: str, request: BuildRequest, context: BuildContext) -> bytes:
    import grpc

    call = connection.call("unary_unary", method).future(request.to_bytes(), timeout=context.policy.timeout)
    with context.cancel.heard_by(call.cancel):
        try:
            answer: bytes = call.result()
        except grpc.FutureCancelledError:
            raise Ended(Verdict("cancelled", message="the build was cancelled")) from None
    return answer


def verdict_of(error: grpc.RpcError, connection: Connection, context: BuildContext) -> Verdict:
    """How a build ended whose call failed after it was accepted."""
    if context.cancel.asked:
        return Verdict("cancelled", message="the build was cancelled")
    meant = error_of(error, connection.address.text, store=False)
    if is_code(error, "DEADLINE_EXCEEDED") and context.policy.timeout is not None:
        # Nobody but the builder knows when the command began.
        text = f"the builder did not answer within {context.policy.timeout:g} s, in which it may also have been waiting"
        return Verdict("timed-out", message=text, hint="waiting for other builds counts, too: allow more")
    if is_code(error, "CANCELLED"):
        return Verdict("cancelled", message=f"the builder cancelled it: {meant.message}")
    if is_code(error, "UNAVAILABLE"):
        text = f"the builder at {connection.address.text} cannot be reached any more: {meant.message}"
        return Verdict("failed", "setup", message=text, hint="run it again when it is back", killed=True)
    failed_at: FailedAt = "build"
    if any(is_code(error, code) for code in _SET_UP):
        failed_at = "setup"
    return Verdict("failed", failed_at, message=meant.message, hint=meant.hint)
