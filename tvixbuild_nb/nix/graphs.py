"""exportReferencesGraph: closures told to a builder, as a file for each or inside the structured attributes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tvixbuild_nb.errors import InvalidDerivation, InvalidStorePath, NotFound
from tvixbuild_nb.nix.attributes import Attributes, text, words
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.storepath import StoreDir, StorePath
from tvixbuild_nb.request import FrozenMap

ATTRIBUTE = "exportReferencesGraph"
_FILE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class GraphPaths:
    """What graphs are made of: ``infos`` of every path in them; ``outputs`` of every derivation among these paths.

    ``inputs`` are the paths in the closure of the inputs: only of these may graphs be asked for.
    """

    inputs: frozenset[StorePath]
    infos: Mapping[StorePath, PathInfo]
    outputs: Mapping[StorePath, Sequence[StorePath]] = field(default_factory=FrozenMap)

    def closure(self, roots: Iterable[StorePath]) -> tuple[PathInfo, ...]:
        """``roots`` and what they refer to, sorted, without the outputs of derivations; :class:`NotFound` else."""
        found: dict[StorePath, PathInfo] = {}
        todo = list(roots)
        while todo:
            path = todo.pop()
            if path not in found:
                info = self.infos.get(path)
                if info is None:
                    raise NotFound("nothing is known of a path in an exported graph", path=str(path))
                found[path] = info
                todo.extend(info.references)
        return tuple(found[path] for path in sorted(found))

    def graph(self, roots: Iterable[StorePath]) -> tuple[PathInfo, ...]:
        """The closure of ``roots``, and of the outputs of all derivations in it."""
        roots = tuple(roots)
        for root in roots:
            if root not in self.inputs:
                raise InvalidDerivation(
                    f"not in the closure of the inputs, so nothing can be said of what it refers to: {root}",
                    path=ATTRIBUTE,
                )
        closed = self.closure(roots)
        made: list[StorePath] = []
        for info in closed:
            if info.path.is_derivation:
                if info.path not in self.outputs:
                    raise NotFound("a derivation in an exported graph; its outputs belong in, too", path=str(info.path))
                made += self.outputs[info.path]
        return self.closure([*(info.path for info in closed), *made])


def asked_graphs(attributes: Attributes) -> dict[str, tuple[StorePath, ...]]:
    """The roots of each graph that a derivation asks for, by the file's name or the attribute's."""
    store = attributes.derivation.store_dir
    if attributes.structured is None:
        return _files(text(attributes.derivation.env.get(ATTRIBUTE.encode(), b""), ATTRIBUTE), store)
    asked = attributes.structured.get(ATTRIBUTE)
    if not isinstance(asked, dict):
        return {}  # Nix, too, looks at objects only
    graphs: dict[str, tuple[StorePath, ...]] = {}
    for name, roots in asked.items():
        listed = roots if isinstance(roots, list) else [roots]
        if not all(isinstance(each, str) for each in listed):
            raise InvalidDerivation(f"the graph {name} is not of paths", path=ATTRIBUTE)
        graphs[name] = tuple(_asked_path(each, store) for each in listed)
    return graphs


def _asked_path(place: str, store: StoreDir) -> StorePath:
    try:
        return store.split(place)[0]
    except InvalidStorePath as error:
        raise InvalidDerivation(error.message, path=ATTRIBUTE) from error


def _files(value: str, store: StoreDir) -> dict[str, tuple[StorePath, ...]]:
    tokens = words(value)
    if len(tokens) % 2:
        raise InvalidDerivation(f"pairs of a file's name and a path are needed: {value!r}", path=ATTRIBUTE)
    graphs: dict[str, tuple[StorePath, ...]] = {}
    for name, place in zip(tokens[::2], tokens[1::2], strict=True):
        if not _FILE_NAME.fullmatch(name):
            raise InvalidDerivation(f"not a file's name: {name!r}", path=ATTRIBUTE)
        graphs[name] = (_asked_path(place, store),)
    return graphs


def graph_file(infos: Sequence[PathInfo], store: StoreDir) -> bytes:
    """The file of a graph: of every path itself, an empty line, the number of its references, and these."""
    lines: list[str] = []
    for info in infos:
        lines += [store.join(info.path), "", str(len(info.references)), *map(store.join, info.references)]
    return "".join(f"{line}\n" for line in lines).encode()


def graph_json(infos: Sequence[PathInfo], paths: GraphPaths, store: StoreDir) -> list[dict[str, Any]]:
    """The same for structured attributes, with the sizes in bytes of each path's NAR and of its closure's NARs."""
    return [
        {
            "path": store.join(info.path),
            "narHash": str(info.nar_hash),
            "narSize": info.nar_size,
            "references": list(map(store.join, info.references)),
            "closureSize": sum(each.nar_size for each in paths.closure([info.path])),
        }
        | ({} if info.ca is None else {"ca": info.ca})
        for info in infos
    ]
