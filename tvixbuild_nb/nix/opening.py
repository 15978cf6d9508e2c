"""A derivation that somebody points at, a file or its bytes, its inputs in a place with an address: what it takes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tvixbuild_nb.build import BuildPolicy, BuildService
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.nix.aterm import parse_aterm
from tvixbuild_nb.nix.building import BuilderOptions, Prepared, derivations_from, prepare
from tvixbuild_nb.nix.checkedbuild import CheckedBuilds, checked_service
from tvixbuild_nb.nix.closure import ClosurePlan, plan_closure
from tvixbuild_nb.nix.closurebuild import ClosureBuild
from tvixbuild_nb.nix.derivation import Derivation
from tvixbuild_nb.nix.fetchurl import service_for
from tvixbuild_nb.nix.modulo import ReadDerivation, derivation_path
from tvixbuild_nb.nix.reading import derivations_in, read_derivation
from tvixbuild_nb.nix.realise import Realiser
from tvixbuild_nb.nix.signing import PublicKey
from tvixbuild_nb.nix.sources import BuiltPaths, FirstOf, KnownPaths, PathSource, Remembering, open_path_source
from tvixbuild_nb.nix.storepath import NIX_STORE, StoreDir, StorePath


@dataclass(frozen=True, slots=True)
class Opened:
    """A derivation that can be built: where it lies in a store, its inputs' place, what was built here before."""

    derivation: Derivation
    castore: Castore
    source: PathSource
    built: BuiltPaths
    read: ReadDerivation
    options: BuilderOptions

    def prepare(self) -> Prepared:
        """The request that builds it, its inputs in ``castore``; raises what :func:`~.building.prepare` raises."""
        return prepare(self.derivation, self.source, self.castore, self.options, read=self.read)

    def service(self, service: BuildService) -> BuildService | None:
        """What builds it, where ``service`` cannot; None: it can."""
        return service_for(self.derivation, self.castore, service)

    def checked(self, service: BuildService, prepared: Prepared) -> CheckedBuilds:
        """What builds it by ``service``, its outputs checked as Nix checks them."""
        return checked_service(service, self.derivation, prepared.inputs, self.castore)

    def plan(self, *, itself: bool = False) -> ClosurePlan:
        """What is missing of its inputs and must be built first; see :func:`plan_closure`."""
        return plan_closure(
            derivation_path(self.derivation),
            self.derivation,
            self.read,
            lambda path: self.source.info(path) is not None,
            itself=itself,
            features=self.options.features,
        )

    def closure_build(
        self,
        plan: ClosurePlan,
        service: BuildService,
        *,
        jobs: int | None = None,
        policy: BuildPolicy | None = None,
        secrets: Iterable[str] = (),
    ) -> ClosureBuild:
        """The build of ``plan``, to be run: at most ``jobs`` at once (None: as many as there are CPUs).

        ``secrets``: names of variables whose values are shown of none of its runs.
        """
        steps = Realiser(
            service,
            self.castore,
            self.source,
            self.built,
            read=self.read,
            options=self.options,
            policy=policy,
            secrets=secrets,
        )
        return ClosureBuild(plan, steps.build, os.cpu_count() or 1 if jobs is None else jobs)


@contextmanager
def opened_derivation(
    derivation: str | os.PathLike[str] | bytes,
    castore: Castore,
    inputs: str | os.PathLike[str] | PathSource = "local",
    *,
    keys: Iterable[PublicKey | str] | None = None,
    options: BuilderOptions | None = None,
    store_dir: StoreDir = NIX_STORE,
) -> Iterator[Opened]:
    """A derivation and what it is built from, open during the block.

    Parameters: ``derivation``, the path of a .drv file or what is in one; ``inputs``, where they come from, as
    :func:`open_path_source` names places, with ``keys`` that a binary cache may sign with (None: as Nix's settings
    say). The derivations of its inputs are read from beside the file, or from there too. What came or was built before
    is remembered beside ``castore``. Raises what reading it and opening the place raise.
    """
    if isinstance(derivation, bytes):
        read, beside = parse_aterm(derivation, store_dir=store_dir), None
    else:
        read, beside = read_derivation(derivation, store_dir=store_dir), Path(derivation).parent
    with ExitStack() as stack:
        if isinstance(inputs, str | os.PathLike):
            inputs = stack.enter_context(open_path_source(os.fspath(inputs), keys=keys, store=store_dir))
        known = stack.enter_context(KnownPaths.beside(castore))
        built = BuiltPaths(castore, known, store_dir)
        source = FirstOf([Remembering(inputs, known), built])
        reads = _reads(source, castore, beside)
        yield Opened(read, castore, source, built, reads, options or BuilderOptions())


def _reads(source: PathSource, castore: Castore, beside: Path | None) -> ReadDerivation:
    """A function that reads derivations from ``beside`` where they are, and from ``source`` otherwise."""
    from_source = derivations_from(source, castore)
    if beside is None:
        return from_source
    from_here = derivations_in(beside, source.store)

    def read(path: StorePath) -> Derivation:
        return from_here(path) if (beside / path.basename).exists() else from_source(path)

    return read
