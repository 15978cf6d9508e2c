"""Building a ClosurePlan: several steps at once, in order, with the state of each; and where the time went."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from tvixbuild_nb.build import BuildResult, CancelToken, StageEvent, StageHeard
from tvixbuild_nb.display import mimebundle
from tvixbuild_nb.errors import Cancelled, DependencyFailed, InvalidValue
from tvixbuild_nb.nix.closure import ClosurePlan, ClosureStep, way_text
from tvixbuild_nb.nix.closurelines import ClosureLines
from tvixbuild_nb.nix.storepath import StorePath

State = Literal["waiting", "building", "done", "failed", "skipped"]
_LOOK_SECONDS = 0.25
# Waiting that nobody would notice is not told.
_TOLD_SECONDS = 0.05
BuildStep = Callable[[ClosureStep, CancelToken, StageHeard], BuildResult]


@dataclass(frozen=True, slots=True)
class ClosureNode:
    """A step as it stands: times in seconds since the epoch, ``run`` the id of its recorded run; None, not yet.

    ``queued`` is since when it waits for a turn among other builds of the service, ``waited`` how many seconds it did.
    """

    path: StorePath
    state: State = "waiting"
    started: float | None = None
    finished: float | None = None
    run: str | None = None
    message: str | None = None
    queued: float | None = None
    waited: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it is, or was, being built; waiting does not count."""
        if self.started is None:
            return 0.0
        until = next((at for at in (self.queued, self.finished) if at is not None), None)
        return (time.time() if until is None else until) - self.started - self.waited

    @property
    def waiting(self) -> str:
        """``waited 2.50 s for its turn``; empty when it hardly did."""
        return f"waited {self.waited:.2f} s for its turn" if self.waited >= _TOLD_SECONDS else ""


class ClosureBuild:
    """A plan being built; :attr:`nodes` may be asked for from any thread while it goes on.

    Parameters: ``build`` builds one step, on a thread of its own; ``jobs``, how many at once. Displayed in a notebook
    it is the graph with states and times.
    """

    def __init__(self, plan: ClosurePlan, build: BuildStep, jobs: int) -> None:
        if jobs < 1:
            raise InvalidValue(f"at least one build at a time, not {jobs}", path="jobs")
        self.plan = plan
        self._build = build
        self._jobs = jobs
        self._cancel = CancelToken()
        self._nodes = {path: ClosureNode(path) for path in plan.steps}
        self._failed: tuple[StorePath, BuildResult] | None = None
        self.over = False

    @property
    def nodes(self) -> tuple[ClosureNode, ...]:
        """The steps in the plan's order, as they stand now."""
        return tuple(self._nodes.values())

    def node(self, path: StorePath) -> ClosureNode:
        """One of them."""
        return self._nodes[path]

    def cancel(self) -> None:
        """End the running builds and start no more; :meth:`run` then raises :class:`Cancelled`."""
        self._cancel.cancel()

    def run(self, *, show: bool = True) -> ClosureBuild:
        """Build all of it and return this; ``show``: on a terminal or under a notebook's cell, after half a second.

        After a failure the builds that run are waited for and no more are started: :class:`DependencyFailed` names the
        way to it. What a step raises, and Ctrl-C, cancel the others first, and nothing of them stays behind.
        """
        lines = ClosureLines(self) if show else None
        try:
            with ThreadPoolExecutor(self._jobs, "closure") as pool:
                try:
                    self._schedule(pool, lines)
                except BaseException:
                    self.cancel()
                    raise
        finally:
            self._settle()
            self.over = True
            if lines is not None:
                lines.close()
        if self._failed is not None:
            raise self._failure(*self._failed)
        return self

    def _schedule(self, pool: ThreadPoolExecutor, lines: ClosureLines | None) -> None:
        running: dict[Future[BuildResult], StorePath] = {}
        waiting = dict(self.plan.steps)
        while True:
            self._cancel.check()
            for path in list(waiting) if self._failed is None else ():
                ready = all(self._nodes[needed].state == "done" for needed in waiting[path].needs)
                if ready and len(running) < self._jobs:
                    self._nodes[path] = replace(self._nodes[path], state="building", started=time.time())
                    heard = partial(self._heard, path)
                    running[pool.submit(self._build, waiting.pop(path), self._cancel, heard)] = path
            if not running:
                return
            done, _ = wait(running, _LOOK_SECONDS, FIRST_COMPLETED)
            for future in done:
                self._ended(running.pop(future), future)
            if lines is not None:
                lines.show()

    def _heard(self, path: StorePath, event: StageEvent) -> None:
        """On the step's own thread: it waits for a turn, or has one."""
        node = self._nodes[path]
        if event.stage == "queue" and event.state == "started":
            self._nodes[path] = replace(node, state="waiting", queued=event.time)
        elif node.queued is not None:
            waited = node.waited + event.time - node.queued
            self._nodes[path] = replace(node, state="building", queued=None, waited=waited)

    def _settle(self) -> None:
        """Whatever did not come to its end never will."""
        for path, node in self._nodes.items():
            if node.started is None:
                self._nodes[path] = replace(node, state="skipped")
            elif node.state in ("waiting", "building"):
                self._nodes[path] = replace(node, state="failed", finished=time.time(), message="cancelled")

    def _ended(self, path: StorePath, future: Future[BuildResult]) -> None:
        node = replace(self._nodes[path], finished=time.time())
        self._nodes[path] = replace(node, state="failed")
        result = future.result()
        if result.ok:
            self._nodes[path] = replace(node, state="done", run=result.id)
            return
        self._nodes[path] = replace(node, state="failed", run=result.id, message=result.verdict())
        if self._failed is None:
            self._failed = (path, result)

    def _failure(self, path: StorePath, result: BuildResult) -> Exception:
        if result.status == "cancelled" and self._cancel.asked:
            return Cancelled("the builds of the closure were cancelled")
        way = self.plan.way_to(path)
        text = f"{path} could not be built: run {result.id} {result.verdict()}"
        if len(way) > 1:
            text += f"\n  the way to it: {way_text(way)}"
        skipped = [node.path for node in self.nodes if node.state == "skipped" and node.path not in way]
        if skipped:
            text += f"\n  not built either: {', '.join(map(str, skipped))}"
        hint = f"{result.hint}; " if result.hint else ""
        asks = f"tvixbuild-nb explain {result.id} tells why, tvixbuild-nb log {result.id} what it wrote"
        return DependencyFailed(text, run=result, way=tuple(map(str, way)), hint=f"{hint}{asks}")

    def longest_way(self) -> tuple[ClosureNode, ...]:
        """The chain of steps, each needing the one before, whose seconds add up to most: what to make quicker."""
        before: dict[StorePath, StorePath | None] = {}
        total: dict[StorePath, float] = {}
        for path, step in self.plan.steps.items():
            slowest = max(step.needs, key=lambda needed: total[needed], default=None)
            before[path] = slowest
            total[path] = self._nodes[path].seconds + (0.0 if slowest is None else total[slowest])
        way: list[ClosureNode] = []
        at = max(total, key=lambda path: total[path], default=None)
        while at is not None:
            way.append(self._nodes[at])
            at = before[at]
        return tuple(reversed(way))

    def tree(self) -> list[tuple[int, StorePath, ClosureNode | None]]:
        """The graph as rows of a tree: depth, derivation, and its node where it stands for the first time."""
        rows: list[tuple[int, StorePath, ClosureNode | None]] = []
        roots = (self.plan.target,) if self.plan.target in self.plan.steps else self.plan.first
        stack = [(0, path) for path in reversed(roots)]
        seen: set[StorePath] = set()
        while stack:
            depth, path = stack.pop()
            if path in seen:
                rows.append((depth, path, None))
                continue
            seen.add(path)
            rows.append((depth, path, self._nodes[path]))
            stack += [(depth + 1, needed) for needed in reversed(self.plan.steps[path].needs)]
        return rows

    def counts(self) -> str:
        """``2 done, 1 building, 3 waiting``: how many are in which state."""
        states = [node.state for node in self.nodes]
        known: tuple[State, ...] = ("done", "building", "waiting", "failed", "skipped")
        return ", ".join(f"{states.count(state)} {state}" for state in known if state in states) or "nothing to build"

    def __str__(self) -> str:
        lines = [f"{self.plan.target}: {self.counts()}, {len(self.plan.there)} there already"]
        for depth, path, node in self.tree():
            indent = "  " * depth
            if node is None:
                lines.append(f"  {'':8} {'':9}  {indent}{path} (above)")
                continue
            took = f"{node.seconds:7.2f} s" if node.started is not None else ""
            ends = [f"run {node.run}" if node.run else "", node.waiting]
            more = "".join(f"  {each}" for each in ends if each)
            lines.append(f"  {node.state:8} {took:9}  {indent}{path}{more}")
        way = self.longest_way()
        if self.over and len(way) > 1:
            steps = ", ".join(f"{node.path.name} {node.seconds:.2f} s" for node in way)
            lines.append(f"  the longest way, {sum(node.seconds for node in way):.2f} s: {steps}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<ClosureBuild of {self.plan.target}: {self.counts()}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)
