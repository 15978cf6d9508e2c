"""RecordFile: one record opened; everything in it is data, and nothing of it is believed before it is checked."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from blake3 import blake3

from tvixbuild_nb.build.records.manifest import MANIFEST, MEMBERS, MOST_OF_MANIFEST, Manifest, read_manifest
from tvixbuild_nb.errors import InvalidRecord

_CHUNK = 1 << 20
# A directory of the archive with every member in it takes some 2 KiB.
_MOST_OF_DIRECTORY = 1 << 16
_END = struct.Struct("<4s4H2LH")
_ZIP64 = struct.Struct("<4sLQL")
_ENCRYPTED = 0x1
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    struct.error,
    ValueError,
    OSError,
)


class RecordFile:
    """The record at ``path``, open for reading; :class:`InvalidRecord` when it is none, damaged, newer or too large.

    At first only the archive's directory and the manifest are read and checked; each member is when it is asked for.
    What is held in memory is bounded by the size of one document, whatever a file declares.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = self.path.open("rb")
        try:
            _check_end(self._file, str(self.path))
            with _words(str(self.path)):
                self._archive = zipfile.ZipFile(self._file)
            self.manifest = self._manifest()
            self._check_members()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._archive.close()
        self._file.close()

    def _manifest(self) -> Manifest:
        names = self._archive.namelist()
        if MANIFEST not in names:
            raise InvalidRecord(f"it has no {MANIFEST}: no record of a run", path=str(self.path))
        for name in names:
            if name != MANIFEST and name not in MEMBERS:
                raise InvalidRecord(f"a record has no member {name!r}", path=str(self.path))
            if names.count(name) > 1:
                raise InvalidRecord(f"the member {name!r} is there twice", path=str(self.path))
        info = self._archive.getinfo(MANIFEST)
        if info.file_size > MOST_OF_MANIFEST:
            raise InvalidRecord(f"{MANIFEST} has {info.file_size} bytes", path=str(self.path))
        with _words(f"{self.path}: {MANIFEST}"), self._open(info) as stream:
            data = stream.read(MOST_OF_MANIFEST + 1)
        return read_manifest(data, str(self.path))

    def _check_members(self) -> None:
        names = set(self._archive.namelist()) - {MANIFEST}
        if names != set(self.manifest.members):
            odd = sorted(names ^ set(self.manifest.members))
            raise InvalidRecord(f"members and manifest do not agree on {', '.join(odd)}", path=str(self.path))
        for name, member in self.manifest.members.items():
            declared = self._archive.getinfo(name).file_size
            if declared != member.size:
                raise InvalidRecord(f"{declared} bytes, the manifest says {member.size}", path=self._at(name))

    def _open(self, info: zipfile.ZipInfo) -> BinaryIO:
        if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidRecord("it is encrypted, or packed in an unknown way", path=self._at(info.filename))
        return cast(BinaryIO, self._archive.open(info))

    def _at(self, name: str) -> str:
        return f"{self.path}: {name}"

    def digest(self) -> str:
        """BLAKE3 of the whole file, in hex."""
        hasher = blake3()
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            hasher.update(chunk)
        return hasher.hexdigest()

    def has(self, name: str) -> bool:
        """Whether there is such a member."""
        return name in self.manifest.members

    def pieces(self, name: str) -> Iterator[bytes]:
        """A member's contents bit by bit; :class:`InvalidRecord` at the end when they are not what they should be."""
        member = self.manifest.members[name]
        hasher, size = blake3(), 0
        with _words(self._at(name)), self._open(self._archive.getinfo(name)) as stream:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > member.size:
                    raise InvalidRecord(f"more than {member.size} bytes come out of it", path=self._at(name))
                hasher.update(chunk)
                yield chunk
        if size != member.size or hasher.hexdigest() != member.blake3:
            raise InvalidRecord("damaged: its bytes have another digest than the manifest says", path=self._at(name))

    def read(self, name: str) -> bytes:
        """A document, checked."""
        return b"".join(self.pieces(name))

    def verify(self, name: str) -> None:
        """Check a member's bytes without keeping them."""
        for _ in self.pieces(name):
            pass

    @contextmanager
    def stream(self, name: str) -> Iterator[BinaryIO]:
        """A member as a stream, not checked against its digest: :meth:`verify` is for that."""
        with _words(self._at(name)), self._open(self._archive.getinfo(name)) as stream:
            yield stream


def _check_end(file: BinaryIO, path: str) -> None:
    """Refuse what is no ZIP file of ours before anything reads a directory of whatever size it declares."""
    size = file.seek(0, os.SEEK_END)
    if size < _END.size:
        raise InvalidRecord("too short for a record", path=path)
    file.seek(max(0, size - _END.size - _ZIP64.size))
    tail = file.read()
    signature, _, _, _, _, directory, offset, comment = _END.unpack(tail[-_END.size :])
    if signature != b"PK\5\6" or comment:
        raise InvalidRecord(
            "no record of a run, or cut off", path=path, hint="a record is a ZIP file without a comment"
        )
    if tail[: -_END.size][-_ZIP64.size :][:4] == b"PK\6\7":
        raise InvalidRecord("larger than a record may be (4 GiB)", path=path)
    if directory > _MOST_OF_DIRECTORY or offset + directory + _END.size != size:
        raise InvalidRecord("damaged: its directory is not where it should be", path=path)
    file.seek(0)


@contextmanager
def _words(where: str) -> Iterator[None]:
    """What a ZIP file that is not as it should be raises, as :class:`InvalidRecord`."""
    try:
        yield
    except InvalidRecord:
        raise
    except _BROKEN as error:
        raise InvalidRecord(f"damaged: {error}", path=where) from error
