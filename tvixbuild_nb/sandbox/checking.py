"""Checked: whether a build gives the same outputs again, and if not which change of its surroundings shows in them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tvixbuild_nb.build import BuildPolicy
from tvixbuild_nb.build.inmemory import bytes_taken
from tvixbuild_nb.castore import TreeDiff
from tvixbuild_nb.debug.diffoscope import Said, diffoscope, diffoscope_path
from tvixbuild_nb.debug.guesses import guesses
from tvixbuild_nb.debug.origins import Origin, ScratchPlace, first_difference
from tvixbuild_nb.debug.variations import Trial, Variation, varied
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.escaping import visible
from tvixbuild_nb.keeper.trees import remove
from tvixbuild_nb.oci.mounts import scratch_name
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.request.redactor import NOTHING_SECRET
from tvixbuild_nb.sandbox.run import Run
from tvixbuild_nb.sandbox.rundiff import changed_outputs
from tvixbuild_nb.sandbox.trials import same_outputs, tried

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.sandbox import Sandbox


# No two runs that are compared see the same time: archives keep times in steps of two seconds.
CLOCK_STEP = 2.0
# What a build takes beyond four times that which the first one left, before it is run in memory.
ROOM = 16 << 20
_TAB = "\t"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why outputs differ: ``variation`` (None: by itself, nothing was varied), shown by ``run`` beside the first one.

    ``outputs``: path -> what differs; ``origin``: where it began, None when that cannot be told; ``looks_like``: a
    guess; ``failure``: the verdict, when the run did not even succeed; ``steady`` False: the same variation once more
    gave the first run's outputs, so it is chance; ``diffoscope``: path -> what it says, where it is installed.
    """

    variation: Variation | None
    run: str
    outputs: Mapping[str, TreeDiff] = field(default_factory=dict)
    origin: Origin | None = None
    looks_like: str | None = None
    failure: str | None = None
    steady: bool = True
    diffoscope: Mapping[str, Said] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """It in one line."""
        if self.variation is None:
            return f"by itself, with nothing varied (run {self.run})"
        told = f"{self.variation.name}: {self.variation.what} (run {self.run})"
        return told if self.steady else f"by chance: with this varied once, and not when that was repeated: {told}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of running a build several times; true when all outputs were the same.

    ``runs``: ids, the first is the one the others are compared with; ``vary``: names of what was varied; ``causes``:
    what the outputs depend on, empty when all were the same. ``together``: none of what was varied does it alone.
    ``not_varied``: what one might think was varied, too, in words.
    """

    runs: tuple[str, ...]
    vary: tuple[str, ...]
    causes: tuple[Cause, ...] = ()
    together: bool = False
    not_varied: tuple[str, ...] = ()
    redactor: Redactor = NOTHING_SECRET

    def __bool__(self) -> bool:
        return not self.causes

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        varied = f"varied: {', '.join(self.vary)}" if self.vary else "nothing varied"
        if self:
            yield f"the outputs of {len(self.runs)} runs are the same; {varied}"
            yield from (f"  not varied: {each}" for each in self.not_varied)
            return
        yield f"the build may not be deterministic: its outputs differ ({len(self.runs)} runs; {varied})"
        if self.together:
            yield "  nothing of what was varied does it alone; together they do"
        for cause in self.causes:
            yield f"  {cause.headline}"
            if cause.failure is not None:
                yield f"    the run did not succeed: {visible(self.redactor.text(cause.failure))}"
            if cause.looks_like is not None:
                yield f"    likely {cause.looks_like}"
            if cause.origin is not None:
                yield f"    {visible(self.redactor.text(cause.origin.headline))}"
                # A file of an output is shown below.
                if cause.origin.diff is not None and not cause.origin.output:
                    yield from (f"      {line}" for line in cause.origin.diff.report(self.redactor.text))
            for path, diff in cause.outputs.items():
                yield f"    {visible(path)}:"
                said = cause.diffoscope.get(path)
                lines = diff.report(self.redactor.text, *([0] if said is not None and said.text else []))
                yield from (f"      {line}" for line in lines)
                if said is not None:
                    yield from (f"      {visible(self.redactor.text(line), keep=_TAB)}" for line in said.lines())
        if self.unattributed:
            yield f"  {self.unattributed}"
        yield from (f"  not varied: {each}" for each in self.not_varied)

    @property
    def unattributed(self) -> str | None:
        """What is not known for that reason, where outputs differ by themselves; None otherwise."""
        if not self.vary or all(cause.variation is not None for cause in self.causes):
            return None
        return "whether what was varied does something, too, cannot be told from that: mend this first, and check again"

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; of each output the smallest changes."""
        hide = self.redactor.text
        return {
            "same": bool(self),
            "runs": list(self.runs),
            "vary": list(self.vary),
            "together": self.together,
            "not_varied": list(self.not_varied),
            "causes": [
                {
                    "variation": None if cause.variation is None else cause.variation.name,
                    "run": cause.run,
                    "steady": cause.steady,
                    "failure": None if cause.failure is None else hide(cause.failure),
                    "looks_like": cause.looks_like,
                    "origin": None if cause.origin is None else hide(cause.origin.path),
                    "outputs": {
                        path: [each.to_dict(hide) for each in diff.smallest()] for path, diff in cause.outputs.items()
                    },
                    "diffoscope": {path: list(map(hide, said.lines())) for path, said in cause.diffoscope.items()},
                }
                for cause in self.causes
            ],
        }

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(Checked, plain)


def check_sandbox(sandbox: Sandbox, n: int, variations: Sequence[Variation], timeout: float | None = None) -> Checked:
    """Run a sandbox's build ``n`` times with all variations, then one by one when something differs.

    :class:`InvalidValue` for fewer than 2 runs; :class:`BuildFailed` when the first one, with nothing varied, fails.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise InvalidValue(f"a check takes 2 runs or more, not {n!r}", path="n")
    # Bundles are kept until it is known where runs parted.
    policy = BuildPolicy(timeout=timeout, keep="always", trace=False, options=sandbox.options)
    with ExitStack() as bundles:
        return _Check(sandbox, Trial(sandbox.request, sandbox.spec_options, policy), bundles).run(n, variations)


class _Check:
    def __init__(self, sandbox: Sandbox, plain: Trial, bundles: ExitStack) -> None:
        self._sandbox = sandbox
        self._plain = plain
        self._bundles = bundles
        self._runs: list[Run] = []

    def run(self, n: int, variations: Sequence[Variation]) -> Checked:
        first = self._built(self._plain).raise_for_status()
        if first.bundle is not None:
            self._plain = replace(self._plain, room=ROOM + 4 * bytes_taken(first.bundle))
        # Once is enough: time goes on, so no later run sees that of the first one.
        _await_another_time()
        for round in range(n - 1):
            other = self._built(varied(self._plain, variations, round))
            if not same_outputs(first, other):
                return self._attributed(first, other, round, variations)
        return self._checked(variations)

    def _attributed(self, first: Run, other: Run, round: int, variations: Sequence[Variation]) -> Checked:
        """What it was: nothing that was varied, or which ones of them."""
        again = self._built(self._plain) if variations else other
        if not same_outputs(first, again):
            return self._checked(variations, [self._cause(first, again, None)])
        causes = []
        for each in variations:
            alone = self._built(varied(self._plain, [each], round)) if len(variations) > 1 else other
            if not same_outputs(first, alone):
                causes.append(self._repeated(first, alone, each, round))
        together = not causes
        if together:
            causes.append(self._repeated(first, other, _joined(variations), round))
        # Nothing is to blame when by now the outputs are others as it is: it was the hour, or chance.
        last = self._built(self._plain)
        if not same_outputs(first, last):
            return self._checked(variations, [self._cause(first, last, None)])
        return self._checked(variations, causes, together=together)

    def _repeated(self, first: Run, other: Run, variation: Variation, round: int) -> Cause:
        again = self._built(varied(self._plain, [variation], round))
        return replace(self._cause(first, other, variation), steady=not same_outputs(first, again))

    def _checked(
        self, variations: Sequence[Variation], causes: Iterable[Cause] = (), *, together: bool = False
    ) -> Checked:
        ids = tuple(run.id for run in self._runs)
        names = tuple(each.name for each in variations)
        stays = [each.stays for each in variations if each.stays is not None]
        topics = [each.topic for each in variations if each.topic is not None]
        # What a run had to do without of what was to be varied, each once.
        without = [text for run in self._runs for text in run.degraded if text.partition(":")[0] in topics]
        not_varied = tuple(dict.fromkeys([*stays, *without]))
        return Checked(ids, names, tuple(causes), together, not_varied, self._sandbox.redactor)

    def _built(self, trial: Trial) -> Run:
        sandbox = self._sandbox
        # Options that are this host's own are found out by whoever builds; those that were changed are said.
        changed = trial.options != sandbox.spec_options or sandbox.options is not None
        run = tried(sandbox, trial.request, replace(trial.policy, options=trial.options if changed else None))
        if (bundle := run.bundle) is not None:
            self._bundles.callback(remove, str(bundle))
        self._runs.append(run)
        return run

    def _cause(self, first: Run, other: Run, variation: Variation | None) -> Cause:
        if not other.ok:
            return Cause(variation, other.id, failure=str(other))
        outputs = changed_outputs(first, other)
        hostnames = [run.spec.hostname for run in (first, other) if run.spec is not None and run.spec.hostname]
        origin = self._origin(first, other)
        # Where it began it is plainer than in what was made of that.
        diffs = [*([] if origin is None or origin.diff is None else [origin.diff]), *outputs.values()]
        likely = next(filter(None, (guesses(diff, hostnames) for diff in diffs)), None)
        return Cause(variation, other.id, outputs, origin, likely, diffoscope=self._diffoscope(outputs))

    def _diffoscope(self, outputs: Mapping[str, TreeDiff]) -> dict[str, Said]:
        program = diffoscope_path()
        # It takes apart what it prints: a secret's value could no longer be found in it, and left out.
        if program is None or self._sandbox.secrets:
            return {}
        return {path: diffoscope(program, diff) for path, diff in outputs.items()}

    def _origin(self, first: Run, other: Run) -> Origin | None:
        if first.bundle is None or other.bundle is None or first.result is None or other.result is None:
            return None
        scratch = [
            ScratchPlace(path, *(bundle / "scratch" / scratch_name(path) for bundle in (first.bundle, other.bundle)))
            for path in first.request.scratch_paths
        ]
        started = first.result.started, other.result.started
        return first_difference(other.castore, scratch, first.request.outputs, started)


def _await_another_time() -> None:
    # What is written later may carry a time a tick behind the clock's.
    time.sleep(CLOCK_STEP - time.time() % CLOCK_STEP + 0.02)


def _joined(variations: Sequence[Variation]) -> Variation:
    def apply(trial: Trial, round: int) -> Trial:
        return varied(trial, variations, round)

    return Variation(" + ".join(each.name for each in variations), "all of them at once", apply)
