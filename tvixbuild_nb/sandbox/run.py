"""Run: one build being watched, asked and browsed, live or from its record."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TextIO

from tvixbuild_nb.build import (
    BuildContext,
    BuildResult,
    BuildService,
    Event,
    EventReader,
    HostSide,
    Inside,
    Isolation,
    RunRecord,
    isolation_of,
)
from tvixbuild_nb.build.records import SUFFIX
from tvixbuild_nb.build.result import UNKNOWN_STORE
from tvixbuild_nb.castore import Castore, Digest, Directory, Node, Tree
from tvixbuild_nb.castore.progress import Shown
from tvixbuild_nb.display import Presented, mimebundle, present
from tvixbuild_nb.errors import BuildFailed, NotFound
from tvixbuild_nb.fs import AccessTrace
from tvixbuild_nb.keeper.trees import remove
from tvixbuild_nb.oci import MountTable, Spec, mount_table, recover_options
from tvixbuild_nb.request import BuildRequest, Redactor
from tvixbuild_nb.sandbox.livebuild import LiveBuild, interrupt_cancels
from tvixbuild_nb.sandbox.log import RunLog
from tvixbuild_nb.sandbox.outcome import Outcome
from tvixbuild_nb.sandbox.printer import LogPrinter
from tvixbuild_nb.sandbox.questions import Questions
from tvixbuild_nb.sandbox.services import shared_store
from tvixbuild_nb.sandbox.trees import Inputs, Origin, Outputs, RunTree

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.recorded import RecordedRun

POLL = 0.03


class Run(Outcome, Questions):
    """One build: made by :meth:`Sandbox.run` and :meth:`Sandbox.start`, or opened by id from its record.

    Everything is read from the record, so that a run looks the same from every process. ``status`` is
    ``running`` and then one of succeeded, failed, cancelled, timed-out; what is not known yet is None.
    """

    def __init__(self, record: RunRecord, castore: Castore | None = None) -> None:
        self._record = record
        self._castore = castore
        self._live: LiveBuild | None = None
        self._result: BuildResult | None = None
        self._origins: dict[str, Origin] = {}
        self._check = False

    @classmethod
    def open(cls, run: str) -> Run:
        """The recorded run whose id is or begins with ``run``, of any process; :class:`RunNotFound` otherwise.

        What ends in ``.tvixrun`` is a record file: see :meth:`load`.
        """
        return cls.load(run) if run.endswith(SUFFIX) else cls(RunRecord.open(run))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RecordedRun:
        """The run in the record file ``path``, read-only and marked as recorded; see :class:`RecordedRun`.

        Works on any system and without privileges. Raises :class:`InvalidRecord` for what is damaged, foreign or newer.
        """
        from tvixbuild_nb.sandbox.recorded import RecordedRun  # which stands on this module

        return RecordedRun.of(path)

    @classmethod
    def begin(cls, service: BuildService, request: BuildRequest, context: BuildContext, *, check: bool = False) -> Self:
        """Start a build; raises what the service raises while it still refuses.

        ``check``: waiting for the run raises :class:`BuildFailed` when it did not succeed.
        """
        run = cls(context.record, service.castore)
        run._check = check
        run._live = LiveBuild(service, request, context)
        run._live.begin()
        return run

    # -- waiting ----------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> Self:
        """Block until the run is over; TimeoutError after ``timeout`` seconds (the run goes on)."""
        self._wait(timeout)
        return self.raise_for_status() if self._check else self

    def _wait(self, timeout: float | None) -> None:
        if self._live is not None:
            self._live.wait(timeout)
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.result is None:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"run {self.id} is not over after {timeout} s")
            time.sleep(POLL)

    def __await__(self) -> Generator[Any, None, Self]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> Self:
        import asyncio  # loaded only where somebody has it running already

        if self._live is None:
            return await asyncio.to_thread(self.wait)
        with interrupt_cancels(self.cancel):
            try:
                await asyncio.shield(asyncio.wrap_future(self._live.future))
            except asyncio.CancelledError:
                self.cancel()
                raise
        return self.raise_for_status() if self._check else self

    def cancel(self) -> None:
        """End the run: its processes are asked, then killed. Returns at once; nothing happens when it is over."""
        if self._live is not None:
            self._live.context.cancel.cancel()

    def follow(self, output: TextIO | None) -> None:
        """Wait until the run is over and copy its log to ``output`` meanwhile; bounded, harmless to terminals."""
        if output is None:
            self._wait(None)
            return
        printer = LogPrinter(self._record, output)
        try:
            while not self._over(POLL):
                printer.show()
        finally:
            printer.finish()
        self._wait(None)

    def _over(self, patience: float) -> bool:
        if self._live is not None:
            return self._live.done.wait(patience)
        if self.result is None:
            time.sleep(patience)
        return self.result is not None

    # -- what is known ----------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self._record.id

    @property
    def record(self) -> RunRecord:
        """Where the run is kept on disk."""
        return self._record

    @property
    def result(self) -> BuildResult | None:
        """The whole verdict, or None while the run goes on."""
        if self._result is None:
            if self._live is None:
                self._result = self._record.verdict()
            else:
                # A full disk keeps the result off the record, not from whoever waits for it.
                self._result = self._record.read_result() or self._live.result
        return self._result

    @property
    def is_ours(self) -> bool:
        """Whether this process runs it, and so can cancel it; others only watch."""
        return self._live is not None

    @property
    def cancelling(self) -> bool:
        """Whether it was asked to end, here; it may have ended since."""
        return self._live is not None and self._live.context.cancel.asked

    @property
    def bringing(self) -> Shown | None:
        """How far its inputs are that go to a builder elsewhere; None when none go from here."""
        under_way = [] if self._live is None else self._live.context.bringing[:1]
        return under_way[0] if under_way else None

    @cached_property
    def request(self) -> BuildRequest:
        return self._record.read_request()

    @cached_property
    def redactor(self) -> Redactor:
        """What takes the values of ``sb.secrets`` out of text that somebody will see."""
        return self._record.redactor()

    @property
    def config(self) -> dict[str, object] | None:
        """The config.json that was run, or None when it never came to that."""
        return self._record.read_config()

    @cached_property
    def log(self) -> RunLog:
        return RunLog(self._record)

    @property
    def events(self) -> Iterator[Event]:
        """Every event from the first to the last, in order; while the run goes on it waits for the next."""
        reader = EventReader(self._record)
        try:
            while not reader.ended:
                over = self._over(0)
                count = 0
                for event in reader.read():
                    count += 1
                    yield event
                if not count:
                    if over:
                        return
                    self._over(POLL)
        finally:
            reader.close()

    @property
    def castore(self) -> Castore:
        """The store that holds the outputs; the default one where the run's process died and did not tell."""
        if self._castore is None:
            store = None if self.result is None else self.result.store
            self._castore = shared_store(None if store == UNKNOWN_STORE else store)
        return self._castore

    @property
    def outputs(self) -> Mapping[str, Tree]:
        """Output path as in the request -> its tree; empty unless the run succeeded, and says so when asked for one."""
        needles = self.needles
        found = {
            output.path: self._tree(
                output.node, os.path.basename(output.path), self._origin(output.path, needles[output.path])
            )
            for output in (() if self.result is None else self.result.outputs)
        }
        return Outputs(found, str(self))

    @property
    def inputs(self) -> Mapping[str, Tree]:
        """Name of an input -> its tree; its view marks what the build did with it, where that was taken down."""
        trace, hide, recorded = self.accesses, self.redactor, self.recorded
        known = {} if trace is None else trace.inputs
        found = {
            name: self._tree(node, name, Origin(accesses=known.get(name), redactor=hide, recorded=recorded))
            for name, node in self.request.inputs.items()
        }
        return Inputs(found, str(self))

    def _origin(self, output: str, needles: tuple[str, ...]) -> Origin:
        # One for each output: what was found out by looking is kept.
        return self._origins.setdefault(output, Origin(needles, redactor=self.redactor, recorded=self.recorded))

    def _tree(self, node: Node, name: str, origin: Origin) -> RunTree:
        return RunTree(node, self.castore, name.encode(), origin=origin)

    @property
    def needles(self) -> Mapping[str, tuple[str, ...]]:
        """Output path -> the needles of the request that were found in it."""
        if self.result is None:
            return {}
        names = self.request.refscan_needles
        return {output.path: tuple(names[index] for index in output.needles) for output in self.result.outputs}

    @property
    def accesses(self) -> AccessTrace | None:
        """What was looked up, opened, read and looked for in vain, per input; None without a trace."""
        try:
            return AccessTrace.from_json(self._record.accesses_path.read_text())
        except FileNotFoundError:
            return None

    @property
    def inside(self) -> Inside | None:
        """The sandbox as its process had it; None unless the run was observed."""
        return Inside.read(self._record.inside_path)

    @property
    def spec(self) -> Spec | None:
        """The configuration that was run, as a value; None when it never came to that."""
        config = self.config
        return None if config is None else Spec.from_json(config).hiding(self.redactor)

    def mount_table(self) -> MountTable | None:
        """The mounts of the configuration that was run; None when it never came to that.

        For an observed run each row has beside it what the kernel said, see :meth:`MountTable.beside`.
        """
        spec = self.spec
        if spec is None:
            return None
        options = recover_options(self.request, spec)
        table = mount_table(self.request, options, self.bundle, lookup=self._directory)
        inside = self.inside
        table = table if inside is None else table.beside(inside.seen(), spec)
        return table if self.recorded is None else table.noted(str(self.recorded))

    def _directory(self, digest: Digest) -> Directory | None:
        """What a mount table shows of an input; a record need not have it."""
        try:
            return self.castore.directories.get(digest)
        except NotFound:
            return None

    def isolation(self) -> Isolation | None:
        """What kept the process apart, seen from the host and from inside; None when there was no configuration.

        For an observed run as the kernel had it just before the command was executed, else as config.json has it.
        """
        spec, inside = self.spec, self.inside
        if spec is None:
            return None
        what = "as config.json had it" if inside is None else "as the kernel had it just before the command began"
        built_on, recorded = self.record.read_host(), self.recorded
        here = HostSide.here() if recorded is None else None
        host = here if built_on is None else built_on.side
        title = f"isolation of run {self.id}{self._marked}, {what}"
        return isolation_of(spec, title, "configured", inside=inside, host=host)

    def raise_for_status(self) -> Self:
        """This run when it succeeded, else :class:`BuildFailed` with the verdict and the end of the log."""
        self._wait(None)
        result = self.result
        assert result is not None
        if result.ok:
            return self
        tail = "\n".join(f"  | {line}" for line in self.log.tail(10))
        text = f"run {self.id} {self._verdict(result)}"
        raise BuildFailed(f"{text}\n{tail}" if tail else text, run=self, hint=self._advice(result))

    def _verdict(self, result: BuildResult) -> str:
        return self.redactor.text(result.verdict())

    def delete(self) -> None:
        """Remove the record and the kept bundle; a run that goes on is cancelled first."""
        if self.running:
            self.cancel()
            self._wait(None)
        bundle = self.bundle
        if bundle is not None:
            remove(str(bundle))
        self._record.delete()

    def __str__(self) -> str:
        result = self.result
        if result is None:
            return f"run {self.id} is running"
        text = f"run {self.id} {self._verdict(result)}{self._marked}"
        advice = self._advice(result)
        return text if advice is None else f"{text}\n  hint: {advice}"

    def __repr__(self) -> str:
        result = self.result
        return (
            f"<{type(self).__name__} {self.id}: {'running' if result is None else self._verdict(result)}{self._marked}>"
        )

    @property
    def _marked(self) -> str:
        return "" if self.recorded is None else f" ({self.recorded})"

    def _ipython_display_(self) -> None:
        """IPython calls this first: a run that goes on is shown live, and its display ends as it does."""
        shown = present(self) if self.running else None
        if shown is None:
            raise NotImplementedError("there is a display bundle")
        threading.Thread(target=self._finish, args=(shown,), name=f"display {self.id}", daemon=True).start()

    def _finish(self, shown: Presented) -> None:
        with contextlib.suppress(Exception):
            self._wait(None)
        shown.finish()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)
