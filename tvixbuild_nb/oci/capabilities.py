"""The kernel's capabilities: number, name and meaning, in a line each; see capabilities(7) for the whole truth."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

# In the order of their numbers, which a mask's bits are.
CAPABILITY_MEANINGS = MappingProxyType(
    {
        "CAP_CHOWN": "give files to other owners and groups",
        "CAP_DAC_OVERRIDE": "read, write and search whatever the permission bits say",
        "CAP_DAC_READ_SEARCH": "read any file and search any directory, whatever the permission bits say",
        "CAP_FOWNER": "do what otherwise only a file's owner may: chmod, utime, remove from sticky directories",
        "CAP_FSETID": "keep setuid and setgid bits when a file changes, set them for a foreign group",
        "CAP_KILL": "send signals to processes of other users",
        "CAP_SETGID": "take on any group that is mapped, and write group maps",
        "CAP_SETUID": "take on any user that is mapped, and write user maps",
        "CAP_SETPCAP": "hand on capabilities and drop them from the bounding set",
        "CAP_LINUX_IMMUTABLE": "set and clear the immutable and append-only marks of files",
        "CAP_NET_BIND_SERVICE": "listen on ports below 1024",
        "CAP_NET_BROADCAST": "send broadcasts and hear multicasts (the kernel does not ask for it)",
        "CAP_NET_ADMIN": "configure interfaces, routes, firewall and sockets",
        "CAP_NET_RAW": "send and receive raw packets (ping, packet capture)",
        "CAP_IPC_LOCK": "pin memory so that it is never swapped out, use huge pages",
        "CAP_IPC_OWNER": "use other users' System V message queues, semaphores and shared memory",
        "CAP_SYS_MODULE": "load code into the kernel and remove it",
        "CAP_SYS_RAWIO": "reach ports and memory of devices directly",
        "CAP_SYS_CHROOT": "chroot, and join mount namespaces",
        "CAP_SYS_PTRACE": "watch and change other processes, read their memory",
        "CAP_SYS_PACCT": "switch process accounting on and off",
        "CAP_SYS_ADMIN": "mount, make namespaces, set the host name and a hundred other things: nearly root",
        "CAP_SYS_BOOT": "restart the machine, load another kernel",
        "CAP_SYS_NICE": "raise priorities, choose real-time scheduling and processors, also for others",
        "CAP_SYS_RESOURCE": "raise hard limits, exceed quotas and reserved space",
        "CAP_SYS_TIME": "set the clocks",
        "CAP_SYS_TTY_CONFIG": "hang up terminals and configure consoles",
        "CAP_MKNOD": "make device files (in a user namespace nobody can open them)",
        "CAP_LEASE": "take leases on other users' files",
        "CAP_AUDIT_WRITE": "write to the kernel's audit log",
        "CAP_AUDIT_CONTROL": "switch auditing on and off and change its rules",
        "CAP_SETFCAP": "give files capabilities of their own",
        "CAP_MAC_OVERRIDE": "pass over the rules of a security module such as Smack",
        "CAP_MAC_ADMIN": "change the rules of a security module such as Smack",
        "CAP_SYSLOG": "read the kernel's messages and addresses, clear its log",
        "CAP_WAKE_ALARM": "set timers that wake a sleeping machine",
        "CAP_BLOCK_SUSPEND": "keep the machine from going to sleep",
        "CAP_AUDIT_READ": "read the audit log as it grows",
        "CAP_PERFMON": "measure performance of anything that runs",
        "CAP_BPF": "load BPF programs into the kernel",
        "CAP_CHECKPOINT_RESTORE": "restore processes with the numbers they had, read their exact mappings",
    }
)
CAPABILITY_NAMES = tuple(CAPABILITY_MEANINGS)


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
