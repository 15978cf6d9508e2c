"""A run as one shell script with its bundle behind it: plain runc reproduces it, on a machine without this package."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from tvixbuild_nb.build.janitor import janitor_config
from tvixbuild_nb.castore import Castore, DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.castore.export import appearing
from tvixbuild_nb.debug.scripttext import SHELL, TIDY, Parts, text_of
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import InvalidValue, NotFound
from tvixbuild_nb.oci import IdMapping, Spec, SpecOptions, recover_options
from tvixbuild_nb.oci.host import find_shell
from tvixbuild_nb.oci.plan import BundlePlan, plan_bundle
from tvixbuild_nb.request import BuildRequest, Redactor

# Where nothing else hands out ids: after the last range of systemd's table.
_ROOT_ID = 1_879_048_192
_FIRST_SUBORDINATE = 65_536
# Ranges of ids that are others on every machine: root's and the build's user.
_MARKED = 2


@dataclass(frozen=True, slots=True)
class Script:
    """What reproduces a run; ``str()`` is the shell's part of it, :meth:`write` adds the bundle.

    ``text``: the script up to where the archive begins; ``secrets``: variables that it asks for, since their values
    are not in it; ``tidy``: the configuration of what hands a user's files over, None without a static busybox.
    """

    text: str
    secrets: tuple[str, ...]
    plan: BundlePlan
    config: str
    tidy: str | None
    castore: Castore

    def __str__(self) -> str:
        return self.text

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it to ``path``, which must not exist and appears complete, executable for its owner.

        The same run gives the same bytes. :class:`NotFound` for inputs that the store has no more, ExportError when
        the system refuses.
        """
        with appearing(path) as draft, open(draft, "xb") as file:
            os.fchmod(file.fileno(), 0o700)
            self.write_to(file)

    def write_to(self, file: BinaryIO) -> None:
        """Write it to a file that is open; inputs pass through in pieces."""
        file.write(self.text.encode())
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=1) as packed,
            tarfile.open(
                mode="w|", fileobj=packed, format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
            ) as archive,
        ):
            _Packing(archive, self).pack()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(Script, plain)


def script_of(run: str, request: BuildRequest, spec: Spec, castore: Castore, redactor: Redactor) -> Script:
    """The script of the run with the id ``run``, which had ``spec`` as its configuration.

    :class:`InvalidValue` for a secret that stands elsewhere than in its variable, or has an end of line.
    """
    options = recover_options(request, spec)
    plan = plan_bundle(request, options, "bundle", lookup=castore.directories.get)
    config = spec.to_dict()
    # Without a terminal around it, as in a notebook or a pipe, runc could not give it one.
    config["process"]["terminal"] = False
    config["linux"].pop("cgroupsPath", None)
    for mount in config["mounts"]:
        if mount["destination"] == "/bin/sh" and mount["source"] == options.sandbox_shell:
            mount["source"] = SHELL
    secrets = _hide(config, redactor)
    ids = _tokens(config["linux"])
    text, tidy = _filled(config), None
    if _shell(options) is not None:
        tidy = _filled(janitor_config("../scratch", f"../{SHELL}", config["linux"]))
    owner = _owner("u", options.uid_mappings, options.user.uid), _owner("g", options.gid_mappings, options.user.gid)
    written = text_of(Parts(run, plan, secrets, ids, owner))
    files = (made.contents.decode("utf-8", "surrogateescape") for made in plan.made)
    if any(map(redactor.found_in, (text, written, *files))):
        raise InvalidValue(
            "a secret's value stands elsewhere than in its variable",
            path="secrets",
            hint="pass it by the variable only",
        )
    return Script(written, secrets, plan, text, tidy, castore)


def _shell(options: SpecOptions) -> str | None:
    """The static shell that goes along: the run's, else this host's, which is needed to tidy up."""
    return options.sandbox_shell or find_shell()


def _filled(config: dict[str, Any]) -> str:
    text = json.dumps(config, indent=2)
    for token in ("@U0@", "@U1@", "@G0@", "@G1@"):
        text = text.replace(f'"{token}"', token)
    return text


def _owner(letter: str, maps: Sequence[IdMapping], inside: int) -> str:
    """The shell's word for the id outside of ``inside``, by the marks that :func:`_tokens` put."""
    for index, mapping in enumerate(maps):
        if mapping.maps(inside) is not None:
            offset = inside - mapping.container_id
            mark = f"${letter}{index}" if index < _MARKED else str(mapping.host_id)
            return f"$(({mark} + {offset}))" if offset else mark
    return f"${letter}1"


def _hide(config: dict[str, Any], redactor: Redactor) -> tuple[str, ...]:
    """Put marks in place of the values of secret variables; their names."""
    found: list[str] = []
    for index, variable in enumerate(config["process"]["env"]):
        name, _, value = variable.partition("=")
        if name in redactor.names:
            if "\n" in value or not name.isidentifier() or not name.isascii():
                raise InvalidValue("a shell cannot hand this secret over", path=f"secrets[{name}]")
            config["process"]["env"][index] = f"{name}=@S{len(found)}@"
            found.append(name)
    return tuple(found)


def _tokens(linux: dict[str, Any]) -> dict[str, int]:
    """Put marks in place of the ids outside, which are others on every machine; the ids that root may take."""
    ids = {"u0": _ROOT_ID, "u1": _ROOT_ID + 1, "g0": _ROOT_ID, "g1": _ROOT_ID + 1}
    for letter, key in (("u", "uidMappings"), ("g", "gidMappings")):
        maps = linux.get(key) or []
        known = [mapping["hostID"] for mapping in maps]
        for index, mapping in enumerate(maps[:_MARKED]):
            if min(known) >= _FIRST_SUBORDINATE:
                ids[f"{letter}{index}"] = mapping["hostID"]
            mapping["hostID"] = f"@{letter.upper()}{index}@"
    return ids


class _Packing:
    """Everything of a bundle as members of an archive, in one order and without times and owners."""

    def __init__(self, archive: tarfile.TarFile, script: Script) -> None:
        self._archive = archive
        self._script = script

    def pack(self) -> None:
        plan, script = self._script.plan, self._script
        for made in plan.made:
            path = made.path.encode("utf-8", "surrogateescape")
            if made.kind == "directory":
                self._add(path, tarfile.DIRTYPE, made.mode)
            elif made.kind == "symlink":
                self._add(path, tarfile.SYMTYPE, 0o777, target=made.contents)
            else:
                self._bytes(path, made.contents, made.mode)
        shell = _shell(plan.options)
        if shell is not None:
            self._bytes(SHELL.encode(), Path(shell).read_bytes(), 0o555)
        if script.tidy is not None:
            for name in ("", "/root", "/root/bin", "/root/proc", "/root/scratch"):
                self._add(f"{TIDY}{name}".encode(), tarfile.DIRTYPE, 0o755)
            self._bytes(f"{TIDY}/root/bin/busybox".encode(), b"", 0o644)
            self._bytes(f"{TIDY}/config.in".encode(), script.tidy.encode(), 0o600)
        self._bytes(b"config.in", script.config.encode(), 0o600)
        for name, node in plan.request.inputs.items():
            if not (isinstance(node, SymlinkNode) and plan.options.symlink_inputs_as_symlinks):
                self._tree(b"inputs/" + name.encode("utf-8", "surrogateescape"), node)

    def _tree(self, path: bytes, node: Node) -> None:
        todo = [(path, node)]
        while todo:
            path, node = todo.pop()
            match node:
                case DirectoryNode():
                    self._add(path, tarfile.DIRTYPE, 0o555)
                    entries = self._entries(node)
                    todo.extend((path + b"/" + name, entries[name]) for name in sorted(entries, reverse=True))
                case SymlinkNode():
                    self._add(path, tarfile.SYMTYPE, 0o777, target=node.target)
                case FileNode():
                    with self._script.castore.tree(node).open() as contents:
                        mode = 0o555 if node.executable else 0o444
                        self._add(path, tarfile.REGTYPE, mode, contents=contents, size=node.size)

    def _entries(self, node: DirectoryNode) -> Mapping[bytes, Node]:
        directory = self._script.castore.directories.get(node.digest)
        if directory is None:
            raise NotFound("the store does not hold this directory", path=str(node.digest))
        return directory.entries

    def _bytes(self, path: bytes, contents: bytes, mode: int) -> None:
        self._add(path, tarfile.REGTYPE, mode, contents=io.BytesIO(contents), size=len(contents))

    def _add(
        self,
        path: bytes,
        kind: bytes,
        mode: int,
        *,
        target: bytes = b"",
        contents: IO[bytes] | None = None,
        size: int = 0,
    ) -> None:
        member = tarfile.TarInfo(path.decode("utf-8", "surrogateescape"))
        member.type, member.mode, member.size, member.mtime = kind, mode, size, 1
        member.linkname = target.decode("utf-8", "surrogateescape")
        self._archive.addfile(member, contents)
