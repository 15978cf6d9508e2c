"""What a difference between two files looks like: a time, a name of the host, another order. A guess, and said so."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator

from tvixbuild_nb.castore import FileNode, TreeDiff

MAX_SIZE = 1 << 20
_EPOCH = re.compile(rb"(?<!\d)1[5-9]\d{8}(?!\d)")
_CLOCK = re.compile(
    rb"\d{4}-\d\d-\d\d[T ]|(?<!\d)[0-2]?\d:[0-5]\d:[0-5]\d(?!\d)|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) "
    rb"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 1-3]\d \d{4}"
)
_AR = b"!<arch>\n"
_AR_HEADER = 60
_PYC_HEADER = 16

# Of an archive's members: (name, contents, and what else stands about it).
_Member = tuple[bytes | str, bytes, object]


def guess(before: bytes, after: bytes, hostnames: Iterable[str] = ()) -> str | None:
    """What a difference is likely to be, in words; None when nothing is known of its kind."""
    if before[:2] == after[:2] == b"\x1f\x8b":
        return _of_gzip(before, after, hostnames)
    if before[2:4] == after[2:4] == b"\r\n" and before[_PYC_HEADER:] == after[_PYC_HEADER:]:
        return "the source's time in compiled Python; SOURCE_DATE_EPOCH or compileall --invalidation-mode checked-hash"
    return _of_archives(before, after) or _of_lines(before, after, hostnames)


def guesses(diff: TreeDiff, hostnames: Iterable[str] = ()) -> str | None:
    """What the smallest changed file of a tree looks like; None for files over 1 MiB and where nothing is known."""
    for change in diff.smallest(1):
        before, after = change.before, change.after
        if not (isinstance(before, FileNode) and isinstance(after, FileNode)):
            return None
        if before.digest == after.digest or max(before.size, after.size) > MAX_SIZE:
            return None
        old, new = (tree.castore.tree(node).read_bytes() for tree, node in ((diff.before, before), (diff.after, after)))
        return guess(old, new, hostnames)
    return None


def _of_lines(before: bytes, after: bytes, hostnames: Iterable[str]) -> str | None:
    lines = before.split(b"\n"), after.split(b"\n")
    if lines[0] != lines[1] and sorted(lines[0]) == sorted(lines[1]):
        return "the same lines in another order"
    pairs = [pair for pair in zip(*lines, strict=False) if pair[0] != pair[1]]
    if pairs and len(lines[0]) == len(lines[1]):
        if all(_words(one) == _words(other) for one, other in pairs):
            return "the same words in another order"
        for pattern in (_EPOCH, _CLOCK):
            if all(pattern.search(one) and pattern.search(other) for one, other in pairs):
                return "a time; SOURCE_DATE_EPOCH is what tools take instead"
        # A line that has the name on both sides differs in something else.
        names = re.compile("|".join(re.escape(name) for name in sorted(hostnames, key=len, reverse=True)).encode())
        if names.pattern and any(names.sub(b"", one) == names.sub(b"", other) for one, other in pairs):
            return "the hostname"
    return None


def _words(line: bytes) -> list[bytes]:
    return sorted(re.findall(rb"\w+", line))


def _of_gzip(before: bytes, after: bytes, hostnames: Iterable[str]) -> str | None:
    inner = []
    for data in (before, after):
        try:
            inner.append(zlib.decompressobj(wbits=31).decompress(data, MAX_SIZE))
        except zlib.error:
            return None
    if inner[0] == inner[1]:
        return "the time in a gzip file; gzip -n leaves it out" if before[4:8] != after[4:8] else None
    found = guess(inner[0], inner[1], hostnames)
    return None if found is None else f"{found} (inside the gzip file)"


def _of_archives(before: bytes, after: bytes) -> str | None:
    for kind, cure, members in _ARCHIVES:
        found: list[list[_Member]] = []
        for data in (before, after):
            try:
                found.append(list(members(data)))
            except (ValueError, EOFError, tarfile.TarError, zipfile.BadZipFile, NotImplementedError, zlib.error):
                break
        if len(found) < 2 or not found[0]:
            continue
        contents = [[member[:2] for member in each] for each in found]
        if contents[0] == contents[1]:
            return f"times or owners in an archive ({kind}); {cure}" if found[0] != found[1] else None
        if len(contents[0]) == len(contents[1]) and set(contents[0]) == set(contents[1]):
            return f"the same members of an archive ({kind}) in another order"
        return None
    return None


def _ar(data: bytes) -> Iterator[_Member]:
    if not data.startswith(_AR):
        raise ValueError("no ar archive")
    at = len(_AR)
    while at < len(data):
        header = data[at : at + _AR_HEADER]
        size = int(header[48:58])
        begin = at + _AR_HEADER
        yield header[:16], data[begin : begin + size], header
        at = begin + size + size % 2


def _tar(data: bytes) -> Iterator[_Member]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            contents = b"" if file is None else file.read()
            yield member.name, contents, (member.mtime, member.uid, member.gid, member.uname, member.gname)


def _zip(data: bytes) -> Iterator[_Member]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            # The sum stands for the contents, which may be larger than anybody wants to have in memory.
            yield member.filename, member.CRC.to_bytes(4, "big"), (member.date_time, member.external_attr, member.extra)


_ARCHIVES: tuple[tuple[str, str, Callable[[bytes], Iterator[_Member]]], ...] = (
    ("ar", "ar D leaves them out", _ar),
    ("tar", "tar --mtime=@0 --owner=0 --group=0 --numeric-owner sets them", _tar),
    ("zip", "SOURCE_DATE_EPOCH, where the tool knows it, sets them", _zip),
)
