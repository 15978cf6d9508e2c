"""Reading NARs: bytes become events, and whatever Nix would not have written is refused with its offset.

Names and symlink targets are also held to castore's limits (255 and 4095 bytes), before anything of them is read:
no number in a NAR makes the reader take more memory than a small file has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, NoReturn, Protocol

from tvixbuild_nb.castore import check_name
from tvixbuild_nb.castore.nodes import MAX_NAME, MAX_TARGET
from tvixbuild_nb.errors import InvalidNar, InvalidNode
from tvixbuild_nb.nix.nar import tokens
from tvixbuild_nb.nix.nar.events import LEAVE, SMALL, Enter, Event, File, Link
from tvixbuild_nb.nix.nar.tokens import Words

_READ = 256 * 1024
_LONGEST_WORD = 16
_SHOWN = 40
_ZEROS = bytes(tokens.ALIGNMENT)
_KINDS = (tokens.REGULAR, tokens.EXECUTABLE, tokens.SYMLINK, tokens.DIRECTORY)
_IN_DIRECTORY = (tokens.ENTRY, tokens.END)
_IN_ROOT = (tokens.ENTRY, tokens.END_ROOT)


class ByteSource(Protocol):
    """What a NAR can be read from: a file, a pipe, a response."""

    def read(self, size: int, /) -> bytes: ...


def nar_events(
    stream: ByteSource, *, path: str | None = None, contents: bool = True, trailing: bool = False
) -> Iterator[Event]:
    """What the NAR in ``stream`` holds; :class:`InvalidNar` says what is wrong, and at which byte of it.

    ``path`` is what errors call it.  Without ``contents`` files come as if they were empty, sought over where the
    stream can seek.  With ``trailing`` bytes behind the NAR are no error; some of them may have been read.
    """
    return _Reader(stream, path, contents).events(trailing)


class _Reader:
    """A window of the stream: ``_buffer`` from ``_position`` on is not taken yet; byte 0 of it has offset ``_base``."""

    def __init__(self, stream: ByteSource, path: str | None, contents: bool) -> None:
        self._stream = stream
        self._path = path
        self._contents = contents
        self._buffer = b""
        self._position = 0
        self._base = 0
        self._seek = None if contents else _seeker(stream)

    @property
    def _offset(self) -> int:
        return self._base + self._position

    def events(self, trailing: bool) -> Iterator[Event]:
        self._expect(tokens.START)
        names: list[bytes] = []  # of each open directory the last name
        name = b""
        while True:
            kind = self._choose(_KINDS)
            if kind is tokens.DIRECTORY:
                yield Enter(name)
                names.append(b"")
            else:
                end = tokens.END if names else tokens.END_ROOT
                if kind is tokens.SYMLINK:
                    yield self._link(name)
                else:
                    yield from self._file(name, kind is tokens.EXECUTABLE)
                self._expect(end)
            while names and self._choose(_IN_DIRECTORY if len(names) > 1 else _IN_ROOT) is not tokens.ENTRY:
                names.pop()
                yield LEAVE
            if not names:
                break
            name = names[-1] = self._name(names[-1])
            self._expect(tokens.NODE)
        if not trailing and self._fill(1):
            self._fail("there are bytes behind the end of the NAR")

    def _link(self, name: bytes) -> Link:
        start = self._offset
        target = self._string(MAX_TARGET, "a symlink target")
        if not target or b"\0" in target:
            self._fail("a symlink target is not empty and holds no NUL", start)
        return Link(name, target)

    def _file(self, name: bytes, executable: bool) -> Iterator[File]:
        size = self._number()
        offset = self._offset
        if size < SMALL:
            data = self._take(size) if self._contents else b""
            yield File(name, executable, size, data, offset)
        else:
            pieces = self._pieces(size) if self._contents else iter(())
            yield File(name, executable, size, pieces, offset)
        left = offset + size - self._offset
        if left:
            self._skip(left)
        self._padding(size)

    def _pieces(self, size: int) -> Iterator[bytes]:
        end = self._offset + size
        while self._offset < end:
            yield self._piece(end - self._offset)

    def _piece(self, most: int) -> bytes:
        """At least one byte, at most ``most``."""
        if self._position == len(self._buffer) and not self._fill(1):
            self._cut_off("the contents of a file")
        if self._position == 0 and len(self._buffer) <= most:
            piece = self._buffer
        else:
            piece = self._buffer[self._position : self._position + most]
        self._position += len(piece)
        return piece

    def _skip(self, size: int) -> None:
        here = min(size, len(self._buffer) - self._position)
        self._position += here
        size -= here
        if self._seek is not None and size > _READ:
            if not self._seek(size):
                self._cut_off("the contents of a file")
            self._base = self._offset + size
            self._buffer, self._position = b"", 0
            return
        for _ in self._pieces(size):
            pass

    def _name(self, previous: bytes) -> bytes:
        start = self._offset
        name = self._string(MAX_NAME, "a name")
        try:
            check_name(name)
        except InvalidNode as error:
            self._fail(error.message, start)
        if name <= previous:
            fault = "occurs twice" if name == previous else f"comes after {previous!r}: not sorted"
            self._fail(f"the name {name!r} {fault}", start)
        return name

    def _string(self, limit: int, what: str) -> bytes:
        """A string of at most ``limit`` bytes."""
        start = self._offset
        length = self._number()
        if length > limit:
            self._fail(f"{what} of {length} bytes: at most {limit} are taken", start)
        data = self._take(length)
        self._padding(length)
        return data

    def _number(self) -> int:
        return int.from_bytes(self._take(8), "little")

    def _take(self, size: int) -> bytes:
        """Exactly ``size`` bytes, which are few."""
        end = self._position + size
        if end > len(self._buffer):
            if not self._fill(size):
                self._cut_off("a number, a string or the contents of a file")
            end = self._position + size
        data = self._buffer[self._position : end]
        self._position = end
        return data

    def _padding(self, length: int) -> None:
        count = -length % tokens.ALIGNMENT
        if count and self._take(count) != _ZEROS[:count]:
            self._fail("the padding is not zero", self._offset - count)

    def _expect(self, words: Words) -> None:
        if not self._begins(words):
            self._explain((words,))

    def _choose(self, choices: tuple[Words, ...]) -> Words:
        for words in choices:
            if self._begins(words):
                return words
        self._explain(choices)

    def _begins(self, words: Words) -> bool:
        size = len(words.data)
        if len(self._buffer) - self._position < size and not self._fill(size):
            return False
        if not self._buffer.startswith(words.data, self._position):
            return False
        self._position += size
        return True

    def _explain(self, choices: tuple[Words, ...]) -> NoReturn:
        """Say where the next strings begin to be none of ``choices``."""
        index = 0
        while True:
            start = self._offset
            length = self._number()
            wanted = sorted({words.words[index] for words in choices})
            text = " or ".join(repr(word.decode()) for word in wanted)
            if length > _LONGEST_WORD:
                self._fail(f"expected {text}, found a string of {length} bytes", start)
            found = self._take(length)
            if found not in wanted:
                self._fail(f"expected {text}, found {found[:_SHOWN]!r}", start)
            self._padding(length)
            choices = tuple(words for words in choices if words.words[index] == found)
            index += 1

    def _fill(self, size: int) -> bool:
        """Have ``size`` bytes in the window; False when the stream ends before."""
        parts = [self._buffer[self._position :]]
        have = len(parts[0])
        while have < size:
            part = self._stream.read(_READ)
            if not part:
                break
            parts.append(part)
            have += len(part)
        self._base += self._position
        self._buffer, self._position = b"".join(parts), 0
        return have >= size

    def _cut_off(self, what: str) -> NoReturn:
        self._fail(f"it ends in the middle of {what}", self._base + len(self._buffer))

    def _fail(self, message: str, offset: int | None = None) -> NoReturn:
        raise InvalidNar(message, path=self._path, index=self._offset if offset is None else offset)


def _seeker(stream: ByteSource) -> Callable[[int], bool] | None:
    """A function that goes so many bytes on in ``stream`` (False: it has not so many); None where that cannot be."""
    seekable: BinaryIO | None = stream if getattr(stream, "seekable", bool)() else None  # type: ignore[assignment]
    if seekable is None:
        return None
    here = seekable.tell()
    end = seekable.seek(0, os.SEEK_END)
    seekable.seek(here)

    def seek(count: int) -> bool:
        if seekable.tell() + count > end:
            return False
        seekable.seek(count, os.SEEK_CUR)
        return True

    return seek
