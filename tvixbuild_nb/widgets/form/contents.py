"""Contents of an additional file from elsewhere: uploaded from the browser's machine, or read on this host."""

from __future__ import annotations

import os
import stat

from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.widgets.form.drafting import DraftView
from tvixbuild_nb.widgets.kit.live import callable_from_front

# Bytes; the whole request is held in memory, and more than once.
MAX_FILE = 1 << 26
_HINT = "larger files are better given as an input"


class ContentCalls(DraftView):
    """Replaces the contents of one additional file, byte for byte."""

    @callable_from_front
    def file_from_path(self, number: int, path: str) -> None:
        """The contents of a file of this host."""
        path = os.path.expanduser(path)
        try:
            # Without waiting: what looks like a file may be a pipe that nobody writes to.
            with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise InvalidRequest("no regular file", path=path, hint="a path of this host")
                data = file.read(MAX_FILE + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InvalidRequest(reason, path=path, hint="a path of this host") from error
        self._replace(number, data)

    @callable_from_front
    def file_piece(self, number: int, at: int, last: bool, buffers: list[bytes] | None = None) -> None:
        """A piece of an uploaded file, from byte ``at`` on; with the last one it takes the old contents' place."""
        with self._lock:
            pieces = self._pieces.setdefault(number, bytearray())
            if at == 0:
                pieces.clear()
            if at != len(pieces):
                raise InvalidRequest(f"byte {len(pieces)} was expected, not {at}", path="upload", hint="upload again")
            for piece in buffers or ():
                pieces += piece
            if len(pieces) > MAX_FILE or last:
                data = bytes(self._pieces.pop(number))
                self._replace(number, data)

    def _replace(self, number: int, data: bytes) -> None:
        if len(data) > MAX_FILE:
            raise InvalidRequest(f"larger than {human(MAX_FILE)}", path="contents", hint=_HINT)
        with self._lock:
            self._draft.take(self._sandbox)
            row = self._draft.row("additional_files", number)
            if row is None:
                raise InvalidRequest("this file is gone from the form", path="additional_files")
            row.value = (row.value[0], data)
            self._settle()
