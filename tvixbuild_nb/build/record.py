"""Runs on disk: ``runs/<id>/`` with request, config.json, events, log and result, for any process to read."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tvixbuild_nb.build import locks
from tvixbuild_nb.build.events import EndEvent, Event, LogEvent, StageEvent, recorded_event
from tvixbuild_nb.build.recorded import RecordedPolicy, RunHost
from tvixbuild_nb.build.result import BuildResult, UsageSample, lost_result
from tvixbuild_nb.build.visits import Visit
from tvixbuild_nb.errors import HostRefused, RunNotFound
from tvixbuild_nb.keeper import STREAMS, LogReader
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.request import BuildRequest, Redactor

STATE_VARIABLE = "TVIXBUILD_NB_STATE"
_ID = re.compile(r"[0-9a-z-]+\Z")


def state_directory() -> Path:
    """The user's state directory: ``TVIXBUILD_NB_STATE``, else the platform's place for such."""
    chosen = os.environ.get(STATE_VARIABLE)
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_state_dir("tvixbuild-nb", appauthor=False))


def new_run_id() -> str:
    """A fresh id that sorts by time: ``20261123-162501-3fa9c2``."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


class RunRecord:
    """One run's directory: written by the process that runs it, read by everybody.

    All files appear complete (written beside, then renamed), but the log, its index and the events,
    which grow.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        # Open from a live run's first event to its last.
        self._events = -1

    @property
    def id(self) -> str:
        return self.path.name

    @classmethod
    def create(cls, runs: Path | None = None) -> RunRecord:
        """A new, empty record with an id of its own."""
        runs = runs if runs is not None else state_directory() / "runs"
        with _recording(runs):
            runs.mkdir(mode=0o700, parents=True, exist_ok=True)
            while True:
                path = runs / new_run_id()
                try:
                    path.mkdir(mode=0o700)
                except FileExistsError:
                    continue
                return cls(path)

    @classmethod
    def open(cls, run: str, runs: Path | None = None) -> RunRecord:
        """The record whose id is or begins with ``run``; :class:`RunNotFound` when none or several do."""
        runs = runs if runs is not None else state_directory() / "runs"
        found = [record for record in cls.all(runs) if _ID.match(run) and record.id.startswith(run)]
        exact = [record for record in found if record.id == run]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if not found:
            raise RunNotFound(f"no run with the id {run!r}", path=str(runs), hint="`tvixbuild-nb runs` lists them")
        raise RunNotFound(
            f"{len(found)} runs begin with {run!r}: {', '.join(record.id for record in found[:5])}", path=str(runs)
        )

    @classmethod
    def all(cls, runs: Path | None = None) -> list[RunRecord]:
        """Every recorded run, oldest first."""
        runs = runs if runs is not None else state_directory() / "runs"
        try:
            names = sorted(entry.name for entry in os.scandir(runs) if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []
        return [cls(runs / name) for name in names]

    @property
    def log_path(self) -> Path:
        return self.path / "log"

    @property
    def index_path(self) -> Path:
        return self.path / "log.index"

    @property
    def accesses_path(self) -> Path:
        return self.path / "accesses.json"

    @property
    def inside_path(self) -> Path:
        return self.path / "inside.json"

    @property
    def sample_path(self) -> Path:
        return self.path / "sample.json"

    @property
    def processes_path(self) -> Path:
        return self.path / "processes.json"

    def read_sample(self) -> UsageSample | None:
        """What the build used when it was last looked at, half a second ago; None where nobody looks (yet)."""
        try:
            return UsageSample.model_validate_json(self.sample_path.read_bytes())
        except FileNotFoundError:
            return None

    def read_processes(self) -> tuple[float, list[dict[str, Any]]] | None:
        """When, and the processes there were, when the build was ended for want of time; None otherwise."""
        try:
            noted = json.loads(self.processes_path.read_bytes())
        except FileNotFoundError:
            return None
        return noted["time"], noted["processes"]

    def write_request(self, request: BuildRequest) -> None:
        self._write("request.json", request.to_json().encode())

    def read_request(self) -> BuildRequest:
        return BuildRequest.from_json((self.path / "request.json").read_bytes())

    def write_secrets(self, names: Iterable[str]) -> None:
        """Note which variables of the request have values that nobody is to see."""
        self._write("secrets.json", json.dumps(sorted(names)).encode())

    def redactor(self) -> Redactor:
        """What takes the values of this run's secrets out of text that somebody will see."""
        try:
            names: list[str] = json.loads((self.path / "secrets.json").read_bytes())
            return Redactor.of(self.read_request().environment_vars, names)
        except FileNotFoundError:
            return Redactor()

    def write_options(self, options: SpecOptions) -> None:
        """Note the options that the run was asked to be rendered with: config.json does not tell all of them."""
        self._write("options.json", options.model_dump_json().encode())

    def read_options(self) -> SpecOptions | None:
        """What :meth:`write_options` noted; None where the host's were good enough."""
        try:
            return SpecOptions.model_validate_json((self.path / "options.json").read_bytes())
        except FileNotFoundError:
            return None

    def write_policy(self, policy: RecordedPolicy) -> None:
        """Note how it was to be built, as far as that shows in what is recorded of it."""
        self._write("policy.json", policy.model_dump_json(exclude_defaults=True).encode())

    def read_policy(self) -> RecordedPolicy | None:
        """What :meth:`write_policy` noted; None where nobody did."""
        try:
            return RecordedPolicy.model_validate_json((self.path / "policy.json").read_bytes())
        except FileNotFoundError:
            return None

    def write_host(self, host: RunHost) -> None:
        """Note where it is built."""
        self._write("host.json", host.to_json())

    def read_host(self) -> RunHost | None:
        """What :meth:`write_host` noted; None where nobody did."""
        try:
            return RunHost.model_validate_json((self.path / "host.json").read_bytes())
        except FileNotFoundError:
            return None

    def note_visit(self, visit: Visit) -> None:
        """Note what a command in the sandbox of this run answered; not on a full disk: who asked has the answer."""
        with self._lock, contextlib.suppress(OSError), (self.path / "visits.jsonl").open("ab") as file:
            file.write(visit.model_dump_json(exclude_defaults=True).encode() + b"\n")

    def read_visits(self) -> list[Visit]:
        """What :meth:`note_visit` noted, in order; a line that was cut short is left out."""
        try:
            data = (self.path / "visits.jsonl").read_bytes()
        except FileNotFoundError:
            return []
        return [Visit.model_validate_json(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]

    def write_origin(self, origin: Mapping[str, str]) -> None:
        """Note what the outputs are to Nix beyond their bytes: ``deriver``, and ``ca`` of a fixed one."""
        self._write("origin.json", json.dumps(dict(origin)).encode())

    def read_origin(self) -> dict[str, str]:
        """What :meth:`write_origin` noted; empty for what was not built from a derivation."""
        try:
            origin: dict[str, str] = json.loads((self.path / "origin.json").read_bytes())
        except FileNotFoundError:
            return {}
        return origin

    def write_explanation(self, document: bytes) -> None:
        """Keep what explains the run: what it was found in may change, once somebody enters the sandbox."""
        self._write("explanation.json", document)

    def write_config(self, text: str) -> None:
        self._write("config.json", text.encode())

    def read_config(self) -> dict[str, object] | None:
        """The config.json that was run, or None when it never came to that."""
        try:
            config: dict[str, object] = json.loads((self.path / "config.json").read_bytes())
        except FileNotFoundError:
            return None
        return config

    def write_result(self, result: BuildResult) -> None:
        self._write("result.json", result.model_dump_json(indent=1).encode())

    def read_result(self) -> BuildResult | None:
        """The result, or None while (or because) there is none."""
        try:
            return BuildResult.model_validate_json((self.path / "result.json").read_bytes())
        except FileNotFoundError:
            return None

    def verdict(self) -> BuildResult | None:
        """The result, None while the run goes on; a run whose process died was cancelled by that."""
        result = self.read_result()
        if result is not None or self.is_running():
            return result
        # Looked at again: it may have been written between the two questions.
        result = self.read_result()
        if result is not None:
            return result
        with self.log() as log:
            return lost_result(self.id, self.read_request().digest, self.path.stat().st_mtime, log.size())

    def _write(self, name: str, data: bytes) -> None:
        temporary = self.path / f".{name}.{secrets.token_hex(4)}"
        with _recording(self.path / name):
            try:
                temporary.write_bytes(data)
                temporary.rename(self.path / name)
            finally:
                temporary.unlink(missing_ok=True)

    def take_in(self, files: Mapping[str, bytes]) -> None:
        """Keep files, by name, of the record that a worker made of this run."""
        for name, data in files.items():
            self._write(name, data)

    def emit(self, event: StageEvent | EndEvent) -> None:
        """Append one event; log chunks are the keeper's to write. On a full disk it is left out: builds go on."""
        line = event.model_dump_json(exclude_none=True).encode() + b"\n"
        with self._lock, contextlib.suppress(OSError):
            try:
                if self._events < 0:
                    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                    self._events = os.open(self.path / "events.jsonl", flags, 0o644)
                os.write(self._events, line)
            finally:
                if isinstance(event, EndEvent):
                    self._close_events()

    def _close_events(self) -> None:
        if self._events >= 0:
            os.close(self._events)
            self._events = -1

    def read_stages(self) -> list[StageEvent | EndEvent]:
        """The events so far but the log's chunks; :class:`EventReader` has them all in order."""
        try:
            data = (self.path / "events.jsonl").read_bytes()
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        return [recorded_event.validate_json(line) for line in complete.splitlines()]

    @contextmanager
    def held(self) -> Iterator[None]:
        """During the block everybody can see that this run's process is alive (a lock that dies with it)."""
        while (fd := locks.take(self._lock_path)) is None:
            time.sleep(0.001)  # somebody is just asking
        try:
            yield
        finally:
            os.close(fd)

    def is_running(self) -> bool:
        """Whether the process that runs this build is alive."""
        return locks.is_taken(self._lock_path)

    @property
    def _lock_path(self) -> Path:
        return self.path / "lock"

    def log(self) -> LogReader:
        """A reader of the raw log; close it, or use it as a context manager."""
        return LogReader(self.log_path, self.index_path)

    def delete(self) -> None:
        """Remove the record; idempotent."""
        with self._lock:
            self._close_events()
        if self.path.exists():
            shutil.rmtree(self.path)


@contextmanager
def _recording(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into :class:`HostRefused`: a run that cannot be recorded is not started."""
    try:
        yield
    except OSError as error:
        raise HostRefused(
            f"the run cannot be recorded: {error.strerror}",
            path=path,
            hint=f"free some space there, or name another directory in {STATE_VARIABLE}",
        ) from error


class EventReader:
    """The events of one run in order, from the beginning, as far as they are there.

    Everything is read from disk, so that a reader costs the build nothing, however slow it is.
    """

    def __init__(self, record: RunRecord) -> None:
        self._events = record.path / "events.jsonl"
        self._log = record.log()
        self._position = 0
        self._end = 0
        self._stages: list[StageEvent | EndEvent] = []
        self.ended = False

    def close(self) -> None:
        self._log.close()

    def read(self, limit: int = 256) -> Iterator[Event]:
        """What came since the last call; at most ``limit`` log chunks (of at most 256 KiB each)."""
        # The log first: whatever is in the index now was written before any event not yet on disk.
        records = list(self._log.records(limit))
        self._stages.extend(self._new_lines())
        for record in records:
            yield from self._stages_up_to(record.offset)
            data = self._log.read(record.offset, record.length)
            yield LogEvent(time=record.time, stream=STREAMS[record.stream], offset=record.offset, data=data)
            self._end = record.offset + record.length
        yield from self._stages_up_to(self._end)

    def _stages_up_to(self, offset: int) -> Iterator[StageEvent | EndEvent]:
        while self._stages and self._stages[0].log_offset <= offset:
            event = self._stages.pop(0)
            self.ended = self.ended or isinstance(event, EndEvent)
            yield event

    def _new_lines(self) -> Iterator[StageEvent | EndEvent]:
        try:
            with self._events.open("rb") as file:
                file.seek(self._position)
                data = file.read()
        except FileNotFoundError:
            return
        complete = data[: data.rfind(b"\n") + 1]
        self._position += len(complete)
        for line in complete.splitlines():
            yield recorded_event.validate_json(line)
