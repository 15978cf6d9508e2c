"""Recorded: when and where a run was built that is shown here without having been built here."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import time
from functools import cache
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from tvixbuild_nb.build.host import RuntimeProgram
from tvixbuild_nb.build.hostside import HostSide

# The last moment that has a date, in seconds since the epoch: the end of the year 9999.
LATEST = 253402300799
_PATIENCE = 10.0


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordedHost(_Value):
    """The host a run was built on; nothing in it says whose it is.

    ``kernel``: name and version; ``distribution``: as /etc/os-release calls it; ``runtime``: runc or crun, None where
    no container was made.
    """

    kernel: str
    machine: str
    distribution: str | None = None
    runtime: str | None = None
    runtime_version: str | None = None

    def __str__(self) -> str:
        short = re.match(r"(\S+ \d+\.\d+)", self.kernel)
        kernel = self.kernel if short is None else short[1]
        runtime = " ".join(filter(None, (self.runtime, self.runtime_version)))
        return f"{kernel}, {runtime}" if runtime else kernel


class RunHost(RecordedHost):
    """The host of a run as its directory keeps it: also the side that an isolation compares the sandbox with."""

    side: HostSide | None = None

    @classmethod
    def here(cls, runtime: RuntimeProgram | None = None) -> Self:
        """This host, and the runtime that the run has."""
        return cls(
            # Without what who built the kernel calls it.
            kernel=f"{platform.system()} {platform.release().partition('-')[0]}",
            machine=platform.machine(),
            distribution=_distribution(),
            runtime=None if runtime is None else runtime.kind,
            runtime_version=None if runtime is None else _version(runtime.path),
            side=HostSide.here(),
        )

    def to_json(self) -> bytes:
        """As it is kept: the same host gives the same bytes."""
        data = self.model_dump(mode="json")
        if data["side"] is not None:
            # A set, which has no order.
            data["side"]["capabilities"].sort()
        return json.dumps(data, separators=(",", ":")).encode()

    @property
    def facts(self) -> RecordedHost:
        """What may be told to anybody."""
        return RecordedHost(**{name: getattr(self, name) for name in RecordedHost.model_fields})


class RecordedPolicy(_Value):
    """What of a run's policy shows in what is recorded of it; see BuildPolicy. ``in_memory``: its ``room`` was said."""

    timeout: float | None = None
    silent_timeout: float | None = None
    observe: bool = False
    trace: bool = True
    listing: Literal["sorted", "backwards"] = "sorted"
    in_memory: bool = False
    processors: int | None = None


class Recorded(_Value):
    """When (seconds since the epoch) and where a run was built; ``host`` None: it is not known."""

    when: Annotated[float, Field(ge=0, le=LATEST)]
    host: RecordedHost | None = None

    def __str__(self) -> str:
        day = time.strftime("%Y-%m-%d", time.gmtime(self.when))
        return f"recorded {day}" if self.host is None else f"recorded {day} on {self.host}"


@cache
def _distribution() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


@cache
def _version(program: str) -> str | None:
    """What an OCI runtime says its version is; asked once per process, since it takes as long as a small build."""
    try:
        said = subprocess.run(
            [program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(rb"version (\S+)", said)
    return None if found is None else found[1].decode("ascii", "replace")
