"""Mount options spelled out with their values, for whoever shows mounts.

Flags that this package asks for are explained in :mod:`tvixbuild_nb.oci.meanings`, here are others a kernel shows.

The options are those of mount(8), tmpfs(5) and the kernel's devpts page; ``rbind``, ``rro`` and their kin are the
OCI runtime-spec's (config.md, mounts).
"""

from __future__ import annotations

from types import MappingProxyType

from tvixbuild_nb.oci import meanings

_FLAGS = MappingProxyType(
    {
        "rrw": "writable together with every mount below it",
        "suid": "setuid and setgid bits have their effect",
        "exec": "programs can be started from here",
        "dev": "device files are devices",
        "norelatime": "access times do not follow the relatime rule",
        "nostrictatime": "not every read updates the access time",
        "atime": "reads update access times as the kernel sees fit",
        "nodiratime": "reading a directory never updates its access time",
        "diratime": "reading a directory may update its access time",
        "sync": "writes wait until they are on the disk",
        "async": "writes need not wait for the disk",
        "private": "mounts made below are neither passed on nor received",
        "rprivate": "mounts made below, at any depth, are neither passed on nor received",
        "slave": "mounts made on the host appear here, not the other way round",
        "rslave": "mounts made on the host appear here, at any depth, not the other way round",
        "shared": "mounts made here and there appear on both sides",
        "rshared": "mounts made here and there, at any depth, appear on both sides",
        "unbindable": "cannot be the source of a bind mount",
        "defaults": "the kernel's defaults: rw, suid, dev, exec, async",
        "tmpcopyup": "what lay below the mount point is copied into the new tmpfs",
        "default_permissions": "the kernel checks permission bits, not the file system's server",
        "allow_other": "users besides the one whose server it is may look in",
    }
)
_VALUES = MappingProxyType(
    {
        "mode": "permission bits of the root directory: {}",
        "size": "holds at most {}, taken from memory",
        "nr_inodes": "holds at most {} files and directories",
        "nr_blocks": "holds at most {} pages of memory",
        "uid": "its root directory belongs to uid {}",
        "gid": "its root directory belongs to gid {}",
        "ptmxmode": "permission bits of the ptmx device in it: {}",
        "max": "at most {} pseudo-terminals",
        "user_id": "its server belongs to uid {}",
        "group_id": "its server belongs to gid {}",
        "max_read": "at most {} bytes in one read from its server",
    }
)
# devpts uses the same words for the terminals in it.
_DEVPTS = MappingProxyType(
    {
        "mode": "permission bits of a new pseudo-terminal: {}",
        "gid": "new pseudo-terminals belong to gid {}",
        "uid": "new pseudo-terminals belong to uid {}",
    }
)
KNOWN_OPTIONS = frozenset({*_FLAGS, *_VALUES, *meanings.MOUNT_OPTIONS})


def option_meaning(option: str, kind: str = "") -> str | None:
    """What ``option`` (``nosuid``, ``mode=755``) says on a mount of type ``kind``; None for one not known here."""
    name, given, value = option.partition("=")
    if not given:
        return meanings.MOUNT_OPTIONS[name][0] if name in meanings.MOUNT_OPTIONS else _FLAGS.get(name)
    sentence = (_DEVPTS.get(name) if kind == "devpts" else None) or _VALUES.get(name)
    if sentence is None:
        return None
    return sentence.format(_mode(value) if name.endswith("mode") else _size(value) if name == "size" else value)


def _mode(value: str) -> str:
    try:
        bits = int(value, 8)
    except ValueError:
        return value
    letters = "".join(letter if bits >> (8 - place) & 1 else "-" for place, letter in enumerate("rwxrwxrwx"))
    if bits & 0o1000:
        letters = letters[:-1] + ("t" if bits & 1 else "T")
    return f"{bits:04o} ({letters})"


def _size(value: str) -> str:
    number, unit = value[:-1], value[-1:].lower()
    if unit == "%":
        return f"{number} % of the memory"
    factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get(unit)
    if factor is None:
        number, factor = value, 1
    if not number.isdigit():
        return value
    count = int(number) * factor
    for name, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:g} {name}"
    return f"{count} bytes"
