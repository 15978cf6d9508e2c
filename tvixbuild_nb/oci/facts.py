"""What Tvix's make_spec hard-wires: the constants of its configuration.

Source: tvix/build/src/oci/spec.rs of October 2024, checked against what it printed.
"""

from __future__ import annotations

CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL")
CAPABILITIES_ROOTLESS = (
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
)  # fmt: skip

NAMESPACES = ("pid", "ipc", "uts", "mount", "cgroup")

MASKED_PATHS = (
    "/proc/kcore",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

NETWORK_FILES = ("/etc/resolv.conf", "/etc/services", "/etc/hosts")

HOSTNAME = "localhost"
UID, GID = 1000, 100
NOFILE = 1024
SHELL_PATH = "/bin/sh"
# Where Tvix looks for a static shell when its build does not say otherwise.
SANDBOX_SHELL = "/bin/busybox"
