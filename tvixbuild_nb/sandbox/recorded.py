"""RecordedRun: a run that somebody kept as a file, to be looked at like any other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn, Self

from tvixbuild_nb.build.records import Manifest, Opened, open_record
from tvixbuild_nb.errors import InvalidRecord, NotRecorded, TvixBuildError
from tvixbuild_nb.sandbox.run import Run


class RecordedRun(Run):
    """A run from a record file: all that can be seen of a run, as it was when it was saved; nothing of it goes on.

    ``recorded`` says when and where it was built, ``file`` is the record, ``manifest`` what it holds. Outputs and
    inputs can be walked through where their contents were saved. It cannot be cancelled or deleted, which raises
    :class:`NotRecorded`; :meth:`exec` and :meth:`shell` answer what was asked of the run before it was saved.
    """

    def __init__(self, opened: Opened) -> None:
        super().__init__(opened.record, opened.castore)
        self._opened = opened

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Self:
        """The run in ``path``; see :meth:`Run.load`."""
        run = cls(open_record(path))
        try:
            # What is only read by those who ask is read once now: a record is refused as a whole.
            run.explain()
            run.processes()
        except InvalidRecord:
            raise
        except (TvixBuildError, ValueError, KeyError, TypeError) as error:
            raise InvalidRecord(f"it does not make sense: {error!r}", path=os.fspath(path)) from error
        return run

    @property
    def file(self) -> Path:
        """The record."""
        return self._opened.path

    @property
    def manifest(self) -> Manifest:
        """What the record holds."""
        return self._opened.manifest

    def cancel(self) -> None:
        """A record goes on no more: :class:`NotRecorded`."""
        self._refuse("nothing of it goes on that could be cancelled")

    def delete(self) -> None:
        """A record is a file, to be deleted as such: :class:`NotRecorded`."""
        self._refuse("it is read-only", f"delete the file: {self.file}")

    def _refuse(self, why: str, hint: str | None = None) -> NoReturn:
        raise NotRecorded(f"run {self.id} is a record: {why}", path=str(self.file), hint=hint)
