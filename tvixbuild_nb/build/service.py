"""BuildService: what builds requests; and the context that one build is given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from tvixbuild_nb.build.events import EndEvent, Stage, StageEvent
from tvixbuild_nb.build.record import RunRecord
from tvixbuild_nb.build.recorded import RecordedPolicy
from tvixbuild_nb.build.result import BuildOutput, BuildResult
from tvixbuild_nb.castore.castore import Castore
from tvixbuild_nb.castore.progress import Shown
from tvixbuild_nb.errors import Cancelled, HostRefused, InvalidValue
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.request import BuildRequest

StageHeard: TypeAlias = Callable[[StageEvent], None]
SentHeard: TypeAlias = Callable[["Placement"], None]
OutputCheck: TypeAlias = Callable[[BuildRequest, Sequence[BuildOutput]], None]
Keep: TypeAlias = Literal["failure", "always", "never"]
Inputs: TypeAlias = Literal["auto", "fuse", "checkout"]
Hold: TypeAlias = Literal["created", "running"]
Listing: TypeAlias = Literal["sorted", "backwards"]


@dataclass(frozen=True, slots=True)
class BuildPolicy:
    """How to build, as opposed to what; nothing of it changes a successful build's outputs.

    timeout   seconds that the command may run, None for no limit
    silent_timeout   seconds that it may go without a byte of output; who waits for what is recorded before it is ended
    grace     seconds between asking the processes to end (SIGTERM) and ending them (SIGKILL)
    keep      which bundles stay: of failed builds, always, never
    inputs    fuse, checkout, or auto: FUSE where it works
    strict    refuse instead of doing without something
    observe   look at the container between its creation and its start
    trace     record what the build looked up, opened and read
    listing   in which order directories of inputs are listed: sorted by name, or from the last one on
    room      bytes of memory that the bundle may take, to be listed in another order than on a disk; None: on the disk
    processors  how many the build may use, and so counts; None for all there are
    options   how the request is rendered; None: what this host needs
    """

    timeout: float | None = None
    silent_timeout: float | None = None
    grace: float = 1.0
    keep: Keep = "failure"
    inputs: Inputs = "auto"
    strict: bool = False
    observe: bool = False
    trace: bool = True
    listing: Listing = "sorted"
    room: int | None = None
    processors: int | None = None
    options: SpecOptions | None = None

    def __post_init__(self) -> None:
        for name in ("timeout", "silent_timeout", "grace"):
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float | None):
                raise InvalidValue(f"seconds are a number, not {seconds!r}", path=name)
        for name in ("timeout", "silent_timeout"):
            if (limit := getattr(self, name)) is not None and not limit > 0:
                raise InvalidValue(f"a timeout is more than 0 seconds, not {limit}", path=name)
        for name, least in (("room", 0), ("processors", 1)):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int | None) or (count is not None and count < least):
                raise InvalidValue(f"a whole number from {least} on, or None, not {count!r}", path=name)
        if not self.grace >= 0:
            raise InvalidValue(f"a grace is 0 seconds or more, not {self.grace}", path="grace")
        for name, value, known in (
            ("keep", self.keep, ("failure", "always", "never")),
            ("inputs", self.inputs, ("auto", "fuse", "checkout")),
            ("listing", self.listing, ("sorted", "backwards")),
        ):
            if value not in known:
                raise InvalidValue(f"{value!r} is not one of {', '.join(known)}", path=name)

    @property
    def recorded(self) -> RecordedPolicy:
        """What of it shows in what is recorded of a run."""
        return RecordedPolicy(
            timeout=self.timeout,
            silent_timeout=self.silent_timeout,
            observe=self.observe,
            trace=self.trace,
            listing=self.listing,
            in_memory=self.room is not None,
            processors=self.processors,
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a build is that was sent away: its worker (None: nobody has taken it yet), and the workers lost with it.

    ``last`` is the end of its log, where that is not told any more.
    """

    worker: str | None = None
    lost: tuple[str, ...] = ()
    last: bytes = b""


class CancelToken:
    """One build's cancellation: asked for from any thread, heard by whoever registered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._listeners: list[Callable[[], None]] = []

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def cancel(self) -> None:
        """Ask once; further calls do nothing."""
        with self._lock:
            if self._asked.is_set():
                return
            self._asked.set()
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def wait(self, timeout: float) -> bool:
        """Whether it was asked for within ``timeout`` seconds."""
        return self._asked.wait(timeout)

    def check(self) -> None:
        """:class:`Cancelled` when it was asked for."""
        if self.asked:
            raise Cancelled("the build was cancelled")

    @contextmanager
    def heard_by(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call ``listener`` when (or if already) asked, during the block."""
        with self._lock:
            self._listeners.append(listener)
            asked = self._asked.is_set()
        if asked:
            listener()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)


@dataclass(slots=True)
class BuildContext:
    """What one build is given besides its request: policy, record, cancellation; and its clock of stages.

    ``check`` raises :class:`OutputError` for outputs that were made and are not to be taken: the build then failed, and
    they are the result's ``rejected``. ``heard`` is called with the events of stages as they are recorded, ``sent``
    when a build that was sent away is at another worker. ``scratch``: the ``scratch/`` of another bundle of the same
    request, of which this one begins with a copy. ``hold``: the sandbox is there for others to enter until the build is
    cancelled, and nobody's turn is taken: ``created``, its command is never executed; ``running``, it waits.
    ``bringing``: how far the inputs are that are on their way to a builder elsewhere, while they are.
    """

    record: RunRecord
    policy: BuildPolicy = field(default_factory=BuildPolicy)
    cancel: CancelToken = field(default_factory=CancelToken)
    timings: dict[str, float] = field(default_factory=dict)
    log_size: int = 0
    accepted: threading.Event = field(default_factory=threading.Event)
    check: OutputCheck | None = None
    heard: StageHeard | None = None
    sent: SentHeard | None = None
    scratch: Path | None = None
    hold: Hold | None = None
    bringing: list[Shown] = field(default_factory=list)

    def accept(self) -> None:
        """The request was not refused: from here on the build ends with a result, not an exception."""
        self.accepted.set()

    def take_down(self, request: BuildRequest) -> None:
        """Record what is asked for: the request, and how it is to be built."""
        self.record.write_request(request)
        if self.policy.options is not None:
            self.record.write_options(self.policy.options)
        self.record.write_policy(self.policy.recorded)

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Emit that ``stage`` started, and that it finished or failed; its seconds go to ``timings``."""
        self._tell(StageEvent(time=time.time(), stage=stage, state="started", log_offset=self.log_size))
        clock = time.perf_counter()
        try:
            yield
        except BaseException as error:
            self._leave(stage, "failed", clock, getattr(error, "message", None) or str(error))
            raise
        self._leave(stage, "finished", clock, None)

    def _leave(self, stage: Stage, state: Literal["finished", "failed"], clock: float, detail: str | None) -> None:
        self.timings[stage] = self.timings.get(stage, 0.0) + time.perf_counter() - clock
        self._tell(StageEvent(time=time.time(), stage=stage, state=state, log_offset=self.log_size, detail=detail))

    def retell(self, event: StageEvent) -> None:
        """Emit what happened in the run that this one repeats."""
        self._tell(event)

    def _tell(self, event: StageEvent) -> None:
        self.record.emit(event)
        if self.heard is not None:
            self.heard(event)

    def end(self, result: BuildResult, *, time_of_end: float | None = None) -> BuildResult:
        """Write the result, then the last event; the result, which says so when it could not be written.

        ``time_of_end``: seconds since the epoch, None for now.
        """
        try:
            self.record.write_result(result)
        except HostRefused as error:
            result = result.model_copy(update={"degraded": (*result.degraded, f"record: {error.message}")})
        self.record.emit(
            EndEvent(
                time=time.time() if time_of_end is None else time_of_end,
                status=result.status,
                failed_at=result.failed_at,
                exit_code=result.exit_code,
                signal=result.signal,
                log_offset=self.log_size,
                message=result.message,
            )
        )
        return result


@runtime_checkable
class BuildService(Protocol):
    """Builds requests. Safe for several threads; each call is one build.

    ``castore`` is where inputs are taken from and outputs go to; ``address`` opens the same service again.
    """

    @property
    def address(self) -> str: ...
    @property
    def castore(self) -> Castore: ...
    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        """Build ``request`` and wait for the end; a build that fails is a result, not an exception.

        Raises :class:`HostRefused`, :class:`InvalidRequest` or :class:`InvalidSpec` before anything
        is started when it cannot be built here. The result is recorded in ``context.record``.
        """
        ...

    def close(self) -> None:
        """Let go of what the service holds; running builds end first."""
        ...
