"""What the names in a config.json mean: capabilities, namespaces, limits, hidden paths, mount options.

Facts from the manual pages capabilities(7), namespaces(7), getrlimit(2), mount(8), tmpfs(5), proc(5), in short. Each
is a pair: what it is or allows, and what would be otherwise without it.
"""

from __future__ import annotations

Meaning = tuple[str, str]

CAPABILITIES: dict[str, str] = {
    "CAP_AUDIT_CONTROL": "change the rules of kernel auditing",
    "CAP_AUDIT_READ": "read the kernel's audit log",
    "CAP_AUDIT_WRITE": "write records to the kernel's audit log",
    "CAP_BLOCK_SUSPEND": "keep the machine from suspending",
    "CAP_BPF": "load BPF programs",
    "CAP_CHECKPOINT_RESTORE": "save and restore processes",
    "CAP_CHOWN": "give files to another user or group",
    "CAP_DAC_OVERRIDE": "read, write and enter whatever the permission bits say",
    "CAP_DAC_READ_SEARCH": "read files and list directories whatever the permission bits say",
    "CAP_FOWNER": "change modes and times of files of other owners",
    "CAP_FSETID": "keep the set-user-id bits of a file that is changed",
    "CAP_IPC_LOCK": "lock memory so that it is not swapped out",
    "CAP_IPC_OWNER": "use System V IPC objects of other owners",
    "CAP_KILL": "send signals to processes of other users",
    "CAP_LEASE": "take leases on files of others",
    "CAP_LINUX_IMMUTABLE": "make files immutable or append-only",
    "CAP_MAC_ADMIN": "change the rules of mandatory access control",
    "CAP_MAC_OVERRIDE": "override mandatory access control",
    "CAP_MKNOD": "make device files (in a user namespace the kernel refuses all the same)",
    "CAP_NET_ADMIN": "configure network interfaces and routes",
    "CAP_NET_BIND_SERVICE": "listen on ports below 1024",
    "CAP_NET_BROADCAST": "broadcast and listen to multicasts",
    "CAP_NET_RAW": "use raw sockets, as ping does",
    "CAP_PERFMON": "watch the performance of the whole system",
    "CAP_SETFCAP": "give capabilities to files",
    "CAP_SETGID": "take on other group ids",
    "CAP_SETPCAP": "change the capability sets of its own process",
    "CAP_SETUID": "take on other user ids, as far as they are mapped",
    "CAP_SYSLOG": "read and clear the kernel's log",
    "CAP_SYS_ADMIN": "administer: mount, set host names, and much else",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "change its root directory",
    "CAP_SYS_MODULE": "load kernel modules",
    "CAP_SYS_NICE": "raise priorities",
    "CAP_SYS_PACCT": "switch process accounting",
    "CAP_SYS_PTRACE": "trace processes of others",
    "CAP_SYS_RAWIO": "speak to hardware ports",
    "CAP_SYS_RESOURCE": "go beyond resource limits",
    "CAP_SYS_TIME": "set the clock",
    "CAP_SYS_TTY_CONFIG": "configure terminals",
    "CAP_WAKE_ALARM": "set alarms that wake the machine",
}

CAPABILITY_SETS: dict[str, Meaning] = {
    "bounding": (
        "the most that any process inside can ever have",
        "whatever an executed file asks for could be gained",
    ),
    "effective": ("what the kernel checks when the command does something", "the permitted ones would lie idle"),
    "inheritable": ("what an executed file may keep, where the file says so", "files could not hand them on"),
    "permitted": ("what the command may make effective", "nothing could be effective either"),
    "ambient": (
        "what programs without capabilities of their own keep when they are executed",
        "the user, not being root, would lose all of them at the first exec",
    ),
}

NAMESPACES: dict[str, Meaning] = {
    "pid": (
        "the build sees its own processes only, the command being number 1; when that one ends, all of them do",
        "the build could see and signal other processes of its user",
    ),
    "ipc": (
        "System V IPC, POSIX message queues and shared memory of its own",
        "the build could meet shared memory and queues of the host",
    ),
    "uts": ("a host name of its own", "the build would see the host's name, which differs from one to another"),
    "mount": ("mounts of its own: none of the others is possible without it", "there would be no sandbox at all"),
    "cgroup": (
        "the build sees its own cgroup as the root of all",
        "paths in /proc/self/cgroup would tell where on the host it runs",
    ),
    "network": (
        "a network of its own in which there is nothing but a loopback interface",
        "the build could reach the network, and its result depend on it",
    ),
    "user": (
        "ids of its own: who is root inside is an ordinary, otherwise unused id outside",
        "whoever breaks out of the sandbox would have the ids of the host",
    ),
    "time": ("clocks of its own", "the host's clocks"),
}

RLIMITS: dict[str, str] = {
    "RLIMIT_AS": "bytes of address space",
    "RLIMIT_CORE": "bytes of a core dump",
    "RLIMIT_CPU": "seconds of CPU time",
    "RLIMIT_DATA": "bytes of data segment",
    "RLIMIT_FSIZE": "bytes of any file that is written",
    "RLIMIT_LOCKS": "file locks (of no effect since Linux 2.4)",
    "RLIMIT_MEMLOCK": "bytes of locked memory",
    "RLIMIT_MSGQUEUE": "bytes of message queues",
    "RLIMIT_NICE": "how far priority may be raised",
    "RLIMIT_NOFILE": "open files of a process",
    "RLIMIT_NPROC": "processes and threads of the user",
    "RLIMIT_RSS": "resident pages (of no effect today)",
    "RLIMIT_RTPRIO": "real-time priority",
    "RLIMIT_RTTIME": "microseconds of real-time scheduling",
    "RLIMIT_SIGPENDING": "queued signals",
    "RLIMIT_STACK": "bytes of stack",
}

MASKED: dict[str, Meaning] = {
    "/proc/kcore": ("the machine's memory as a file", "whoever may read it reads everything"),
    "/proc/latency_stats": ("where the kernel waited", "it tells of other processes"),
    "/proc/timer_list": ("pending timers", "it tells of other processes, and kernel addresses"),
    "/proc/timer_stats": ("who used timers (old kernels)", "it tells of other processes"),
    "/proc/sched_debug": ("the scheduler's state", "it names processes of the whole host"),
    "/sys/firmware": ("tables of the firmware", "it tells which machine this is"),
}
READONLY: dict[str, Meaning] = {
    "/proc/asound": ("the sound cards", "settings of the host's sound could be changed"),
    "/proc/bus": ("devices on the buses", "the host's devices could be spoken to"),
    "/proc/fs": ("parameters of file systems", "parameters of the host's file systems could be changed"),
    "/proc/irq": ("which CPU serves which interrupt", "the host's interrupts could be moved"),
    "/proc/sys": ("the kernel's parameters", "the host's kernel could be set up in another way"),
    "/proc/sysrq-trigger": ("commands to the kernel", "one letter written there reboots the host"),
}

MOUNT_OPTIONS: dict[str, Meaning] = {
    "bind": ("shows a directory or file that exists elsewhere", "there would be nothing to mount"),
    "rbind": (
        "shows a directory or file that exists elsewhere, with the mounts below it",
        "mounts below the source would look like empty directories",
    ),
    "rw": ("may be written to", "the default all the same; said for clarity"),
    "ro": ("cannot be written to through this mount; mounts below it may still be", "the build could change it"),
    "rro": ("cannot be written to, nor can the mounts below it", "mounts below it would stay writable"),
    "nosuid": ("set-user-id bits and file capabilities have no effect", "a program there could run as another user"),
    "nodev": ("device files there cannot be opened", "a device file there would give access to the device"),
    "noexec": ("nothing there can be executed", "programs could be put there and run"),
    "noatime": ("reading leaves no time stamp", "every read would write one"),
    "relatime": ("reading leaves a time stamp at most once a day", "the kernel's default; said for clarity"),
    "strictatime": ("every read leaves a time stamp", "the kernel would leave most of them out"),
    "newinstance": ("pseudo-terminals of its own", "the host's terminals would be visible"),
}

# Options with a value, by what stands before the equals sign.
MOUNT_VALUES: dict[str, Meaning] = {
    "mode": ("permission bits of the root of this file system: {value}", "the kernel's default mode would stand"),
    "ptmxmode": ("permission bits of ptmx, by which terminals are made: {value}", "nobody could make a terminal"),
    "size": ("may take this much memory: {value}", "half of the machine's memory could be filled"),
    "gid": ("terminals belong to the group {value} (tty)", "terminals would belong to their user's group"),
    "uid": ("belongs to the user {value}", "it would belong to root"),
}
