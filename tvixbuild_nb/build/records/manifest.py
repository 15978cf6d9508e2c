"""Manifest: the first member of a record file, which says what the file is and what the others must be."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tvixbuild_nb.build.events import Status
from tvixbuild_nb.build.recorded import Recorded, RecordedPolicy
from tvixbuild_nb.build.result import DigestField
from tvixbuild_nb.errors import InvalidRecord

SUFFIX = ".tvixrun"
KIND = "tvixbuild-nb record of a run"
FORMAT = 1
MANIFEST = "record.json"
DIRECTORIES = "castore/directories"
BLOBS = "castore/blobs"

_MIB = 1 << 20
_DOCUMENT = 32 * _MIB

# Every name a member may have, in their order, and the most bytes it may hold. There are no others, so that no name
# leads anywhere; and what stands here is read as data by one function of checking.py each.
MEMBERS = {
    "request.json": _DOCUMENT,
    "secrets.json": _MIB,
    "options.json": _MIB,
    "policy.json": _MIB,
    "host.json": _MIB,
    "config.json": _DOCUMENT,
    "origin.json": _MIB,
    "result.json": _DOCUMENT,
    "events.jsonl": _MIB,
    "log.index": 256 * _MIB,
    "log": 1024 * _MIB,
    "accesses.json": _DOCUMENT,
    "inside.json": _DOCUMENT,
    "processes.json": _DOCUMENT,
    "visits.jsonl": 64 * _MIB,
    "explanation.json": _DOCUMENT,
    DIRECTORIES: 64 * _MIB,
    BLOBS: 2047 * _MIB,
}
NEEDED = ("request.json", "result.json")
MOST_OF_MANIFEST = _MIB

Size = Annotated[int, Field(ge=0, le=1 << 62)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Member(_Value):
    """One member: bytes and BLAKE3 (hex) of its contents."""

    size: Size
    blake3: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Content(_Value):
    """Which trees are inside as castore content, and how much that is: counts, and bytes of contents."""

    outputs: bool = False
    inputs: bool = False
    directories: Size = 0
    blobs: Size = 0
    bytes: Size = 0


class Choice(_Value):
    """One thing that the user's options asked for: its name, and what was asked."""

    name: str
    asked: str


class Manifest(_Value):
    """What a record is a record of.

    run, status   the run's id, and how it ended
    request       digest of the request as it was, also where values of secrets are left out of the one inside
    recorded      when and where it was built
    version       of the package that wrote the file
    secrets       variables whose values are left out
    choices       what the user's options asked for, of all that differs from Tvix
    policy        how it was to be built
    members       name -> what it must be; content: the castore content among them
    """

    kind: Literal["tvixbuild-nb record of a run"] = "tvixbuild-nb record of a run"
    format: Literal[1] = 1
    version: str
    run: Annotated[str, Field(pattern=r"^[0-9a-z-]{1,100}$")]
    status: Status
    request: DigestField
    recorded: Recorded
    secrets: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    policy: RecordedPolicy | None = None
    members: dict[str, Member]
    content: Content = Content()

    @property
    def size(self) -> int:
        """Bytes of all members, as they are once unpacked."""
        return sum(member.size for member in self.members.values())


def read_manifest(data: bytes, path: str) -> Manifest:
    """The manifest in ``data``; :class:`InvalidRecord` for what is none, a newer one, or one that asks too much."""
    where = f"{path}: {MANIFEST}"
    try:
        fields: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidRecord(f"not JSON: {error}", path=where) from error
    if not isinstance(fields, dict) or fields.get("kind") != KIND:
        raise InvalidRecord("this is no record of a run", path=path, hint="run.save() writes one")
    version = fields.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise InvalidRecord(
            f"its format is {version}, this version reads up to {FORMAT}", path=path, hint="pip install -U tvixbuild-nb"
        )
    try:
        manifest = Manifest.model_validate(fields)
    except (ValidationError, ValueError) as error:
        raise InvalidRecord(f"it breaks a rule: {_first(error)}", path=where) from error
    for name, member in manifest.members.items():
        most = MEMBERS.get(name)
        if most is None:
            raise InvalidRecord(f"a record has no member {name!r}", path=where)
        if member.size > most:
            raise InvalidRecord(f"{member.size} bytes are more than {name} may have ({most})", path=where)
    for name in NEEDED:
        if name not in manifest.members:
            raise InvalidRecord(f"{name} is missing", path=where)
    if ("log" in manifest.members) != ("log.index" in manifest.members):
        raise InvalidRecord("a log and its index belong together", path=where)
    return manifest


def _first(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
