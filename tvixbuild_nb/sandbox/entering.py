"""The sandbox of a run, to be entered: of one that goes on as it is, of one that is over made once more."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tvixbuild_nb.build import BuildContext, BuildPolicy, RunRecord
from tvixbuild_nb.build.locks import take
from tvixbuild_nb.build.service import Inputs
from tvixbuild_nb.errors import HostRefused, InvalidValue, KeeperError, NotRecorded, SetupFailed
from tvixbuild_nb.keeper.trees import remove
from tvixbuild_nb.keeper.visiting import Visit, enter, is_open, look
from tvixbuild_nb.oci import Diff, Spec, SpecOptions, recover_options
from tvixbuild_nb.oci.compare import between
from tvixbuild_nb.oci.options import Limits
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox.saving import keep_explanation
from tvixbuild_nb.sandbox.services import elsewhere, shared_builder
from tvixbuild_nb.sandbox.tools import NAME, Tools, tools_of

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.run import Run

_SCRATCH = "scratch"
_BEFORE = "scratch.before"
_POLL = 0.005
# Seconds in which a run that has just been started gets its sandbox.
_BEGINNING = 5.0
_WAIT = "echo; while :; do sleep 1000; done"
# The cgroup is called after the bundle, which is another one each time.
_NEVER_SAME = "linux.cgroupsPath"


@dataclass(frozen=True, slots=True)
class Entrance:
    """A sandbox that is there: ``request`` and ``config`` are what it was made of, ``tools`` what was added."""

    run: Run
    request: BuildRequest
    config: dict[str, Any]
    tools: Tools | None
    _door: str

    @property
    def spec(self) -> Spec:
        """``config`` as a value."""
        return Spec.from_json(self.config)

    def enter(self, words: Sequence[str], fds: Sequence[int] | None, *, give: bool = False) -> Visit:
        """Execute ``words`` inside; see :func:`tvixbuild_nb.keeper.visiting.enter`."""
        return enter(self._door, words, fds, give=give)

    def differences(self, words: Sequence[str], *, terminal: bool = False) -> Diff:
        """What differs from the run's config.json for who enters so: the arguments, the terminal, added tools."""
        spec = self.run.spec
        assert spec is not None, "there is a sandbox, so it has a configuration"
        theirs = spec.to_dict()
        process = {**self.config["process"], "args": list(words), "terminal": terminal}
        rows = between({**self.config, "process": process}, theirs, f"run {self.run.id}", (self.run.redactor,))
        return Diff(rows.other, tuple(row for row in rows if row.where != _NEVER_SAME))


@contextmanager
def entrance(run: Run, *, fresh: bool = False, tools: Sequence[str] = ()) -> Iterator[Entrance]:
    """The sandbox of ``run`` during the block; what is changed in the scratch directories stays.

    Of a run that is over: its scratch directories as they were left, by the run or by who entered last, or with
    ``fresh`` as they were at the start; ``tools`` are programs of this host to be added. Raises :class:`InvalidValue`
    when it never had a configuration, when its bundle was not kept, and for ``fresh`` or ``tools`` while the run goes
    on; :class:`HostRefused` while somebody else is in it, when its sandbox is not there (yet, or any more), and when
    this host would make another one now; :class:`NotRecorded` for a recorded one.
    """
    if run.recorded is not None:
        raise NotRecorded(
            f"run {run.id} is a record: its sandbox is nowhere",
            path="run",
            hint="run.exec() answers what was asked then",
        )
    spec = run.spec
    if run.result is None:
        _refuse_changes(run, fresh, tools)
        door = door_of(run)
        config = run.config
        assert config is not None, "the door is made after it"
        yield Entrance(run, run.request, config, None, door)
        return
    if elsewhere(run.result.service):
        raise HostRefused(
            f"run {run.id} was built at {run.result.service}: its sandbox cannot be entered", path="run",
            hint="build it here and enter that: Sandbox.from_request(run.request).run(keep='always')",
        )  # fmt: skip
    if spec is None:
        raise InvalidValue("the run never had a configuration", path="run", hint="it was refused before that")
    bundle = None if fresh else run.bundle
    if bundle is None and not fresh:
        raise InvalidValue(
            "its bundle was not kept", path="run", hint="fresh=True begins anew; keep='always' keeps it next time"
        )
    added = tools_of(run, tools) if tools else None
    if bundle is not None and not run.result.ok:
        keep_explanation(run)
    with nullcontext() if bundle is None else _alone(bundle):
        inner = _hold(run, spec, bundle, added)
        try:
            config = inner.config
            assert config is not None
            sandbox = Entrance(run, inner.request, config, added, str(inner.record.path.absolute()))
            _check_sameness(sandbox)
            yield sandbox
        finally:
            inner.cancel()
            inner.follow(None)
            if bundle is not None and inner.bundle is not None:
                _take_over(bundle, inner)
            inner.record.delete()


def door_of(run: Run) -> str:
    """The door of a run that goes on; one that has just been started may not have it yet."""
    door = str(run.record.path.absolute())
    until = time.monotonic() + _BEGINNING
    while not is_open(door):
        if run.result is not None or time.monotonic() > until:
            raise HostRefused(
                f"run {run.id} has no sandbox to enter now", path="run",
                hint="it is there while the command runs, and only of builds of this host (oci:)",
            )  # fmt: skip
        time.sleep(_POLL)
    return door


def _check_sameness(sandbox: Entrance) -> None:
    """:class:`HostRefused` when it is another sandbox than the run's: only the command and added tools may differ."""
    others = [
        row.where
        for row in sandbox.differences(())
        if not row.where.startswith("process.args") and f"/{NAME}]" not in row.where
    ]
    if others:
        raise HostRefused(
            f"the sandbox of run {sandbox.run.id} cannot be made again here: {', '.join(others[:5])} would differ",
            path="run",
            hint="something of this host has changed; run the request again and enter that run",
        )


def _refuse_changes(run: Run, fresh: bool, tools: Sequence[str]) -> None:
    for name, asked in (("fresh", fresh), ("tools", tools)):
        if asked:
            raise InvalidValue(
                f"run {run.id} still goes on, its sandbox is what it is", path=name, hint="wait for it: run.wait()"
            )


def _hold(run: Run, spec: Spec, bundle: Path | None, tools: Tools | None) -> Run:
    """The run's sandbox once more, made and held: its command is not executed, or another that waits."""
    from tvixbuild_nb.sandbox.run import Run  # which stands on this module

    result = run.result
    assert result is not None
    record = RunRecord.create(run.record.path / "entered")
    if run.redactor.names:
        record.write_secrets(run.redactor.names)
    policy = BuildPolicy(
        grace=0,
        keep="never" if bundle is None else "always",
        inputs=cast("Inputs", result.inputs) if result.inputs in ("fuse", "checkout") else "auto",
        trace=False,
        options=_options(run, spec),
    )
    # crun does not enter a container with a user namespace in which nothing was executed yet, and runc makes none for
    # a program that is not there.
    waiting = result.runtime != "runc" or result.failed_at == "exec"
    request = run.request.replace(outputs=())
    if tools is None and waiting:
        tools = tools_of(run, ())
    if tools is not None:
        request = request.replace(inputs={**request.inputs, tools.name: tools.node})
        if waiting:
            request = request.replace(command_args=(tools.shell, "-c", _WAIT))
    scratch = None if bundle is None else bundle / _SCRATCH
    context = BuildContext(record, policy, scratch=scratch, hold="running" if waiting else "created")
    inner = Run.begin(shared_builder(result.service, run.castore, result.runtime), request, context)
    try:
        while inner.running and not (_said_something(record) if waiting else is_open(str(record.path))):
            time.sleep(_POLL)
        try:
            # Who looks before the container is there waits for it.
            look(str(record.path.absolute()))
        except (HostRefused, KeeperError):
            inner.cancel()
            inner.follow(None)
            if inner.status == "cancelled":
                raise
        if (ended := inner.result) is not None:
            raise SetupFailed(ended.message or ended.status, stage=ended.failed_at or "setup", hint=ended.hint)
    except BaseException:
        inner.cancel()
        inner.follow(None)
        if inner.bundle is not None:
            remove(str(inner.bundle))
        record.delete()
        raise
    return inner


def _said_something(record: RunRecord) -> bool:
    with record.log() as log:
        return log.size() > 0


def _options(run: Run, spec: Spec) -> SpecOptions:
    resources = spec.linux.resources
    cpu = resources.cpu
    limits = Limits(
        memory=None if resources.memory is None else resources.memory.limit,
        pids=None if resources.pids is None else resources.pids.limit,
        cpu=None if cpu is None else cpu.quota / cpu.period,
    )
    asked = run.record.read_options()
    etc_files = True if asked is None else asked.etc_files
    return recover_options(run.request, spec).replace(cgroups_path=None, limits=limits or None, etc_files=etc_files)


@contextmanager
def _alone(bundle: Path) -> Iterator[None]:
    """Nobody else is in this bundle; what a process left that died while it put things in place is put right."""
    path = bundle.with_name(f"{bundle.name}.lock")
    lock = take(path)
    if lock is None:
        raise HostRefused(
            "somebody is in this run's sandbox already", path=str(bundle), hint="leave it first, or use that shell"
        )
    try:
        if not (bundle / _SCRATCH).exists() and (bundle / _BEFORE).exists():
            (bundle / _BEFORE).rename(bundle / _SCRATCH)
        yield
    finally:
        path.unlink()
        os.close(lock)


def _take_over(bundle: Path, inner: Run) -> None:
    """What was left inside takes the place of what was found there; not where that may be half a copy."""
    made = inner.bundle
    assert made is not None
    if inner.usage is not None and inner.usage.wall is not None:
        (bundle / _SCRATCH).rename(bundle / _BEFORE)
        (made / _SCRATCH).rename(bundle / _SCRATCH)
        remove(str(bundle / _BEFORE))
    remove(str(made))
