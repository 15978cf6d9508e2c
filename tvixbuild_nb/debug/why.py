"""Where in a build's outputs a needle stands: which file, at which byte, between what; links and names too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, BinaryIO, Literal

from tvixbuild_nb.castore import Castore, Digest, DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import InvalidValue, NotFound
from tvixbuild_nb.escaping import visible
from tvixbuild_nb.request import BuildRequest, Redactor
from tvixbuild_nb.request.redactor import label

Kind = Literal["contents", "symlink", "name"]
# Bytes shown on either side, and references listed: a needle of one byte would fill the memory.
CONTEXT = 32
MAX_REFERENCES = 10_000
_CHUNK = 256 * 1024
_NIX_DIGITS = frozenset("0123456789abcdfghijklmnpqrsvwxyz")
_NIX_HASH = 32


@dataclass(frozen=True, slots=True)
class Reference:
    """One place of the needle: the path of the output and of what is below it, and how it stands there.

    ``kind``: in a file's contents, a symlink's target or an entry's name; ``offset``: bytes from the beginning of
    that; ``context``: the bytes around it, and in these characters ``marked`` of it (first, end) the needle itself. All
    texts are escaped where they are not printable, secrets are left out.
    """

    path: str
    kind: Kind
    offset: int
    context: str
    marked: tuple[int, int]

    def __str__(self) -> str:
        where = {"contents": "", "symlink": " (target of the symlink)", "name": " (name)"}[self.kind]
        return f"{self.path}{where}, byte {self.offset}: {self.context}"


@dataclass(frozen=True, slots=True)
class Why:
    """The places of ``needle``, output by output from the top down, in the order of the names.

    ``outputs``: how many were looked into; ``complete`` False: there are more than :data:`MAX_REFERENCES`.
    """

    needle: str
    references: tuple[Reference, ...]
    outputs: int
    complete: bool = True

    def __iter__(self) -> Iterator[Reference]:
        return iter(self.references)

    def __len__(self) -> int:
        return len(self.references)

    def __str__(self) -> str:
        if not self.outputs:
            return "the run has no outputs to look into"
        if not self.references:
            return f"{self.needle} is not in the outputs"
        lines = [f"{self.needle} is in the outputs:", *(f"  {reference}" for reference in self.references)]
        if not self.complete:
            lines.append(f"  and more, not shown: these are the first {len(self)}")
        return "\n".join(lines)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(Why, plain)


def needle_of(request: BuildRequest, asked: str | bytes | Node) -> bytes:
    """What to look for: ``asked`` itself, or what stands for the input whose name, path inside or node it is.

    That is the longest of the request's needles in the input's name, else the hash part the name begins with as
    store paths do, else the whole name. :class:`InvalidValue` when it is empty, or a node of no input.
    """
    if not isinstance(asked, str | bytes):
        names = [name for name, node in request.inputs.items() if node == asked]
        if not names:
            raise InvalidValue("no input of the request is this node", path="needle", hint="ask for a name or a text")
        return _needle_of_input(request, names[0])
    if not asked:
        raise InvalidValue("there is nothing to look for", path="needle", hint="name an input or a needle")
    if isinstance(asked, bytes):
        return asked
    name = asked.removeprefix("/").removeprefix(f"{request.inputs_dir}/" if request.inputs_dir else "")
    return _needle_of_input(request, name) if name in request.inputs else asked.encode("utf-8", "surrogateescape")


def _needle_of_input(request: BuildRequest, name: str) -> bytes:
    known = [needle for needle in request.refscan_needles if needle in name]
    if known:
        return max(known, key=len).encode()
    head, dash, _ = name.partition("-")
    return (head if dash and len(head) == _NIX_HASH and _NIX_DIGITS.issuperset(head) else name).encode()


def why(castore: Castore, outputs: Mapping[str, Node], needle: bytes, redactor: Redactor) -> Why:
    """Look for ``needle`` (not empty) in all of ``outputs`` (path -> node), each file's contents once.

    Raises :class:`NotFound` for what the store lacks, and what reading a damaged store raises.
    """
    search = _Search(castore, needle, redactor)
    found = (
        reference
        for path, node in outputs.items()
        for reference in search.below(path.encode("utf-8", "surrogateescape"), node)
    )
    references = tuple(islice(found, MAX_REFERENCES))
    return Why(search.shown(needle), references, len(outputs), complete=next(found, None) is None)


@dataclass(frozen=True, slots=True)
class _Place:
    offset: int
    context: str
    marked: tuple[int, int]


class _Search:
    def __init__(self, castore: Castore, needle: bytes, redactor: Redactor) -> None:
        self._castore = castore
        self._needle = needle
        self._redactor = redactor
        # A secret that begins or ends in the context is known as one only as a whole.
        self._reach = CONTEXT + 4 * redactor.longest + 4
        self._files: dict[Digest, tuple[_Place, ...]] = {}

    def below(self, path: bytes, node: Node) -> Iterator[Reference]:
        todo = [(path, node)]
        while todo:
            path, node = todo.pop()
            start = path.rfind(b"/") + 1
            yield from self._references(path, "name", self._in_bytes(path[start:]))
            if isinstance(node, SymlinkNode):
                yield from self._references(path, "symlink", self._in_bytes(node.target))
            elif isinstance(node, FileNode):
                yield from self._references(path, "contents", self._in_file(node))
            else:
                entries = self._entries(node)
                todo.extend((path + b"/" + name, entries[name]) for name in sorted(entries, reverse=True))

    def _references(self, path: bytes, kind: Kind, places: Iterator[_Place]) -> Iterator[Reference]:
        return (Reference(self.shown(path), kind, place.offset, place.context, place.marked) for place in places)

    def _entries(self, node: DirectoryNode) -> Mapping[bytes, Node]:
        directory = self._castore.directories.get(node.digest)
        if directory is None:
            raise NotFound("the store does not hold this directory", path=str(node.digest))
        return directory.entries

    def _in_bytes(self, data: bytes) -> Iterator[_Place]:
        at = data.find(self._needle)
        while at >= 0:
            yield _Place(at, *self._context(data, at))
            at = data.find(self._needle, at + 1)

    def _in_file(self, node: FileNode) -> Iterator[_Place]:
        known = self._files.get(node.digest)
        if known is None:
            stream = self._castore.blobs.open_read(node.digest)
            if stream is None:
                raise NotFound("the store does not hold these contents", path=str(node.digest))
            with stream:
                known = self._files[node.digest] = tuple(islice(self._in_stream(stream), MAX_REFERENCES + 1))
        return iter(known)

    def _in_stream(self, stream: BinaryIO) -> Iterator[_Place]:
        data, base, begin = b"", 0, 0  # what is held, its offset in the file, where in it the search goes on
        ended = False
        while not ended:
            chunk = stream.read(_CHUNK)
            ended = not chunk
            data += chunk
            limit = len(data) if ended else max(len(data) - self._reach, 0)
            at = data.find(self._needle, begin, limit)
            while at >= 0:
                yield _Place(base + at, *self._context(data, at))
                begin = at + 1
                at = data.find(self._needle, begin, limit)
            begin = max(begin, limit - len(self._needle) + 1)
            dropped = max(begin - self._reach, 0)
            data, base, begin = data[dropped:], base + dropped, begin - dropped

    def _context(self, data: bytes, at: int) -> tuple[str, tuple[int, int]]:
        end = at + len(self._needle)
        first = max(at - self._reach, 0)
        window = data[first : end + self._reach]
        text = "..." if at > CONTEXT else ""
        marked: list[int] = []
        for start, stop, piece in self._pieces(
            window, max(at - CONTEXT, 0) - first, min(end + CONTEXT - first, len(window)), (at - first, end - first)
        ):
            if start < end - first and stop > at - first:
                marked += [len(text), len(text) + len(piece)]
            text += piece
        return text + ("..." if end + CONTEXT < len(data) else ""), (marked[0], marked[-1])

    def shown(self, data: bytes) -> str:
        """``data`` as one harmless line without secrets."""
        return "".join(text for _, _, text in self._pieces(data, 0, len(data)))

    def _pieces(self, data: bytes, begin: int, end: int, cuts: tuple[int, ...] = ()) -> Iterator[tuple[int, int, str]]:
        """Bytes ``begin`` to ``end`` as texts fit to be shown, each with its first byte and end.

        A secret is one of them, of which no part is in another; what is none is cut at ``cuts`` as well.
        """
        at = begin
        text = data.decode("utf-8", "surrogateescape")
        for first, last, name in self._redactor.places(text) if self._redactor else ():
            start = len(text[:first].encode("utf-8", "surrogateescape"))
            stop = len(text[:last].encode("utf-8", "surrogateescape"))
            if stop > at and start < end:
                yield from _cut(data, at, start, cuts)
                yield start, stop, label(name)
                at = stop
        yield from _cut(data, at, end, cuts)


def _cut(data: bytes, begin: int, end: int, cuts: tuple[int, ...]) -> Iterator[tuple[int, int, str]]:
    edges = [begin, *(cut for cut in cuts if begin < cut < end), end]
    return ((start, stop, visible(data[start:stop])) for start, stop in pairwise(edges) if start < stop)
