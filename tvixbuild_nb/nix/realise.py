"""Building one derivation of a closure: a recorded run whose outputs are known paths from then on."""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import basename

from tvixbuild_nb.build import BuildContext, BuildPolicy, BuildResult, BuildService, CancelToken, RunRecord, StageHeard
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.nix.building import BuilderOptions, prepare
from tvixbuild_nb.nix.checkedbuild import checked_service
from tvixbuild_nb.nix.closure import ClosureStep
from tvixbuild_nb.nix.fetchurl import service_for
from tvixbuild_nb.nix.modulo import ReadDerivation
from tvixbuild_nb.nix.nar import sum_of_node
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.produced import references_of
from tvixbuild_nb.nix.sources.built import BuiltPaths
from tvixbuild_nb.nix.sources.protocol import PathSource
from tvixbuild_nb.nix.storepath import StorePath


class Realiser:
    """Builds steps with ``service``, their inputs from ``source``, and notes the outputs in ``built``.

    Parameters: ``source`` has what ``built`` has, too; ``castore`` is the service's; ``secrets``, names of variables
    whose values nobody is to see, where a step has them. Safe for several threads.
    """

    def __init__(
        self,
        service: BuildService,
        castore: Castore,
        source: PathSource,
        built: BuiltPaths,
        *,
        read: ReadDerivation | None = None,
        options: BuilderOptions | None = None,
        policy: BuildPolicy | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        self._service = service
        self._castore = castore
        self._source = source
        self._built = built
        self._read = read
        self._options = options
        self._policy = policy or BuildPolicy()
        self._secrets = tuple(secrets)

    def build(self, step: ClosureStep, cancel: CancelToken, heard: StageHeard) -> BuildResult:
        """Build it and wait for the end; raises what :func:`prepare` and the service refuse it with."""
        prepared = prepare(step.derivation, self._source, self._castore, self._options, read=self._read)
        request = prepared.request
        service = service_for(step.derivation, self._castore, self._service) or checked_service(
            self._service, step.derivation, prepared.inputs, self._castore
        )
        record = RunRecord.create()
        secrets = [name for name in self._secrets if name in request.environment_vars]
        if secrets:
            record.write_secrets(secrets)
        context = BuildContext(record, self._policy, cancel, heard=heard)
        try:
            with record.held():
                result = service.do_build(request, context)
        except BaseException:
            if not context.accepted.is_set():
                record.delete()
            raise
        for output in result.outputs:
            total = sum_of_node(self._castore, output.node)
            references = references_of(request, output)
            path = StorePath.parse(basename(output.path))
            self._built.add(PathInfo(path, total.hash, total.size, references, deriver=step.path), output.node)
        return result
