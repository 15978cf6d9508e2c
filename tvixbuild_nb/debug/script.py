"""A run as one shell script with its bundle behind it: plain runc reproduces it, on a machine without this package."""

from __future__ import annotations

import gzip
import io
import json
import os
import shlex
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from tvixbuild_nb.castore import Castore, DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.castore.export import appearing
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import InvalidValue, NotFound
from tvixbuild_nb.oci import Spec, recover_options
from tvixbuild_nb.oci.plan import BundlePlan, plan_bundle
from tvixbuild_nb.request import BuildRequest, Redactor

_SHELL = "shell"
# Where nothing else hands out ids: after the last range of systemd's table.
_ROOT_ID = 1_879_048_192
_FIRST_SUBORDINATE = 65_536

_TEXT = r"""#!/bin/sh
# Reproduces run {run} of tvixbuild-nb with plain runc. Needs: sh, tar, gzip, sed, awk, runc; Linux with user
# namespaces, as root or as a user with subordinate ids (newuidmap). {network}
# Outputs are copied to ./{outputs}, which must not exist; the exit status is that of the command.
# Not as in the run: inputs are files beside the configuration instead of a FUSE view, no cgroup of their own.
set -eu
umask 022
{secrets}results=$PWD/{outputs}
if [ -e "$results" ]; then echo "$results is there already" >&2; exit 2; fi
for program in tar gzip sed awk runc; do
  command -v "$program" >/dev/null || {{ echo "$program is missing" >&2; exit 2; }}
done
bundle=$(mktemp -d "${{TMPDIR:-/tmp}}/tvixbuild-XXXXXXXXXX")
clean() {{
  chmod -R u+rwX "$bundle" 2>/dev/null || :
  rm -rf "$bundle" || echo "$bundle could not be removed" >&2
}}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 711 "$bundle"
tail -n +{skip} "$0" | gzip -dc | tar -xpf - -C "$bundle"
if [ "$(id -u)" = 0 ]; then
  u0={root_u0} u1={root_u1} g0={root_g0} g1={root_g1}
{chown}else
  me=$(id -un) u0=$(id -u) g0=$(id -g)
  u1=$(awk -F: -v me="$me" -v id="$u0" '$1 == me || $1 == id {{ print $2; exit }}' /etc/subuid)
  g1=$(awk -F: -v me="$me" -v id="$u0" '$1 == me || $1 == id {{ print $2; exit }}' /etc/subgid)
  if [ -z "$u1" ] || [ -z "$g1" ]; then
    echo "no subordinate ids: usermod --add-subuids 165536-231071 --add-subgids 165536-231071 $me" >&2; exit 2
  fi
fi
sed -e "s/@U0@/$u0/; s/@U1@/$u1/; s/@G0@/$g0/; s/@G1@/$g1/"{expressions} "$bundle/config.in" > "$bundle/config.json"
status=0
(cd "$bundle" && runc --root "$bundle/state" run --bundle "$bundle" "tvixbuild-$$") </dev/null || status=$?
mkdir "$results"
{copies}exit "$status"
"""


@dataclass(frozen=True, slots=True)
class Script:
    """What reproduces a run; ``str()`` is the shell's part of it, :meth:`write` adds the bundle.

    ``text``: the script up to where the archive begins; ``secrets``: variables that it asks for, since their values
    are not in it.
    """

    text: str
    secrets: tuple[str, ...]
    plan: BundlePlan
    config: str
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
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as packed,
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
    plan = plan_bundle(request, recover_options(request, spec), "bundle", lookup=castore.directories.get)
    config = spec.to_dict()
    config["linux"].pop("cgroupsPath", None)
    for mount in config["mounts"]:
        if mount["destination"] == "/bin/sh" and mount["source"] == plan.options.sandbox_shell:
            mount["source"] = _SHELL
    secrets = _hide(config, redactor)
    ids = _tokens(config["linux"])
    text = json.dumps(config, indent=2)
    if redactor.found_in(text):
        raise InvalidValue(
            "a secret's value stands elsewhere than in its variable",
            path="secrets",
            hint="pass it by the variable only",
        )
    for token in ("@U0@", "@U1@", "@G0@", "@G1@"):
        text = text.replace(f'"{token}"', token)
    written = _text(run, plan, secrets, ids)
    return Script(written, secrets, plan, text, castore)


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
        for index, mapping in enumerate(maps[:2]):
            if min(known) >= _FIRST_SUBORDINATE:
                ids[f"{letter}{index}"] = mapping["hostID"]
            mapping["hostID"] = f"@{letter.upper()}{index}@"
    return ids


def _text(run: str, plan: BundlePlan, secrets: tuple[str, ...], ids: Mapping[str, int]) -> str:
    asked = "".join(f': "${{{name}:?is a secret of the run and not in this script}}"\n' for name in secrets)
    escape = "".join(
        f"s{index}=$(printf %s \"${name}\" | sed -e 's/[\\\\\"]/\\\\&/g' -e 's/[\\\\/&]/\\\\&/g')\n"
        for index, name in enumerate(secrets)
    )
    expressions = "".join(f' -e "s/@S{index}@/$s{index}/"' for index in range(len(secrets)))
    chown = "".join(f'  chown -h "$u1:$g1" "$bundle"/{shlex.quote(path)}\n' for path in plan.owned)
    copies = "".join(
        f'[ ! -e "$bundle"/{place} ] && [ ! -L "$bundle"/{place} ] || cp -a "$bundle"/{place} "$results"/{name}\n'
        for output, path in zip(plan.request.outputs, plan.outputs, strict=True)
        for place, name in [
            (shlex.quote(str(path.relative_to(plan.path))), shlex.quote(output.replace("/", "-"))),
        ]
    )
    network = plan.request.constraints is not None and plan.request.constraints.network_access
    fields: dict[str, Any] = {
        "run": run,
        "network": "It has the network of its surroundings." if network else "It has no network.",
        "outputs": f"outputs-{run}",
        "secrets": asked + escape,
        "expressions": expressions,
        "chown": chown,
        "copies": copies,
        **{f"root_{name}": number for name, number in ids.items()},
    }
    lines = _TEXT.format(skip=0, **fields).count("\n")
    return _TEXT.format(skip=lines + 1, **fields)


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
        shell = plan.options.sandbox_shell
        if shell is not None:
            self._bytes(_SHELL.encode(), Path(shell).read_bytes(), 0o555)
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
