"""RunDiff: what differs between two runs that are over: verdict, request, configuration, log and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from tvixbuild_nb.castore import TreeDiff, tree_diff
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.escaping import visible
from tvixbuild_nb.oci import Diff
from tvixbuild_nb.oci.compare import between
from tvixbuild_nb.request import Change, Changes, Redactor, compare_requests
from tvixbuild_nb.request.compare import text_change

if TYPE_CHECKING:
    from tvixbuild_nb.build import BuildOutput, BuildResult
    from tvixbuild_nb.sandbox.run import Run

_VERDICT = ("status", "failed_at", "exit_code", "signal", "message")
# Another one for each run, by what the runs are called.
_NEVER_SAME = "linux.cgroupsPath"


@dataclass(frozen=True, slots=True)
class RunDiff:
    """What differs from one run to another; each part the smallest change first, secrets of both left out.

    ``verdict``: how they ended, and outputs that only one has; ``request``; ``config``: config.json but for the name of
    the cgroup, None when a run has none; ``log``: the first line that is not the same; ``outputs``: path -> what
    differs in it, of those that both have and that are not equal.
    """

    runs: tuple[str, str]
    verdict: Changes
    request: Changes
    config: Diff | None
    log: Change | None
    outputs: Mapping[str, TreeDiff]
    hide: tuple[Redactor, Redactor]

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.verdict or self.request or self.config or self.log or self.outputs)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; of each output the smallest changes."""
        return {
            "runs": list(self.runs),
            "verdict": self.verdict.to_dicts(),
            "request": self.request.to_dicts(),
            "config": None if self.config is None else self.config.to_dicts(),
            "log": None if self.log is None else {"field": self.log.field, "old": self.log.old, "new": self.log.new},
            "outputs": {
                path: [change.to_dict(self._hidden) for change in diff.smallest()]
                for path, diff in self.outputs.items()
            },
        }

    def __str__(self) -> str:
        return "\n".join([f"run {self.runs[0]} and run {self.runs[1]}:", *self._lines()])

    def _lines(self) -> Iterator[str]:
        if not self:
            yield "  no difference"
        for title, changes in (("verdict", self.verdict), ("request", self.request)):
            if changes:
                yield f"  {title}:"
                yield from (f"    {change}" for change in changes)
        if self.config:
            yield "  config.json:"
            yield from (f"    {line}" for line in str(self.config).split("\n"))
        if self.log is not None:
            yield f"  {self.log}"
        for path, diff in self.outputs.items():
            yield f"  {visible(path)}:"
            yield from (f"    {line}" for line in diff.report(self._hidden))

    def _hidden(self, text: str) -> str:
        return hidden_by_both(self.hide, text)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(RunDiff, plain)


def hidden_by_both(hide: tuple[Redactor, Redactor], text: str) -> str:
    """``text`` without the secrets of either run."""
    for redactor in hide:
        text = redactor.text(text)
    return text


def run_diff(old: Run, new: Run) -> RunDiff:
    """What changed from one run to another; :class:`InvalidValue` for a run that goes on."""
    results = _result(old), _result(new)
    hide = old.redactor, new.redactor
    configs = old.config, new.config
    config = None
    if configs[0] is not None and configs[1] is not None:
        rows = between(configs[0], configs[1], f"run {new.id}", hide)
        config = Diff(rows.other, tuple(row for row in rows if row.where != _NEVER_SAME))
    outputs = _outputs(results[0]), _outputs(results[1])
    return RunDiff(
        (old.id, new.id),
        Changes.of([*_verdict(*results, hide), *_lacking(*outputs)]),
        Changes.of(compare_requests(old.request, new.request, hide=hide)),
        config,
        _log(old, new, hide),
        changed_outputs(old, new),
        hide,
    )


def _result(run: Run) -> BuildResult:
    if run.result is None:
        raise InvalidValue(f"run {run.id} still goes on", path="run", hint="wait for it: run.wait()")
    return run.result


def _outputs(result: BuildResult) -> dict[str, BuildOutput]:
    return {output.path: output for output in result.outputs}


def _verdict(old: BuildResult, new: BuildResult, hide: tuple[Redactor, Redactor]) -> Iterator[Change]:
    for name in _VERDICT:
        values = getattr(old, name), getattr(new, name)
        if values[0] != values[1]:
            texts = [hidden_by_both(hide, "none" if value is None else str(value)) for value in values]
            yield text_change(name, texts[0], texts[1])


def _lacking(old: Mapping[str, BuildOutput], new: Mapping[str, BuildOutput]) -> Iterator[Change]:
    for path in sorted(old.keys() ^ new.keys()):
        field = f"outputs[{visible(path)}]"
        yield Change(field, "there", None) if path in old else Change(field, None, "there")


def changed_outputs(old: Run, new: Run) -> dict[str, TreeDiff]:
    """Path -> what differs, of the outputs that both runs have and that are not equal."""
    before, after = _outputs(_result(old)), _outputs(_result(new))
    return {
        path: tree_diff(old.castore.tree(output.node), new.castore.tree(after[path].node))
        for path, output in before.items()
        if path in after and after[path].node != output.node
    }


def _log(old: Run, new: Run, hide: tuple[Redactor, Redactor]) -> Change | None:
    for number, lines in enumerate(zip_longest(old.log.lines(), new.log.lines()), 1):
        texts = [None if line is None else hidden_by_both(hide, line.text) for line in lines]
        if texts[0] != texts[1]:
            return text_change(f"log, line {number:,}", texts[0], texts[1])
    return None
