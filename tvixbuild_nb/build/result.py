"""BuildResult: everything a build service can say about a build that was started."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from tvixbuild_nb.build.events import FailedAt, Status
from tvixbuild_nb.build.recorded import Recorded
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import decode_node, encode_node
from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode, Node, SymlinkNode


def _read_node(value: Any) -> Any:
    return decode_node(base64.b64decode(value))[1] if isinstance(value, str) else value


def _write_node(node: Node) -> str:
    # The nameless Node message of castore is what travels; its name is the output's path.
    return base64.b64encode(encode_node(b"x", node)).decode()


def _read_digest(value: Any) -> Any:
    return Digest.from_hex(value) if isinstance(value, str) else value


NodeField = Annotated[Node, BeforeValidator(_read_node), PlainSerializer(_write_node, return_type=str)]
DigestField = Annotated[Digest, BeforeValidator(_read_digest), PlainSerializer(str, return_type=str)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class BuildOutput(_Value):
    """One output: its path as in the request, its castore node, and which needles were found in it.

    ``needles`` are indices into the request's ``refscan_needles``, ascending.
    """

    path: str
    node: NodeField
    needles: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        """file, directory or symlink."""
        return node_kind(self.node)


class Usage(_Value):
    """What a build used: seconds and bytes; None is never silent, ``source`` says where figures come from.

    ``peak_memory`` is the whole sandbox's from a cgroup; from rusage it is only the largest single process's.
    """

    wall: float | None = None
    cpu_user: float | None = None
    cpu_system: float | None = None
    cpu: float | None = None
    peak_memory: int | None = None
    oom_kills: int | None = None
    source: str

    def __str__(self) -> str:
        parts = []
        if self.wall is not None:
            parts.append(f"{self.wall:.3f} s")
        if self.cpu is not None:
            parts.append(f"{self.cpu:.3f} s of CPU")
        if self.peak_memory is not None:
            parts.append(f"at most {self.peak_memory / (1 << 20):.1f} MiB")
        if self.oom_kills:
            parts.append(f"{self.oom_kills} ended for lack of memory")
        return f"{', '.join(parts) or 'nothing measured'} ({self.source})"

    @classmethod
    def from_keeper(cls, usage: dict[str, Any]) -> Usage:
        """From the keeper's figures: cgroups where they were used, else rusage."""
        cgroup: dict[str, Any] = usage.get("cgroup") or {}
        cpu = [usage.get("cpu_user"), usage.get("cpu_system")]
        from_rusage = None if None in cpu else sum(part for part in cpu if part is not None)
        exact = "peak_memory" in cgroup
        if not usage:
            source = "the sandbox never ran"
        else:
            source = "cgroup" if exact else "rusage (peak memory: largest single process)"
        return cls(
            wall=usage.get("wall"),
            cpu_user=cpu[0],
            cpu_system=cpu[1],
            cpu=cgroup.get("cpu", from_rusage),
            peak_memory=cgroup.get("peak_memory", usage.get("peak_memory_process")),
            oom_kills=cgroup.get("oom_kills"),
            source=source,
        )


class UsageSample(_Value):
    """What a build that goes on uses at ``time`` (seconds since the epoch); None is what its host does not tell.

    ``cpu``: seconds so far, ``load``: CPUs in use since the sample before, ``memory``, ``peak_memory``: bytes.
    ``source``: the sandbox's ``cgroup`` (memory has file caches in it), or the sum over its ``processes`` where there
    is none (memory they share counts for each, and the peak is the largest sample).
    """

    time: float
    source: Literal["cgroup", "processes"]
    cpu: float | None = None
    load: float | None = None
    memory: int | None = None
    peak_memory: int | None = None
    oom_kills: int | None = None
    pids: int | None = None


# The store of a run whose process died before it could tell.
UNKNOWN_STORE = "unknown"


class BuildResult(_Value):
    """The verdict on one build and everything that belongs to it.

    status, failed_at   how it ended, and whose fault a failure was: setup, exec, build, output, ingest
    exit_code, signal   of the sandbox's first process; None when it did not end that way or never ran
    message, hint       the failure in words, and what to do; None when there is nothing to say
    outputs             in the request's order; empty unless the build succeeded
    rejected            those that were made and not taken, since a check refused one; empty otherwise
    written             after a missing output: what the build did write (paths inside, at most 200)
    timings             stage -> seconds
    degraded            what the run had to do without, one sentence each
    bundle              the kept bundle, or None
    worker              who built it, when it was sent to a worker; None: the service did it itself
    recorded            when and where it was built, of what comes from a record; None: it was built here
    """

    id: str
    request_digest: DigestField
    service: str
    status: Status
    failed_at: FailedAt | None = None
    exit_code: int | None = None
    signal: int | None = None
    message: str | None = None
    hint: str | None = None
    outputs: tuple[BuildOutput, ...] = ()
    rejected: tuple[BuildOutput, ...] = ()
    written: tuple[str, ...] | None = None
    store: str
    started: float
    finished: float
    timings: dict[str, float]
    usage: Usage
    degraded: tuple[str, ...] = ()
    runtime: str | None = None
    inputs: str | None = None
    log_size: int = 0
    bundle: Path | None = None
    worker: str | None = None
    recorded: Recorded | None = None

    @property
    def ok(self) -> bool:
        return self.status == "succeeded"

    def verdict(self) -> str:
        """One sentence: how it ended, why, and what it had to do without; the hint is apart."""
        if self.ok:
            text = f"succeeded in {self.finished - self.started:.2f} s"
        else:
            fault = f" at {self.failed_at}" if self.failed_at else ""
            text = f"{self.status}{fault}{': ' + self.message if self.message else ''}"
        return f"{text} (without: {'; '.join(self.degraded)})" if self.degraded else text


def node_kind(node: Node) -> str:
    """file, directory or symlink."""
    return {FileNode: "file", DirectoryNode: "directory", SymlinkNode: "symlink"}[type(node)]


def output_summary(output: BuildOutput) -> dict[str, Any]:
    """The output as plain data for machines: path, kind, digest (hex or None), size, needles, and more by kind."""
    node = output.node
    summary: dict[str, Any] = {
        "path": output.path,
        "kind": output.kind,
        "digest": None if isinstance(node, SymlinkNode) else str(node.digest),
        "size": len(node.target) if isinstance(node, SymlinkNode) else node.size,
        "needles": list(output.needles),
    }
    if isinstance(node, FileNode):
        summary["executable"] = node.executable
    elif isinstance(node, DirectoryNode):
        summary["entries"] = node.entry_count
    else:
        summary["target"] = node.target.decode("utf-8", "backslashreplace")
    return summary


def lost_result(id: str, request_digest: Digest, started: float, log_size: int) -> BuildResult:
    """The verdict on a run whose process died before it could write one: its build ended with it."""
    return BuildResult(
        id=id,
        request_digest=request_digest,
        service="unknown",
        status="cancelled",
        message="the process that ran this build died, and the build with it",
        store=UNKNOWN_STORE,
        started=started,
        finished=started,
        timings={},
        usage=Usage(source="the process that measured it died"),
        log_size=log_size,
    )
