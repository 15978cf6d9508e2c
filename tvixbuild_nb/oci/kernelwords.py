"""What namespaces, resource limits and protected paths are, in a line each; data for whoever shows isolation.

``NAMESPACES`` and ``RLIMITS`` go by the runtime-spec's names and give the kernel's own beside them, see
namespaces(7), getrlimit(2) and proc(5).
"""

from __future__ import annotations

from types import MappingProxyType

# Type in config.json -> (name under /proc/PID/ns, what it keeps apart).
NAMESPACES = MappingProxyType(
    {
        "pid": ("pid", "process numbers: other processes can neither be seen nor signalled"),
        "ipc": ("ipc", "System V and POSIX message queues, semaphores, shared memory"),
        "uts": ("uts", "host name and domain name"),
        "mount": ("mnt", "mounts: what the file system looks like"),
        "cgroup": ("cgroup", "cgroup paths: the own cgroup looks like the root"),
        "network": ("net", "interfaces, addresses, routes, ports: a new one has only a loopback that is down"),
        "user": ("user", "user and group ids and capabilities: root inside is nobody special outside"),
    }
)

# Type in config.json -> (name in /proc/PID/limits, what it bounds).
RLIMITS = MappingProxyType(
    {
        "RLIMIT_AS": ("Max address space", "virtual memory of the process"),
        "RLIMIT_CORE": ("Max core file size", "size of a core dump"),
        "RLIMIT_CPU": ("Max cpu time", "processor time of the process"),
        "RLIMIT_DATA": ("Max data size", "initialised and allocated data"),
        "RLIMIT_FSIZE": ("Max file size", "size of a file it writes"),
        "RLIMIT_LOCKS": ("Max file locks", "file locks (no longer looked at)"),
        "RLIMIT_MEMLOCK": ("Max locked memory", "memory pinned against swapping"),
        "RLIMIT_MSGQUEUE": ("Max msgqueue size", "POSIX message queues of the user"),
        "RLIMIT_NICE": ("Max nice priority", "how far priority may be raised"),
        "RLIMIT_NOFILE": ("Max open files", "open files of a process"),
        "RLIMIT_NPROC": ("Max processes", "processes and threads of the user"),
        "RLIMIT_RSS": ("Max resident set", "resident memory (no longer looked at)"),
        "RLIMIT_RTPRIO": ("Max realtime priority", "highest real-time priority"),
        "RLIMIT_RTTIME": ("Max realtime timeout", "processor time without a pause under real-time scheduling"),
        "RLIMIT_SIGPENDING": ("Max pending signals", "queued signals of the user"),
        "RLIMIT_STACK": ("Max stack size", "stack of the main thread"),
    }
)

# Path in config.json -> what is there.
PROTECTED_PATHS = MappingProxyType(
    {
        "/proc/kcore": "the machine's memory as a file",
        "/proc/latency_stats": "where processes had to wait",
        "/proc/timer_list": "every timer of the kernel",
        "/proc/timer_stats": "who set which timer (older kernels)",
        "/proc/sched_debug": "every process the scheduler knows (older kernels)",
        "/proc/asound": "sound devices",
        "/proc/bus": "devices by bus; writing configures them",
        "/proc/fs": "settings and statistics of file systems",
        "/proc/irq": "which processor serves which interrupt",
        "/proc/sys": "the kernel's settings (sysctl)",
        "/proc/sysrq-trigger": "one letter written here restarts or halts the machine",
        "/proc/keys": "keys of the kernel's key rings",
        "/proc/acpi": "power management",
        "/proc/scsi": "disks and other SCSI devices",
        "/sys/firmware": "tables and variables of the firmware",
    }
)
