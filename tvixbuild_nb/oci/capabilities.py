"""The kernel's numbers and names: capabilities as bits of a mask, namespaces and limits as /proc has them.

What they mean stands in :mod:`tvixbuild_nb.oci.meanings`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

# By number, from linux/capability.h.
CAPABILITY_NAMES = tuple(
    f"CAP_{name}"
    for name in (
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
        "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
        "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
        "CHECKPOINT_RESTORE",
    )
)  # fmt: skip

# Type in config.json -> name below /proc/PID/ns.
NAMESPACE_FILES = MappingProxyType(
    {"user": "user", "pid": "pid", "mount": "mnt", "network": "net", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup"}
)

# Type in config.json -> name in /proc/PID/limits.
LIMIT_LINES = MappingProxyType(
    {
        "RLIMIT_NOFILE": "Max open files",
        "RLIMIT_NPROC": "Max processes",
        "RLIMIT_CPU": "Max cpu time",
        "RLIMIT_AS": "Max address space",
        "RLIMIT_DATA": "Max data size",
        "RLIMIT_STACK": "Max stack size",
        "RLIMIT_RSS": "Max resident set",
        "RLIMIT_FSIZE": "Max file size",
        "RLIMIT_CORE": "Max core file size",
        "RLIMIT_MEMLOCK": "Max locked memory",
        "RLIMIT_LOCKS": "Max file locks",
        "RLIMIT_SIGPENDING": "Max pending signals",
        "RLIMIT_MSGQUEUE": "Max msgqueue size",
        "RLIMIT_NICE": "Max nice priority",
        "RLIMIT_RTPRIO": "Max realtime priority",
        "RLIMIT_RTTIME": "Max realtime timeout",
    }
)


def capabilities_of(mask: int) -> frozenset[str]:
    """The names in a mask as /proc/PID/status has it; a bit without a name here is ``CAP_<number>``."""
    return frozenset(_names(mask))


def _names(mask: int) -> Iterator[str]:
    number = 0
    while mask:
        if mask & 1:
            yield CAPABILITY_NAMES[number] if number < len(CAPABILITY_NAMES) else f"CAP_{number}"
        mask >>= 1
        number += 1
