"""What of many builds is asked for: each build once, and which of the requests it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tvixbuild_nb.build import BuildService
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.errors import InvalidRequest, InvalidValue
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox.secrets import check_secrets

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.sandbox import Sandbox

Asked: TypeAlias = "BuildRequest | Sandbox"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One build: its request, how it is rendered (None: what its host needs), and whose values nobody is to see.

    ``numbers``: the positions of the requests that ask for it. ``checked`` makes a service check its outputs.
    """

    numbers: tuple[int, ...]
    request: BuildRequest
    options: SpecOptions | None = None
    secrets: tuple[str, ...] = ()
    checked: Callable[[BuildService], BuildService] | None = None


def wanted(asked: Iterable[Asked], castore: Castore) -> tuple[Wanted, ...]:
    """Each build that ``asked`` holds once, in order: what is the same request to be rendered the same way is one.

    :class:`InvalidValue` names the position of what is neither request nor sandbox, or has another store.
    """
    found: dict[tuple[object, ...], Wanted] = {}
    for number, each in enumerate(asked):
        one = _wanted(number, each, castore)
        # The outputs of two derivations are checked differently, even if the requests are the same.
        key = (one.request.digest, one.options, one.secrets, one.checked)
        before = found.get(key)
        numbers = (number,) if before is None else (*before.numbers, number)
        found[key] = Wanted(numbers, one.request, one.options, one.secrets, one.checked)
    return tuple(found.values())


def _wanted(number: int, asked: Asked, castore: Castore) -> Wanted:
    from tvixbuild_nb.sandbox.sandbox import Sandbox  # whose map() stands on this module

    if isinstance(asked, BuildRequest):
        return Wanted((number,), asked)
    if not isinstance(asked, Sandbox):
        raise InvalidValue(
            f"a build is a BuildRequest or a Sandbox, not {type(asked).__name__}", path="requests", index=number,
            hint="sb.request is one; several are a list",
        )  # fmt: skip
    if asked.inputs and asked.store.address != castore.address:
        raise InvalidValue(
            f"its inputs are in the store {asked.store.address}, and these builds have {castore.address}",
            path="requests", index=number, hint="one store for all: build_many(..., store=sb.store)",
        )  # fmt: skip
    try:
        request = asked.request
    except InvalidRequest as error:
        raise InvalidRequest(
            error.message, path=f"requests[{number}].{error.path}", index=error.index, hint=error.hint
        ) from None
    check_secrets(request.environment_vars, asked.secrets)
    return Wanted((number,), request, asked.options, asked.secrets, asked.checks)
