"""What Nix would register of a build's outputs: their references, and the hash and size of their NARs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from posixpath import basename

from tvixbuild_nb.build.result import BuildOutput
from tvixbuild_nb.errors import InvalidStorePath
from tvixbuild_nb.nix.nar import NarSum
from tvixbuild_nb.nix.narinfo import NarInfo
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.storepath import StorePath
from tvixbuild_nb.request import BuildRequest, FrozenMap


def references_of(request: BuildRequest, output: BuildOutput) -> tuple[StorePath, ...]:
    """The outputs and inputs of ``request`` whose hash part was found in ``output``, sorted; perhaps itself too.

    What is no store path (an input called ``src``) is no reference, and neither is a needle that belongs to none.
    """
    found = {request.refscan_needles[index] for index in output.needles}
    return tuple(sorted(path for path in _store_paths(request) if path.hash_part in found))


def _store_paths(request: BuildRequest) -> Iterable[StorePath]:
    for name in {*map(basename, request.outputs), *request.inputs}:
        with suppress(InvalidStorePath):
            yield StorePath.parse(name)


def narinfo_of(
    request: BuildRequest, output: BuildOutput, total: NarSum, origin: Mapping[str, str] = FrozenMap()
) -> NarInfo:
    """The narinfo of an output as it would stand in a binary cache that does not compress, not signed.

    ``total`` is of the output's NAR, ``origin`` what the run's record says of deriver and ca.
    :class:`InvalidStorePath` for an output that is not called as a store path is.
    """
    path = StorePath.parse(basename(output.path))
    deriver = StorePath.parse(origin["deriver"]) if "deriver" in origin else None
    references = references_of(request, output)
    info = PathInfo(path, total.hash, total.size, references, deriver=deriver, ca=origin.get("ca"))
    return NarInfo(info, f"nar/{total.hash.nixbase32}.nar", file_hash=total.hash, file_size=total.size)
