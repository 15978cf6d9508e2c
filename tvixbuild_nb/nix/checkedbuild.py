"""A build service for one derivation: its outputs are checked as Nix checks them, and its record names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tvixbuild_nb.build import BuildContext, BuildResult, BuildService
from tvixbuild_nb.castore import Castore, Digest
from tvixbuild_nb.nix.derivation import Derivation, Fixed
from tvixbuild_nb.nix.modulo import derivation_path
from tvixbuild_nb.nix.outputchecks import OutputChecks
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.storepath import StorePath, method_prefix
from tvixbuild_nb.request import BuildRequest


def checked_service(
    service: BuildService, derivation: Derivation, inputs: Mapping[StorePath, PathInfo], castore: Castore
) -> CheckedBuilds:
    """``service`` as it builds ``derivation``; ``inputs`` is what is known of the closure of its inputs."""
    return CheckedBuilds(service, derivation, OutputChecks(derivation, inputs, castore))


class CheckedBuilds:
    """Builds by ``inner``; what has the outputs of ``derivation`` is checked, anything else is built as it is.

    ``request``: what its builder runs as, None for whatever comes. Another one's outputs are checked, too, but they
    are not the derivation's, and no record names it as theirs.
    """

    def __init__(
        self, inner: BuildService, derivation: Derivation, checks: OutputChecks, request: BuildRequest | None = None
    ) -> None:
        self._inner = inner
        self._request = request
        self._derivation = derivation
        self._checks = checks
        paths = [output.path for output in derivation.outputs.values() if output.path is not None]
        self._outputs = {derivation.store_dir.join(path).lstrip("/") for path in paths}

    @property
    def address(self) -> str:
        return self._inner.address

    @property
    def castore(self) -> Castore:
        return self._inner.castore

    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        """See :class:`BuildService`."""
        if set(request.outputs) != self._outputs:
            return self._inner.do_build(request, context)
        origin = origin_of(self._derivation)
        if self._request is not None and request != self._request:
            del origin["deriver"]
        if origin:
            context.record.write_origin(origin)
        return self._inner.do_build(request, replace(context, check=self._checks))

    def over(self, inner: BuildService, request: BuildRequest) -> CheckedBuilds:
        """The same checks of what ``inner`` builds, ``request`` being the derivation's."""
        return CheckedBuilds(inner, self._derivation, self._checks, request)

    def checking(self, request: BuildRequest) -> Checking:
        """What makes another service check what it builds like this; ``request`` is the one of the derivation."""
        return Checking(derivation_path(self._derivation), request.digest, self, request)

    def close(self) -> None:
        self._inner.close()


@dataclass(frozen=True, slots=True)
class Checking:
    """Makes a build service check the outputs of a derivation; equal to that of the same derivation and request."""

    derivation: StorePath
    digest: Digest
    _builds: CheckedBuilds = field(repr=False, compare=False)
    _request: BuildRequest = field(repr=False, compare=False)

    def __call__(self, service: BuildService) -> CheckedBuilds:
        return self._builds.over(service, self._request)


def origin_of(derivation: Derivation) -> dict[str, str]:
    """What a narinfo says of outputs beyond their bytes: ``deriver``, and of a fixed one ``ca``."""
    origin = {"deriver": derivation_path(derivation).basename}
    for output in derivation.outputs.values():
        if isinstance(output, Fixed):
            kind = "text:" if output.method == "text" else f"fixed:{method_prefix(output.method)}"
            origin["ca"] = f"{kind}{output.hash}"
    return origin
