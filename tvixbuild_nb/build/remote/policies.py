"""How to build, as a message and back; and what of it a builder elsewhere is not told."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.build.service import BuildPolicy
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.oci import Limits, SpecOptions
from tvixbuild_nb.proto import watched_pb2

# A caller that is gone waits for nobody's end.
_LONGEST_GRACE = 30.0
_OWN = "the builder has its own"


def policy_message(policy: BuildPolicy) -> watched_pb2.BuildPolicy:
    """What of ``policy`` a builder that can be watched is told."""
    message = watched_pb2.BuildPolicy(
        timeout=policy.timeout,
        silent_timeout=policy.silent_timeout,
        grace=policy.grace,
        strict=policy.strict,
        observe=policy.observe,
        trace=policy.trace,
        listing=policy.listing,
        processors=policy.processors,
    )
    if policy.options is not None:
        message.hostname = policy.options.hostname
        if (limits := policy.options.limits) is not None:
            message.limits.CopyFrom(watched_pb2.BuildPolicy.Limits(**dict(limits)))
    return message


def policy_of(message: watched_pb2.BuildPolicy) -> BuildPolicy:
    """The policy that was told; bundles are never kept. :class:`InvalidValue` for what is none.

    Only what cannot weaken a sandbox travels: of the options hostname and limits.
    """

    def told(name: str) -> bool:
        return message.HasField(name)

    changes: dict[str, Any] = {}
    if told("hostname"):
        changes["hostname"] = message.hostname
    if told("limits"):
        names = ("memory", "pids", "cpu")
        changes["limits"] = Limits(
            **{name: getattr(message.limits, name) for name in names if message.limits.HasField(name)}
        )
    listing = message.listing or "sorted"
    if listing not in ("sorted", "backwards"):
        raise InvalidValue(f"{listing!r} is not one of sorted, backwards", path="listing")
    return BuildPolicy(
        timeout=message.timeout if told("timeout") else None,
        silent_timeout=message.silent_timeout if told("silent_timeout") else None,
        grace=min(message.grace, _LONGEST_GRACE) if told("grace") else BuildPolicy().grace,
        keep="never",
        strict=message.strict,
        observe=message.observe,
        trace=message.trace,
        listing="backwards" if listing == "backwards" else "sorted",
        processors=message.processors if told("processors") else None,
        options=SpecOptions.for_host(**changes) if changes else None,
    )


def not_told(policy: BuildPolicy, *, watched: bool) -> tuple[str, ...]:
    """What of ``policy`` the builder does not hear of, a sentence each."""
    lacking = []
    if policy.options is not None:
        plain, told = SpecOptions.for_host(), ("hostname", "limits") if watched else ()
        others = [
            name
            for name in SpecOptions.model_fields
            if name not in told and getattr(policy.options, name) != getattr(plain, name)
        ]
        if others:
            lacking.append(f"options ({', '.join(others)}): {_OWN}")
    if policy.keep == "always":
        lacking.append("keep: a builder elsewhere keeps no bundles")
    if policy.inputs != "auto":
        lacking.append(f"inputs={policy.inputs!r}: {_OWN} way")
    if watched and (policy.room is not None or policy.listing != "sorted"):
        lacking.append("listing: scratch directories stay on the builder's file system")
    if not watched:
        lacking += [
            f"{name}: this builder only tells how a build ended"
            for name, asked in (
                ("silent_timeout", policy.silent_timeout is not None),
                ("observe", policy.observe),
                ("listing", policy.listing != "sorted"),
                ("processors", policy.processors is not None),
            )
            if asked
        ]
    return tuple(lacking)
