"""Where inputs come from: what every such place can do, and closures over it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from tvixbuild_nb.castore import Castore, Node
from tvixbuild_nb.errors import NotFound
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.storepath import StoreDir, StorePath

# What to say of what is not where it was looked for.
OTHER_PLACES = (
    "a place that has it: --from ADDRESS on the command line, inputs= in Python, as local?root=/DIR (a store in "
    "/DIR/nix/store), file:///CACHE, http://HOST"
)


class PathSource(Protocol):
    """A place that knows store paths and can put them into a castore. Safe for several threads.

    :class:`PathSourceError` from any method when the place itself is unreachable or damaged, :class:`Untrusted` for a
    path that nobody trusted has signed, where signatures are asked for.
    """

    @property
    def store(self) -> StoreDir:
        """The directory its paths are for."""
        ...

    @property
    def address(self) -> str:
        """What it is called in messages, and told from others by."""
        ...

    @property
    def parallel(self) -> int:
        """How many paths are worth asking for at once."""
        ...

    def info(self, path: StorePath) -> PathInfo | None:
        """What is known of ``path``; None when it is not there."""
        ...

    def node(self, path: StorePath, castore: Castore) -> Node:
        """Put ``path`` into ``castore`` and return its node; :class:`NotFound` when it is not there."""
        ...

    def witness(self, path: StorePath) -> str | None:
        """Something cheap to have that changes when :meth:`info` might.

        None where asking :meth:`info` is cheap anyway, or nothing is known of the path without it.
        """
        ...

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ClosingSource:
    """The context manager half of a PathSource."""

    def close(self) -> None:
        """Nothing to do unless somebody says so."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Fetched:
    """A store path that is in a castore now."""

    info: PathInfo
    node: Node


def closure(
    source: PathSource, roots: Iterable[StorePath], why: Mapping[StorePath, str] | None = None
) -> dict[StorePath, PathInfo]:
    """``roots`` and all they refer to, sorted by path; :class:`NotFound` names the way to what is missing.

    ``why`` says of roots, for that message, what they are.
    """
    found: dict[StorePath, PathInfo] = {}
    needed_by: dict[StorePath, StorePath | None] = dict.fromkeys(roots)
    with ThreadPoolExecutor(source.parallel, "nix-info") as pool:
        frontier = list(needed_by)
        while frontier:
            infos = pool.map(source.info, frontier) if source.parallel > 1 else map(source.info, frontier)
            following: list[StorePath] = []
            for path, info in zip(frontier, infos, strict=True):
                if info is None:
                    raise not_found(source, path, needed_by, why)
                found[path] = info
                for reference in info.references:
                    if reference not in needed_by:
                        needed_by[reference] = path
                        following.append(reference)
            frontier = following
    return dict(sorted(found.items()))


def fetch(source: PathSource, infos: Mapping[StorePath, PathInfo], castore: Castore) -> dict[StorePath, Fetched]:
    """Put all of ``infos``, as :func:`closure` returns them, into ``castore``, several at once where that helps."""
    if source.parallel == 1:
        return {path: Fetched(info, source.node(path, castore)) for path, info in infos.items()}
    with ThreadPoolExecutor(source.parallel, "nix-fetch") as pool:
        try:
            nodes = list(pool.map(lambda path: source.node(path, castore), infos))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {path: Fetched(info, node) for (path, info), node in zip(infos.items(), nodes, strict=True)}


def not_found(
    source: PathSource,
    path: StorePath,
    needed_by: Mapping[StorePath, StorePath | None] | None = None,
    why: Mapping[StorePath, str] | None = None,
) -> NotFound:
    """The error for a path that ``source`` does not have; the parameters are those of :func:`closure`."""
    way, root, parent = "", path, (needed_by or {}).get(path)
    while parent is not None:
        way += f", needed by {parent}"
        root, parent = parent, (needed_by or {}).get(parent)
    if why and root in why:
        way += f", {why[root]}"
    return NotFound(f"{source.address} does not have it{way}", path=source.store.join(path), hint=OTHER_PLACES)
