"""One tree of errors for the whole package.

    TvixBuildError                  everything this package raises on purpose
    ├── InvalidValue (ValueError)   a value was refused on construction: field, index, rule
    │   ├── InvalidNode             a castore node, name, digest or directory
    │   ├── InvalidRequest          a BuildRequest, or what it was read from
    │   ├── InvalidSpec             a Spec, its options, or a request this host cannot render
    │   ├── InvalidRecord           a record file: damaged, foreign, of a newer format, or too large
    │   └── InvalidNixData          something of Nix's that breaks its format; index is the offset in bytes
    │       ├── InvalidNixHash      a hash, or digits of one
    │       ├── InvalidStorePath    a store path, its name, or a store directory
    │       ├── InvalidDerivation   a derivation, or the ATerm it was read from
    │       ├── InvalidNar          a NAR
    │       └── InvalidNarInfo      a .narinfo, a key or a signature; index is the line
    ├── InvalidAddress (ValueError) a service address with an unknown scheme or form
    ├── CastoreError                content-addressed storage
    │   ├── NotFound (LookupError)  a digest the store does not hold
    │   ├── DigestMismatch          bytes that are not what their digest says
    │   ├── IngestError             a path that cannot become a node
    │   ├── ExportError             a node that cannot become a path
    │   └── StoreError              the store itself: full disk, newer format, damaged, out of reach, wrong credentials
    │       └── NoStore             nothing was stored at this address yet
    ├── RemoteError                 a service at another address: out of reach, gone in the middle, or it refuses
    │   └── RemoteStoreError (StoreError)  the same of a store
    ├── FuseError                   the system's own FUSE troubles, one clear message each
    ├── PathSourceError             a place that store paths come from: unreachable, damaged, of another store
    │   └── Untrusted               a store path without a signature by a key that is trusted
    ├── NotebookError               a file that is no notebook
    ├── CheckFailed (AssertionError)  the answer to an exercise is not right yet; says what helps
    ├── KeeperError                 the process that owns a build's life is gone or refused
    └── BuildError                  a build as such
        ├── UnsupportedDerivation   a derivation that asks for what is not done here; path names the attribute
        ├── HostRefused             this host cannot do what was asked (strict, limits, system, memory)
        ├── SetupFailed             the sandbox could not be set up
        ├── OutputError             outputs missing, escaping, or of a kind that cannot be stored
        ├── Cancelled               cancelled before a result existed
        ├── RunNotFound (LookupError)
        ├── NotRecorded (LookupError)  asked of a record: what it does not hold, or what only a build can do
        └── BuildFailed             raised by check=True and raise_for_status(); holds the run
            └── DependencyFailed    a derivation that has to be built first was not; holds the way to it

Every error carries, where they are known: ``path`` (the file or field), ``index`` (position in a
list), ``stage`` (a word of the life of a build) and ``hint`` (what to do about it).  ``str()`` is
one readable text made of them.
"""

from __future__ import annotations

import os
from typing import Any


class TvixBuildError(Exception):
    """Base of all errors; ``message`` says what happened, ``hint`` what to do.

    Parameters: ``path`` is a host path or a field's name, ``index`` a zero-based position, ``stage``
    one of request, render, bundle, mount, run, ingest, result, clean.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | bytes | os.PathLike[str] | None = None,
        index: int | None = None,
        stage: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = None if path is None else os.fsdecode(path)
        self.index = index
        self.stage = stage
        self.hint = hint

    @property
    def where(self) -> str | None:
        """``path[index]``, or as much of it as is known."""
        if self.path is None:
            return None if self.index is None else f"[{self.index}]"
        return self.path if self.index is None else f"{self.path}[{self.index}]"

    def __str__(self) -> str:
        where = self.where
        text = self.message if where is None else f"{_printable(where)}: {self.message}"
        if self.stage is not None:
            text = f"{self.stage}: {text}"
        return text if self.hint is None else f"{text}\n  hint: {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments survive pickling (process pools, Dask).
        return (_rebuild, (type(self), self.message, self.__dict__.copy()))


def _rebuild(cls: type[TvixBuildError], message: str, state: dict[str, object]) -> TvixBuildError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


def _printable(text: str) -> str:
    """``text`` without surrogates, so that a terminal or a log file can take it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class InvalidValue(TvixBuildError, ValueError):
    """A value was refused on construction; ``path`` names the field, ``index`` the position in it."""


class InvalidNode(InvalidValue):
    """A castore node, name, digest or directory message that breaks the data model."""


class InvalidRequest(InvalidValue):
    """A build request, or the bytes or JSON it was read from, that breaks a rule."""


class InvalidSpec(InvalidValue):
    """Spec options that contradict themselves, or a request that no bundle can hold."""


class InvalidRecord(InvalidValue):
    """A file that is no record of a run, or one that cannot be trusted; ``path`` names the file and the part of it."""


class InvalidNixData(InvalidValue):
    """Something of Nix's that breaks its format; ``index`` is the offset in bytes of what is wrong."""

    @property
    def where(self) -> str | None:
        """``path, byte N``, or as much of it as is known."""
        parts = (self.path, None if self.index is None else f"byte {self.index}")
        return ", ".join(part for part in parts if part is not None) or None


class InvalidNixHash(InvalidNixData):
    """A hash of an unknown algorithm, of the wrong length, or with digits that its encoding has not."""


class InvalidStorePath(InvalidNixData):
    """A store path, its name or a store directory that Nix would not take."""


class InvalidDerivation(InvalidNixData):
    """A derivation that breaks a rule, or bytes that Nix would not have written for one."""


class InvalidNar(InvalidNixData):
    """A NAR that Nix would not have written: cut off, unsorted, names that lead elsewhere."""


class InvalidNarInfo(InvalidNixData):
    """A .narinfo, nix-cache-info, key or signature that breaks a rule; ``index`` is the number of the line, from 1."""

    @property
    def where(self) -> str | None:
        """``path, line N``, or as much of it as is known."""
        parts = (self.path, None if self.index is None else f"line {self.index}")
        return ", ".join(part for part in parts if part is not None) or None


class InvalidAddress(TvixBuildError, ValueError):
    """A service address of an unknown scheme or form; the message lists the known schemes."""


class CastoreError(TvixBuildError):
    """Something about content-addressed storage."""


class NotFound(CastoreError, LookupError):
    """The store does not hold this digest; ``path`` is the digest in hex or digest/path."""


class DigestMismatch(CastoreError):
    """Bytes that are not what their digest says."""


class IngestError(CastoreError):
    """A path that cannot become a node: unreadable, or a FIFO, socket or device."""


class ExportError(CastoreError):
    """A node that cannot become a path."""


class StoreError(CastoreError):
    """The store itself: full disk, newer format, damaged, out of reach, wrong credentials."""


class NoStore(StoreError):
    """There is no store at this address, and none was to be made."""


class RemoteError(TvixBuildError):
    """A service elsewhere cannot be reached, broke off or refused; ``path`` is its address, ``code`` gRPC's word."""

    def __init__(self, message: str, *, code: str | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.code = code


class RemoteStoreError(RemoteError, StoreError):
    """A store at another address cannot be reached, broke off or refused."""


class FuseError(TvixBuildError):
    """FUSE cannot be had or a view died; the message is the system's reason, the hint its cure."""


class PathSourceError(TvixBuildError):
    """A place that store paths come from: unreachable, damaged, or made for another store directory."""


class Untrusted(PathSourceError):
    """A store path that no trusted key has signed; the message names the keys that did."""


class NotebookError(TvixBuildError):
    """A file that cannot be read as a notebook."""


class CheckFailed(TvixBuildError, AssertionError):
    """The answer to an exercise is not right yet: what was ``expected`` and ``seen``; the hint says where to look.

    ``path`` is the exercise's name. IPython shows the message alone, without a traceback.
    """

    def __init__(
        self,
        message: str,
        *,
        exercise: str | None = None,
        expected: str | None = None,
        seen: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, path=exercise, hint=hint)
        self.expected = expected
        self.seen = seen

    def __str__(self) -> str:
        said = self.message if self.path is None else f"{_printable(self.path)}: not yet: {self.message}"
        parts = (("expected", self.expected), ("seen", self.seen), ("look at", self.hint))
        return "\n".join([said, *(f"  {name}: {text}" for name, text in parts if text is not None)])

    def _render_traceback_(self) -> list[str]:
        return str(self).split("\n")


class KeeperError(TvixBuildError):
    """The keeper process could not be started, or is gone."""


class BuildError(TvixBuildError):
    """Something about a build."""


class UnsupportedDerivation(BuildError):
    """A derivation that asks for what is not done here; ``path`` names the attribute, ``hint`` the way out."""


class HostRefused(BuildError):
    """This host cannot do what was asked; nothing was started."""


class SetupFailed(BuildError):
    """The sandbox could not be set up: runtime, mounts, ids."""


class OutputError(BuildError):
    """Outputs missing, leading out of the sandbox, or of a kind that cannot be stored."""


class Cancelled(BuildError):
    """The build was cancelled."""


class RunNotFound(BuildError, LookupError):
    """No recorded run has this id."""


class NotRecorded(BuildError, LookupError):
    """A record was asked for what it does not hold, or for what only a build can do."""

    def _render_traceback_(self) -> list[str]:
        # IPython's own would go through this package to whoever only wanted to run a cell.
        return f"NotRecorded: {self}".split("\n")


class BuildFailed(BuildError):
    """A build did not succeed; ``run`` is the Run (or result) that tells why."""

    def __init__(self, message: str, *, run: object = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.run = run


class DependencyFailed(BuildFailed):
    """A derivation of a closure could not be built; ``way`` leads to it from the one that was wanted, both included."""

    def __init__(self, message: str, *, way: tuple[str, ...] = (), **details: Any) -> None:
        super().__init__(message, **details)
        self.way = way
