"""Writing a record: the files of a run's directory, without secrets, and castore content, as one ZIP file."""

from __future__ import annotations

import os
import secrets
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from blake3 import blake3

from tvixbuild_nb.build.record import RunRecord
from tvixbuild_nb.build.recorded import Recorded
from tvixbuild_nb.build.records.checking import check_documents
from tvixbuild_nb.build.records.content import Gathered, blob_pieces, directory_pieces, gathered
from tvixbuild_nb.build.records.files import run_files
from tvixbuild_nb.build.records.hiding import Hiding
from tvixbuild_nb.build.records.manifest import (
    BLOBS,
    DIRECTORIES,
    MANIFEST,
    MEMBERS,
    Choice,
    Content,
    Manifest,
    Member,
)
from tvixbuild_nb.build.records.reading import RecordFile
from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.castore import Castore, Node
from tvixbuild_nb.errors import InvalidRecord, InvalidValue
from tvixbuild_nb.oci import deviations
from tvixbuild_nb.request import BuildRequest

# The same run gives the same bytes: no time of its own, no system of its own.
_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_OWNERS = 0o600 << 16


@dataclass(frozen=True, slots=True)
class RecordSize:
    """Bytes a record takes before compression: the run's own files, and the contents that may go with them."""

    run: int
    outputs: int
    inputs: int


def record_size(record: RunRecord, castore: Castore) -> RecordSize:
    """How large a record with everything would be; contents that the store has no more count nothing."""
    files = [record.path / name for name in MEMBERS if "/" not in name]
    own = sum(file.stat().st_size for file in files if file.exists())
    nodes = output_nodes(record.read_result()), input_nodes(record.read_request())
    return RecordSize(own, *(gathered(castore, filter(castore.has, each)).size for each in nodes))


def output_nodes(result: BuildResult | None) -> list[Node]:
    """The nodes of outputs, taken or not."""
    return [] if result is None else [output.node for output in (*result.outputs, *result.rejected)]


def input_nodes(request: BuildRequest) -> list[Node]:
    """The nodes of inputs."""
    return list(request.inputs.values())


def write_record(
    path: Path,
    record: RunRecord,
    castore: Castore,
    *,
    outputs: bool = False,
    inputs: bool = False,
    explanation: bytes | None = None,
) -> Manifest:
    """Write the run of ``record`` to ``path``, which appears complete or not at all; what is in it.

    Parameters: ``outputs``, ``inputs``: with their contents; ``explanation``: a JSON document. Values of secrets are
    replaced in the run's files; contents or paths that hold one are refused, since they would be others without.
    :class:`InvalidValue` says so, and while the run goes on; :class:`NotFound` for contents the store has no more.
    """
    result = record.verdict()
    if result is None:
        raise InvalidValue("the run still goes on", path="run", hint="wait for it: run.wait()")
    request, hiding = record.read_request(), Hiding(record.redactor())
    content = gathered(castore, [*(output_nodes(result) if outputs else ()), *(input_nodes(request) if inputs else ())])
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with tempfile.TemporaryDirectory(prefix="tvixbuild-nb-") as work, zipfile.ZipFile(temporary, "x") as archive:
            parts = dict(run_files(record, request, result, hiding, Path(work)))
            if explanation is not None:
                parts["explanation.json"] = [hiding.document(explanation)]
            if outputs or inputs:
                parts[DIRECTORIES] = directory_pieces(content, hiding)
                parts[BLOBS] = blob_pieces(content, castore, hiding)
            members = {name: _add(archive, name, parts[name]) for name in MEMBERS if name in parts}
            manifest = _manifest(record, result, members, _counted(content, outputs, inputs))
            _add(archive, MANIFEST, [manifest.model_dump_json(exclude_defaults=False).encode()])
        _check(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return manifest


def _check(path: Path) -> None:
    """What is written can be read again: where a secret's value is a number, say, what is left need make no sense."""
    try:
        with RecordFile(path) as file:
            check_documents(file)
    except InvalidRecord as error:
        raise InvalidValue(f"the run cannot be kept as a record that can be read again: {error.message}") from error


def _version() -> str:
    try:
        return metadata.version("tvixbuild-nb")
    except metadata.PackageNotFoundError:  # run from a checkout that nobody installed
        return "unknown"


def _add(archive: zipfile.ZipFile, name: str, pieces: Iterable[bytes]) -> Member:
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, _UNIX, _OWNERS
    hasher, size = blake3(), 0
    with archive.open(info, "w") as member:
        for piece in pieces:
            size += len(piece)
            if size > MEMBERS.get(name, size):
                raise InvalidValue(f"{name} would be more than {MEMBERS[name]} bytes, the most a record takes")
            hasher.update(piece)
            member.write(piece)
    return Member(size=size, blake3=hasher.hexdigest())


def _counted(content: Gathered, outputs: bool, inputs: bool) -> Content:
    return Content(
        outputs=outputs,
        inputs=inputs,
        directories=len(content.directories),
        blobs=len(content.blobs),
        bytes=content.size,
    )


def _manifest(record: RunRecord, result: BuildResult, members: dict[str, Member], content: Content) -> Manifest:
    options, host = record.read_options(), record.read_host()
    asked = () if options is None else (each for each in deviations(options) if each.asked_by == "user")
    return Manifest(
        version=_version(),
        run=result.id,
        status=result.status,
        request=result.request_digest,
        # Of what was recorded before, that is what counts.
        recorded=result.recorded or Recorded(when=result.started, host=None if host is None else host.facts),
        secrets=tuple(sorted(record.redactor().names)),
        choices=tuple(Choice(name=each.name, asked=each.ours) for each in asked),
        policy=record.read_policy(),
        members=members,
        content=content,
    )
