"""Runs as record files: one, or all of a state directory, with the explanation of each."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.build.records import SUFFIX, write_record
from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.debug import Explanation
from tvixbuild_nb.errors import InvalidRecord, InvalidValue, NotFound, RemoteStoreError, TvixBuildError
from tvixbuild_nb.sandbox.run import Run

if TYPE_CHECKING:
    from tvixbuild_nb.build.records import Manifest

_DIGITS = 12
_EXPLANATION: TypeAdapter[Explanation] = TypeAdapter(Explanation)


@dataclass(frozen=True, slots=True)
class SavedSize:
    """A record that was written: where, its size in bytes, and what castore content it has."""

    path: Path
    size: int
    manifest: Manifest

    def __str__(self) -> str:
        content = self.manifest.content
        kinds = [name for name, there in (("outputs", content.outputs), ("inputs", content.inputs)) if there]
        inside = f"with {' and '.join(kinds)}" if kinds else "without contents of outputs and inputs"
        return f"{self.path}: {human(self.size)}, {inside}"


def save_run(run: Run, path: str | os.PathLike[str], *, outputs: bool = False, inputs: bool = False) -> SavedSize:
    """See :meth:`Run.save`."""
    place = Path(path)
    if place.suffix != SUFFIX:
        raise InvalidValue(f"records are called something{SUFFIX}", path=str(place), hint=f"{place.stem}{SUFFIX}")
    explanation = None
    if run.result is not None and not run.result.ok:
        explanation = _document(run)
    manifest = write_record(place, run.record, run.castore, outputs=outputs, inputs=inputs, explanation=explanation)
    return SavedSize(place, place.stat().st_size, manifest)


def keep_explanation(run: Run) -> None:
    """Have a failed run explained from now on as it is now; what was kept before stays."""
    if saved_explanation(run.record) is None:
        run.record.write_explanation(_document(run))


def _document(run: Run) -> bytes:
    explained = run.explain()
    document = {**_EXPLANATION.dump_python(explained, mode="json"), "text": str(explained)}
    return json.dumps(document, separators=(",", ":")).encode()


def saved_explanation(record: RunRecord) -> Explanation | None:
    """What explained a run when it was saved, or first entered; None where nothing did.

    :class:`InvalidRecord` when what was kept is none.
    """
    path = record.path / "explanation.json"
    try:
        fields = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    fields.pop("text", None)
    try:
        return _EXPLANATION.validate_python(fields)
    except ValidationError as error:
        raise InvalidRecord(f"no explanation: {error.error_count()} parts are wrong", path=str(path)) from error


def save_all(
    into: str | os.PathLike[str], runs: Path | None = None, *, outputs: bool = True, inputs: bool = False
) -> Iterator[SavedSize | TvixBuildError]:
    """Keep every run of a state directory that is over as ``into/<request>-<n>.tvixrun``, oldest first; each as it is.

    Parameters: ``runs``: the directory with the runs, None for the user's. Contents that the store has no more, or
    whose server does not answer any more, are left out; what cannot be saved for another reason is told in its place,
    and the others are saved all the same.
    """
    directory = Path(into)
    directory.mkdir(parents=True, exist_ok=True)
    count: Counter[str] = Counter()
    for record in sorted(RunRecord.all(runs), key=_recorded):
        run = Run(record)
        try:
            # What comes from a record is kept already.
            if run.result is None or run.recorded is not None:
                continue
            digest = str(run.result.request_digest)[:_DIGITS]
            count[digest] += 1
            path = directory / f"{digest}-{count[digest]}{SUFFIX}"
            try:
                yield save_run(run, path, outputs=outputs, inputs=inputs)
            except (NotFound, RemoteStoreError):
                yield save_run(run, path)
        except (TvixBuildError, FileNotFoundError, ValueError) as error:
            yield error if isinstance(error, TvixBuildError) else InvalidRecord(str(error), path=str(record.path))


def _recorded(record: RunRecord) -> tuple[str, int]:
    """Sorts by time: ids do so to the second only."""
    try:
        return record.id[:15], (record.path / "request.json").stat().st_mtime_ns
    except OSError:
        return record.id[:15], 0
