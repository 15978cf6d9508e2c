"""build: build services, what they tell while they work, and what stays of it.

A :class:`BuildService` turns a request and a :class:`BuildContext` into a :class:`BuildResult`;
``oci:`` runs it here (``ocibuild`` is the conductor), ``grpc+http:`` and its kind elsewhere (``remote``), ``replay:``
shows again what was recorded, ``dummy:`` is for tests. Events and logs go to a :class:`RunRecord` on disk.
"""

from tvixbuild_nb.build.addresses import build_service_from_addr
from tvixbuild_nb.build.doctor import doctor
from tvixbuild_nb.build.dummy import DummyBuild, DummyBuildService
from tvixbuild_nb.build.events import EndEvent, Event, FailedAt, LogEvent, Stage, StageEvent, Status, Stream
from tvixbuild_nb.build.host import host_memory, host_system, runnable_systems
from tvixbuild_nb.build.hostside import HostSide
from tvixbuild_nb.build.inside import IdRange, Inside, MountInfo
from tvixbuild_nb.build.isolating import isolation_of
from tvixbuild_nb.build.isolation import Isolation
from tvixbuild_nb.build.oci import OCIBuildService
from tvixbuild_nb.build.places import default_bundle_root
from tvixbuild_nb.build.record import EventReader, RunRecord, state_directory
from tvixbuild_nb.build.recorded import Recorded, RecordedHost
from tvixbuild_nb.build.records import ReplayBuildService
from tvixbuild_nb.build.result import BuildOutput, BuildResult, Usage, UsageSample, output_summary
from tvixbuild_nb.build.service import (
    BuildContext,
    BuildPolicy,
    BuildService,
    CancelToken,
    Inputs,
    Keep,
    OutputCheck,
    Placement,
    StageHeard,
)

__all__ = [
    "BuildContext",
    "BuildOutput",
    "BuildPolicy",
    "BuildResult",
    "BuildService",
    "CancelToken",
    "DummyBuild",
    "DummyBuildService",
    "EndEvent",
    "Event",
    "EventReader",
    "FailedAt",
    "HostSide",
    "IdRange",
    "Inputs",
    "Inside",
    "Isolation",
    "Keep",
    "LogEvent",
    "MountInfo",
    "OCIBuildService",
    "OutputCheck",
    "Placement",
    "Recorded",
    "RecordedHost",
    "ReplayBuildService",
    "RunRecord",
    "Stage",
    "StageEvent",
    "StageHeard",
    "Status",
    "Stream",
    "Usage",
    "UsageSample",
    "build_service_from_addr",
    "default_bundle_root",
    "doctor",
    "host_memory",
    "host_system",
    "isolation_of",
    "output_summary",
    "runnable_systems",
    "state_directory",
]
