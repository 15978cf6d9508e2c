"""What has to be built before a derivation can be: planned from what is there, nothing is built or fetched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from tvixbuild_nb.errors import InvalidDerivation, NotFound, UnsupportedDerivation
from tvixbuild_nb.nix.derivation import Derivation
from tvixbuild_nb.nix.modulo import ReadDerivation
from tvixbuild_nb.nix.refusals import FEATURES, check_supported
from tvixbuild_nb.nix.sources.protocol import OTHER_PLACES
from tvixbuild_nb.nix.storepath import StorePath


@dataclass(frozen=True, slots=True)
class ClosureStep:
    """A derivation to be built, and those of the plan that it ``needs``, sorted."""

    path: StorePath
    derivation: Derivation
    needs: tuple[StorePath, ...] = ()


@dataclass(frozen=True, slots=True)
class ClosurePlan:
    """What to build for ``target``: ``steps``, each after those it needs; ``there``, derivations whose outputs exist.

    ``first`` are the derivations that ``target`` itself waits for.
    """

    target: StorePath
    steps: Mapping[StorePath, ClosureStep]
    there: tuple[StorePath, ...] = ()
    first: tuple[StorePath, ...] = ()

    def way_to(self, path: StorePath) -> tuple[StorePath, ...]:
        """A shortest way from the target to ``path``, each step needing the next; both ends are in it."""
        came: dict[StorePath, StorePath | None] = {self.target: None}
        frontier = [self.target]
        while path not in came and frontier:
            following: list[StorePath] = []
            for each in frontier:
                for needed in self.needs_of(each):
                    if needed not in came:
                        came[needed] = each
                        following.append(needed)
            frontier = following
        way: list[StorePath] = []
        at: StorePath | None = path
        while at is not None:
            way.append(at)
            at = came.get(at)
        return tuple(reversed(way))

    def needs_of(self, path: StorePath) -> tuple[StorePath, ...]:
        """The steps that ``path`` waits for."""
        return self.first if path == self.target else self.steps[path].needs

    def describe(self) -> str:
        """One line for each step, in an order in which they can be built."""
        if not self.steps:
            return f"{self.target}: nothing has to be built"
        count = f"{len(self.steps)} to be built, {len(self.there)} there already"
        lines = [f"{self.target}: {count}"]
        for step in self.steps.values():
            after = f"  after {', '.join(map(str, step.needs))}" if step.needs else ""
            lines.append(f"  {step.path}{after}")
        return "\n".join(lines)


def plan_closure(
    target: StorePath,
    derivation: Derivation,
    read: ReadDerivation,
    has: Callable[[StorePath], bool],
    *,
    itself: bool = False,
    features: Collection[str] = FEATURES,
) -> ClosurePlan:
    """What is missing of the inputs of ``derivation`` and must be built, and it itself too when ``itself`` says so.

    Parameters: ``read`` reads the derivations of inputs, ``has`` tells whether a store path is there. Refused before
    anything is built, with the way to it: :class:`UnsupportedDerivation` for what is not done here, :class:`NotFound`
    for a source that is not there, :class:`InvalidDerivation` for a derivation that needs itself.
    """
    return _Planner(read, has, features).plan(target, derivation, itself)


def way_text(way: Collection[StorePath]) -> str:
    """``a.drv, which needs b.drv, which needs c.drv``."""
    return ", which needs ".join(map(str, way))


@dataclass(slots=True)
class _Open:
    """A derivation whose inputs are being looked at."""

    path: StorePath
    derivation: Derivation
    rest: Iterator[tuple[StorePath, tuple[str, ...]]]
    needs: list[StorePath] = field(default_factory=list)


class _Planner:
    def __init__(self, read: ReadDerivation, has: Callable[[StorePath], bool], features: Collection[str]) -> None:
        self._read, self._has, self._features = read, has, features
        self._derivations: dict[StorePath, Derivation] = {}
        self._present: dict[StorePath, bool] = {}
        # Not recursion: chains of derivations are longer than Python's stack.
        self._open: list[_Open] = []
        self._opened: set[StorePath] = set()
        self._steps: dict[StorePath, ClosureStep] = {}
        self._there: set[StorePath] = set()

    def plan(self, target: StorePath, derivation: Derivation, itself: bool) -> ClosurePlan:
        first: tuple[StorePath, ...] = ()
        if itself and not self._missing(target, derivation, tuple(derivation.outputs)):
            return ClosurePlan(target, {}, (target,))
        self._enter(target, derivation)
        while self._open:
            current = self._open[-1]
            following = next(current.rest, None)
            if following is not None:
                self._look(current, *following)
                continue
            self._opened.remove(self._open.pop().path)
            needs = tuple(sorted(current.needs))
            if current.path == target:
                first = needs
            if current.path != target or itself:
                self._steps[current.path] = ClosureStep(current.path, current.derivation, needs)
        return ClosurePlan(target, self._steps, tuple(sorted(self._there - set(self._steps))), first)

    def _look(self, current: _Open, path: StorePath, names: tuple[str, ...]) -> None:
        if path in self._opened:
            raise InvalidDerivation(f"it needs itself: {way_text((*self._way(), path))}", path="input_derivations")
        if path not in self._derivations:
            self._derivations[path] = self._read(path)
        derivation = self._derivations[path]
        if not self._missing(path, derivation, names):
            self._there.add(path)
            return
        current.needs.append(path)
        if path not in self._steps:
            self._enter(path, derivation)

    def _enter(self, path: StorePath, derivation: Derivation) -> None:
        self._opened.add(path)
        self._open.append(_Open(path, derivation, iter(derivation.input_derivations.items())))
        try:
            check_supported(derivation, self._features)
        except UnsupportedDerivation as error:
            raise UnsupportedDerivation(f"{error.message}{self._context()}", path=error.path, hint=error.hint) from None
        for source in derivation.input_sources:
            if not self._is_there(source):
                message = f"a source of {path}, and not there{self._context()}"
                raise NotFound(message, path=derivation.store_dir.join(source), hint=OTHER_PLACES)

    def _missing(self, path: StorePath, derivation: Derivation, names: tuple[str, ...]) -> bool:
        for name in names:
            if name not in derivation.outputs:
                raise InvalidDerivation(f"{path} has no output {name}{self._context()}", path="input_derivations")
            output = derivation.outputs[name].path
            # One whose path is not known is refused by name, as it is entered.
            if output is None or not self._is_there(output):
                return True
        return False

    def _is_there(self, path: StorePath) -> bool:
        if path not in self._present:
            self._present[path] = self._has(path)
        return self._present[path]

    def _way(self) -> tuple[StorePath, ...]:
        return tuple(each.path for each in self._open)

    def _context(self) -> str:
        return f" (the way to it: {way_text(self._way())})" if len(self._open) > 1 else ""
