"""Executed: another command in the sandbox of a run that is over, with the scratch directories as it left them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tvixbuild_nb.build import BuildContext, BuildPolicy, RunRecord
from tvixbuild_nb.build.locks import take
from tvixbuild_nb.build.service import Inputs
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import HostRefused, InvalidValue
from tvixbuild_nb.keeper.trees import remove
from tvixbuild_nb.oci import Diff, Spec, SpecOptions, recover_options
from tvixbuild_nb.oci.compare import between
from tvixbuild_nb.oci.options import Limits
from tvixbuild_nb.sandbox.services import shared_builder

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.run import Run

_SCRATCH = "scratch"
_BEFORE = "scratch.before"
# The cgroup is called after the bundle, which is another one each time.
_NEVER_SAME = "linux.cgroupsPath"


@dataclass(frozen=True, slots=True)
class Executed:
    """How a command ended in the sandbox of a run, and what it wrote; ``str()`` is for people, without secrets.

    ``differences``: where its config.json is not that of the run: the arguments, and nothing else.
    """

    command: tuple[str, ...]
    run: Run = field(repr=False)
    differences: Diff = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether it ended with status 0."""
        return self.run.ok

    @property
    def exit_code(self) -> int | None:
        """Its status; None when a signal ended it, or it never began."""
        return self.run.exit_code

    @property
    def output(self) -> str:
        """All that it wrote, to both streams."""
        return self.run.log.text()

    def __str__(self) -> str:
        text = self.run.redactor.text(self.output)
        if self.ok:
            return text
        result = self.run.result
        assert result is not None
        end = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{end}[{self.run.redactor.text(result.verdict())}]"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(Executed, plain)


def execute(run: Run, command: Sequence[str] | str, *, fresh: bool = False, timeout: float | None = None) -> Executed:
    """Execute ``command`` (a text: by /bin/sh) with the mounts, ids and variables of a run that is over.

    In the scratch directories as they were left, by the run or by the last command here, or with ``fresh`` as they were
    at the start. :class:`InvalidValue` while the run goes on, when it never had a configuration, when its bundle was
    not kept; :class:`HostRefused` while another command is executed in it.
    """
    spec = run.spec
    if run.result is None:
        raise InvalidValue(f"run {run.id} still goes on", path="run", hint="wait for it: run.wait()")
    if spec is None:
        raise InvalidValue("the run never had a configuration", path="run", hint="it was refused before that")
    bundle = None if fresh else run.bundle
    if bundle is None and not fresh:
        raise InvalidValue(
            "its bundle was not kept", path="run", hint="fresh=True begins anew; keep='always' keeps it next time"
        )
    words = ("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command)
    with nullcontext() if bundle is None else _held(bundle):
        inner = _run(run, spec, words, bundle, timeout)
        if bundle is not None and inner.bundle is not None:
            _take_over(bundle, inner)
    configs = spec.to_dict(), inner.config or {}
    rows = between(configs[1], configs[0], f"run {run.id}", (run.redactor,))
    return Executed(words, inner, Diff(rows.other, tuple(row for row in rows if row.where != _NEVER_SAME)))


def _run(run: Run, spec: Spec, words: tuple[str, ...], bundle: Path | None, timeout: float | None) -> Run:
    from tvixbuild_nb.sandbox.run import Run  # which stands on this module

    result = run.result
    assert result is not None
    record = RunRecord.create(run.record.path / "executed")
    if run.redactor.names:
        record.write_secrets(run.redactor.names)
    policy = BuildPolicy(
        timeout=timeout,
        keep="never" if bundle is None else "always",
        inputs=cast("Inputs", result.inputs) if result.inputs in ("fuse", "checkout") else "auto",
        trace=False,
        options=_options(run, spec),
    )
    context = BuildContext(record, policy, scratch=None if bundle is None else bundle / _SCRATCH)
    request = run.request.replace(command_args=words, outputs=())
    inner = Run.begin(shared_builder(result.service, run.castore, result.runtime), request, context)
    try:
        return inner.wait()
    except BaseException:
        inner.cancel()
        inner.follow(None)
        raise


def _options(run: Run, spec: Spec) -> SpecOptions:
    resources = spec.linux.resources
    cpu = resources.cpu
    limits = Limits(
        memory=None if resources.memory is None else resources.memory.limit,
        pids=None if resources.pids is None else resources.pids.limit,
        cpu=None if cpu is None else cpu.quota / cpu.period,
    )
    return recover_options(run.request, spec).replace(cgroups_path=None, limits=limits or None)


@contextmanager
def _held(bundle: Path) -> Iterator[None]:
    """Nobody else executes in this bundle; what a process left that died while it put things in place is put right."""
    lock = take(bundle.with_name(f"{bundle.name}.lock"))
    if lock is None:
        raise HostRefused("another command is executed in this run's sandbox", path=str(bundle), hint="wait for it")
    try:
        if not (bundle / _SCRATCH).exists() and (bundle / _BEFORE).exists():
            (bundle / _BEFORE).rename(bundle / _SCRATCH)
        yield
    finally:
        bundle.with_name(f"{bundle.name}.lock").unlink()
        os.close(lock)


def _take_over(bundle: Path, inner: Run) -> None:
    """What the command left takes the place of what it found, when it ran at all: else there may be half a copy."""
    made = inner.bundle
    assert made is not None
    if inner.usage is not None and inner.usage.wall is not None:
        (bundle / _SCRATCH).rename(bundle / _BEFORE)
        (made / _SCRATCH).rename(bundle / _SCRATCH)
        remove(str(bundle / _BEFORE))
    remove(str(made))
