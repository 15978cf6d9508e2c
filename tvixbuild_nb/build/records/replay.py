"""ReplayBuildService: a request whose digest has a record gets that result again, marked as recorded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tvixbuild_nb.build.events import EndEvent, StageEvent, recorded_event
from tvixbuild_nb.build.records.reading import RecordFile
from tvixbuild_nb.build.records.shelf import Kept, Shelf, Wanted
from tvixbuild_nb.build.records.unpacking import check_record, check_room, marked, unpack_content, unpack_files
from tvixbuild_nb.build.records.writing import output_nodes
from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.errors import CastoreError, InvalidRecord, NotRecorded, OutputError
from tvixbuild_nb.request import BuildRequest

# What the one who asks has written already.
_ASKED = ("request.json", "secrets.json", "options.json", "policy.json", "origin.json")


class ReplayBuildService:
    """Shows again what the records in ``directory`` hold; nothing is built, so it needs no Linux and no privilege.

    Of several records of a request the one is taken whose options and policy are those asked for; where there are
    several of these, each in turn. Contents go to ``castore`` (default: the embedded store). ``runtime``: prefer what
    was recorded with it.
    """

    def __init__(
        self, directory: str | os.PathLike[str], castore: Castore | None = None, *, runtime: str | None = None
    ) -> None:
        self._castore = castore if castore is not None else open_castore()
        self._shelf = Shelf(Path(directory))
        self._runtime = runtime

    @property
    def address(self) -> str:
        return f"replay:{self._shelf.directory}"

    @property
    def castore(self) -> Castore:
        return self._castore

    def close(self) -> None:
        """Nothing is held."""

    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        """See :class:`BuildService`; raises :class:`NotRecorded` when no record has the request."""
        if context.hold is not None:
            raise NotRecorded("nothing runs here that could be entered", path=self.address)
        wanted = Wanted.of(context.policy.options, context.policy.recorded, self._runtime)
        found = self._shelf.look_up(request.digest, wanted)
        if not found:
            raise NotRecorded(
                f"no record in {self._shelf.directory} is of this request, {request.digest}", path=self.address,
                hint="builds cannot run here, only what was recorded can be shown: of an exercise its solution, not "
                "what is your own; where it can be built: sb.run().save('x.tvixrun', outputs=True), and put it there",
            )  # fmt: skip
        context.take_down(request)
        taken = self._take(found, wanted, request, context)
        context.accept()
        return self._retell(taken, request, context)

    def _take(self, found: Sequence[Kept], wanted: Wanted, request: BuildRequest, context: BuildContext) -> _Taken:
        """The first of ``found`` that is whole, unpacked; :class:`InvalidRecord` when none is."""
        degraded: list[str] = []
        error: InvalidRecord | None = None
        for kept in found:
            try:
                with RecordFile(kept.path) as file:
                    theirs, result = check_record(file)
                    check_room(context.record.path, file.manifest.size)
                    unpack_content(file, theirs, result, self._castore)
                    unpack_files(file, context.record.path, without=_ASKED)
                    events = _events(file)
            except (InvalidRecord, FileNotFoundError, PermissionError) as broken:
                error = broken if isinstance(broken, InvalidRecord) else error
                degraded.append(f"the record {kept.path.name}: {broken}")
                continue
            degraded += _other_options(kept, wanted)
            if not kept.manifest.content.outputs and not all(map(self._castore.has, output_nodes(result))):
                degraded.append("contents of the outputs: they were not saved in the record")
            return _Taken(marked(result, file.manifest.recorded), events, tuple(degraded))
        raise error or InvalidRecord("the records of this request are gone", path=self.address)

    def _retell(self, taken: _Taken, request: BuildRequest, context: BuildContext) -> BuildResult:
        result = taken.result.model_copy(
            update={
                "id": context.record.id,
                "service": self.address,
                "store": self._castore.address,
                "degraded": (*taken.result.degraded, *taken.degraded),
            }
        )
        if context.cancel.asked:
            context.log_size = result.log_size
            update = {"status": "cancelled", "failed_at": None, "message": "the build was cancelled", "outputs": ()}
            return context.end(result.model_copy(update={**update, "rejected": (), "hint": None, "exit_code": None}))
        context.timings.update(result.timings)
        ended = result.finished
        for event in taken.events:
            if isinstance(event, StageEvent):
                context.log_size = event.log_offset
                context.retell(event)
            else:
                ended = event.time
        context.log_size = result.log_size
        return context.end(_checked(result, request, context), time_of_end=ended)


@dataclass(frozen=True, slots=True)
class _Taken:
    result: BuildResult
    events: Sequence[StageEvent | EndEvent]
    degraded: tuple[str, ...]


def _events(file: RecordFile) -> list[StageEvent | EndEvent]:
    if not file.has("events.jsonl"):
        return []
    return [recorded_event.validate_json(line) for line in file.read("events.jsonl").splitlines()]


def _other_options(kept: Kept, wanted: Wanted) -> list[str]:
    theirs = kept.manifest.choices
    if frozenset(theirs) == wanted.choices:
        return []
    said = ", ".join(f"{each.name} {each.asked}" for each in theirs) or "none"
    return [f"the options that were asked for: this was recorded with others ({said})"]


def _checked(result: BuildResult, request: BuildRequest, context: BuildContext) -> BuildResult:
    """The result; when somebody checks outputs and these are not to be taken, the build failed."""
    if context.check is None or not result.ok:
        return result
    try:
        context.check(request, result.outputs)
    except CastoreError as error:
        text = f"checks of the outputs, whose contents are not in the record ({error.message})"
        return result.model_copy(update={"degraded": (*result.degraded, text)})
    except OutputError as refused:
        update = {"status": "failed", "failed_at": "output", "message": refused.message, "hint": refused.hint}
        return result.model_copy(update={**update, "outputs": (), "rejected": result.outputs})
    return result
