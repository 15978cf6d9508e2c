from tvixbuild_nb.proto import build_pb2 as _build_pb2
from tvixbuild_nb.proto import castore_pb2 as _castore_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchedBuildRequest(_message.Message):
    __slots__ = ("build_request", "policy")
    BUILD_REQUEST_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    build_request: _build_pb2.BuildRequest
    policy: BuildPolicy
    def __init__(self, build_request: _Optional[_Union[_build_pb2.BuildRequest, _Mapping]] = ..., policy: _Optional[_Union[BuildPolicy, _Mapping]] = ...) -> None: ...

class BuildPolicy(_message.Message):
    __slots__ = ("timeout", "silent_timeout", "grace", "strict", "observe", "trace", "listing", "processors", "hostname", "limits")
    class Limits(_message.Message):
        __slots__ = ("memory", "pids", "cpu")
        MEMORY_FIELD_NUMBER: _ClassVar[int]
        PIDS_FIELD_NUMBER: _ClassVar[int]
        CPU_FIELD_NUMBER: _ClassVar[int]
        memory: int
        pids: int
        cpu: float
        def __init__(self, memory: _Optional[int] = ..., pids: _Optional[int] = ..., cpu: _Optional[float] = ...) -> None: ...
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SILENT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    LISTING_FIELD_NUMBER: _ClassVar[int]
    PROCESSORS_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    timeout: float
    silent_timeout: float
    grace: float
    strict: bool
    observe: bool
    trace: bool
    listing: str
    processors: int
    hostname: str
    limits: BuildPolicy.Limits
    def __init__(self, timeout: _Optional[float] = ..., silent_timeout: _Optional[float] = ..., grace: _Optional[float] = ..., strict: _Optional[bool] = ..., observe: _Optional[bool] = ..., trace: _Optional[bool] = ..., listing: _Optional[str] = ..., processors: _Optional[int] = ..., hostname: _Optional[str] = ..., limits: _Optional[_Union[BuildPolicy.Limits, _Mapping]] = ...) -> None: ...

class BuildEvent(_message.Message):
    __slots__ = ("accepted", "stage", "log", "file", "result")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    accepted: Accepted
    stage: Stage
    log: LogChunk
    file: RecordedFile
    result: Result
    def __init__(self, accepted: _Optional[_Union[Accepted, _Mapping]] = ..., stage: _Optional[_Union[Stage, _Mapping]] = ..., log: _Optional[_Union[LogChunk, _Mapping]] = ..., file: _Optional[_Union[RecordedFile, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Stage(_message.Message):
    __slots__ = ("time", "stage", "state", "detail")
    TIME_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    time: float
    stage: str
    state: str
    detail: str
    def __init__(self, time: _Optional[float] = ..., stage: _Optional[str] = ..., state: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("time", "stream", "data")
    TIME_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    time: float
    stream: str
    data: bytes
    def __init__(self, time: _Optional[float] = ..., stream: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class RecordedFile(_message.Message):
    __slots__ = ("name", "data")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    data: bytes
    def __init__(self, name: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("path", "node", "needles")
    PATH_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    NEEDLES_FIELD_NUMBER: _ClassVar[int]
    path: str
    node: _castore_pb2.Node
    needles: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, path: _Optional[str] = ..., node: _Optional[_Union[_castore_pb2.Node, _Mapping]] = ..., needles: _Optional[_Iterable[int]] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("status", "failed_at", "exit_code", "signal", "message", "hint", "outputs", "written", "started", "finished", "timings", "usage", "degraded", "runtime", "inputs")
    class TimingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FAILED_AT_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    status: str
    failed_at: str
    exit_code: int
    signal: int
    message: str
    hint: str
    outputs: _containers.RepeatedCompositeFieldContainer[Output]
    written: _containers.RepeatedScalarFieldContainer[str]
    started: float
    finished: float
    timings: _containers.ScalarMap[str, float]
    usage: Usage
    degraded: _containers.RepeatedScalarFieldContainer[str]
    runtime: str
    inputs: str
    def __init__(self, status: _Optional[str] = ..., failed_at: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[Output, _Mapping]]] = ..., written: _Optional[_Iterable[str]] = ..., started: _Optional[float] = ..., finished: _Optional[float] = ..., timings: _Optional[_Mapping[str, float]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., degraded: _Optional[_Iterable[str]] = ..., runtime: _Optional[str] = ..., inputs: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("wall", "cpu_user", "cpu_system", "cpu", "peak_memory", "oom_kills", "source")
    WALL_FIELD_NUMBER: _ClassVar[int]
    CPU_USER_FIELD_NUMBER: _ClassVar[int]
    CPU_SYSTEM_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_FIELD_NUMBER: _ClassVar[int]
    OOM_KILLS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    wall: float
    cpu_user: float
    cpu_system: float
    cpu: float
    peak_memory: int
    oom_kills: int
    source: str
    def __init__(self, wall: _Optional[float] = ..., cpu_user: _Optional[float] = ..., cpu_system: _Optional[float] = ..., cpu: _Optional[float] = ..., peak_memory: _Optional[int] = ..., oom_kills: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...
