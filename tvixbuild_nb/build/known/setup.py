"""What keeps a sandbox from being set up, in the words of runc, crun, newuidmap, fusermount and the kernel."""

from __future__ import annotations

from tvixbuild_nb.build.known.failure import Failure

SETUP: tuple[Failure, ...] = (
    Failure(
        "setup",
        r"new(?P<kind>[ug])idmap: [ug]id range \[(?P<inside>[\d-]+)\) -> \[(?P<outside>[\d-]+)\) not allowed",
        "/etc/sub{kind}id gives this account no range that holds the ids {outside}",
        "sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 USER (choose a range nobody has)",
    ),
    Failure(
        "setup",
        r"new[ug]idmap: write to [ug]id_map failed: Operation not permitted",
        "newuidmap and newgidmap lack their setuid bit or file capability here, or no_new_privs is set for this "
        "process (the default of JupyterHub on Kubernetes)",
        "sudo chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap; on Kubernetes allowPrivilegeEscalation: true",
    ),
    Failure(
        "setup",
        r"new[ug]idmap is not installed",
        "newuidmap and newgidmap are not installed",
        "sudo apt-get install uidmap",
    ),
    Failure(
        "setup",
        r"mapping tool not present",
        "these ids take newuidmap and newgidmap, and they are not installed (or the ids are not in this namespace "
        "at all)",
        "sudo apt-get install uidmap; as root of a namespace, map only ids that it has",
    ),
    Failure(
        "setup",
        r"can't get final child's PID from pipe: EOF",
        "runc's first process ended early; the reason stands in the lines above this one",
        "read the lines before it",
        symptom=True,
    ),
    Failure(
        "setup",
        r"(?:failed to update /proc/\d+/[ug]id_map|open(?:ing)? file `/proc/\d+/[ug]id_map` for writing): "
        r"(?:Permission denied|No such file or directory)",
        "/proc belongs to another pid namespace, so the runtime finds somebody else under that number",
        "mount proc again inside the pid namespace: mount -t proc proc /proc",
    ),
    Failure(
        "setup",
        r"rootless container requires user namespaces",
        "a config.json without a user namespace was run by somebody who is not root",
        "render it again with rootless on, which is the default",
    ),
    Failure(
        "setup",
        r"User namespaces enabled, but no uid mappings found",
        "config.json asks for a user namespace and holds no id maps",
        "render with SpecOptions.for_host(), which adds linux.uidMappings and gidMappings",
    ),
    Failure(
        "setup",
        r"cannot set [ug]id to unmapped user in user namespace|cannot setres[ug]id to `?\d+`?: Invalid argument",
        "process.user names an id that the container's id maps do not hold",
        "map the id in linux.uidMappings and gidMappings, or run as one that is mapped",
    ),
    Failure(
        "setup",
        r"cannot specify gid= mount options for unmapped gid in rootless containers"
        r"|cannot specify gid=\d+ mount option for rootless container"
        r"|mount `devpts` to `\S*`: Invalid argument|error mounting \"devpts\" .*: invalid argument",
        "a mount (devpts) asks for gid=5, which the id maps do not hold",
        "leave gid=5 out of the options; the rootless rendering does",
    ),
    Failure(
        "setup",
        r'error mounting "proc" to rootfs at "/proc".*operation not permitted|mount `proc` to `\S*`: \w+ not permitted',
        "parts of /proc outside are masked, as in a container, and the kernel refuses a fresh one there",
        "start the outer container with --security-opt systempaths=unconfined (Docker, Podman), procMount: Unmasked "
        "(Kubernetes)",
    ),
    Failure(
        "setup",
        r'error mounting "sysfs" to rootfs at "/sys".*operation not permitted'
        r"|mount `sysfs` to `\S*`: \w+ not permitted",
        "a fresh sysfs needs a network namespace that belongs to the container's user namespace",
        "bind the host's /sys instead (the rootless rendering does), or give it a network namespace of its own",
    ),
    Failure(
        "setup",
        r"error mounting .*: (?:mkdir|mkdirat|make mountpoint) \S+: (?:.*: )?permission denied"
        r"|mkdir `/\S*`: Permission denied",
        "a mount point was not made beforehand, and the container's root may not make it in root/",
        "make every mount point in the bundle's root/ first; Bundle.create does",
    ),
    Failure(
        "setup",
        r"(?:error mounting|mount) .*flags(?:: |=)(?:0x[0-9a-f]+|MS_\w+).*operation not permitted"
        r"|remount `\S+`: Operation not "
        r"permitted",
        "a bind mount of a FUSE file system has to keep the nosuid and nodev it was mounted with",
        "add nosuid and nodev to the mount's options",
    ),
    Failure(
        "setup",
        r"error mounting .*: stat /proc/(?:thread-)?self/fd/\d+: permission denied"
        r"|(?:error stat'ing file|cannot stat) `/proc/self/fd/\d+`: Permission denied",
        "what is to be mounted is closed to the container's root: FUSE mounted without allow_other, or a mode",
        "mount it with allow_other (tvixbuild-nb doctor says whether that works here); --inputs checkout, "
        "inputs='checkout' in Python, does without FUSE",
    ),
    Failure(
        "setup",
        r"error preparing rootfs.*permission denied|fork/exec /proc/self/exe: permission denied"
        r"|error mounting .*: lstat \S+: permission denied|make `\S+` private: (?:a component is not accessible: )?"
        r"Permission denied|(?:cannot open `proc`|open `root`): Permission denied",
        "the bundle, or a directory on the way to it, is closed (0700) to the id that is the container's root",
        "chmod a+x every directory above the bundle, or choose another bundle root; tvixbuild-nb doctor names it",
    ),
    Failure(
        "setup",
        r"unable to apply cgroup configuration: .*[Pp]ermission denied"
        r"|creating cgroup directory `\S+`: Permission denied",
        "config.json has a cgroupsPath, and this account may not make cgroups there",
        "leave cgroupsPath out, or have a cgroup delegated (systemd-run --user --scope -p Delegate=yes)",
    ),
    Failure(
        "setup",
        r"cannot set \w+ limit: container could not join or create cgroup",
        "a limit needs a cgroup, and none could be made",
        "have a cgroup delegated (systemd-run --user --scope -p Delegate=yes), or drop the limit",
    ),
    Failure(
        "setup",
        r"(?:sd-bus call|unable to start unit .*): Interactive authentication required",
        "the runtime asks systemd for a cgroup, and this session (su, sudo) is not one systemd knows",
        "crun --cgroup-manager=disabled, or loginctl enable-linger USER",
        source="containers/crun#1134",
    ),
    Failure(
        "setup",
        r"cgroups in hybrid mode not supported",
        "crun refuses hosts that mount cgroups of version 1 and 2 side by side",
        "use runc, or hide /sys/fs/cgroup/unified in a private mount namespace (the keeper does)",
    ),
    Failure(
        "setup",
        r"open /dev/tty: no such device or address|open /dev/ptmx: No such file or directory"
        r"|cannot allocate tty if runc will detach|use --console-socket with --detach when a terminal is used",
        "process.terminal is true and there is no terminal here",
        "terminal false, the default",
    ),
    Failure(
        "setup",
        r"setting rlimit type \d+: operation not permitted|setrlimit `RLIMIT_\w+`: Operation not permitted",
        "an rlimit in config.json is above this process's hard limit",
        "lower it, or raise the hard limit (ulimit -H)",
    ),
    Failure(
        "setup",
        r"netlink: cannot serialize bytemsg of length \d+",
        "there are too many inputs for this runc: before 1.2 it takes 64 KiB of mount sources, about 500 inputs",
        "crun (--runtime crun), or runc 1.2 and newer; tvixbuild-nb minimize tells which inputs the build does without",
    ),
    Failure(
        "setup",
        r"openat2 `[^`]+`: Too many open files",
        "there are too many inputs for crun: it holds a file open for each of its mounts, within the build's own limit",
        'options=SpecOptions.for_host(rlimits={"RLIMIT_NOFILE": 20000}), more than there are inputs',
        elsewhere="a larger RLIMIT_NOFILE in config.json's rlimits than there are inputs, or runc",
    ),
    Failure(
        "setup",
        r"reopen fd \d+: permission denied",
        "runc 1.3.3 inside LXC under AppArmor cannot reopen files in /proc (seen with runc 1.2.8 and 1.4 as well)",
        "another version of runc, crun, or an AppArmor profile of the LXC container that allows it",
        source="opencontainers/runc#4972",
    ),
    Failure(
        "setup",
        r"write failed /proc/self/[ug]id_map: Operation not permitted",
        "AppArmor lets programs make a user namespace but not map ids or mount in it (Ubuntu 24.04's default)",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with userns for it",
        source="systemd/mkosi#3266, opencontainers/runc#4069",
    ),
    Failure(
        "setup",
        r"(?:writing|write) file `/proc/\d+/[ug]id_map`: (?:Operation not permitted|Invalid argument)",
        "the kernel takes these id maps from nobody here: their ids are not this account's (/etc/subuid), or AppArmor "
        "lets programs make a user namespace but not map ids in it (Ubuntu 24.04's default)",
        "map ids that this account has; with AppArmor: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    Failure(
        "setup",
        r"(?:Creating new namespace|unshare|clone).* failed: No space left on device"
        r"|failed to unshare .*: No space left on device|fork/exec /proc/self/exe: no space left on device",
        "the limit on user namespaces or on their nesting is reached; it is not the disk",
        "sudo sysctl -w user.max_user_namespaces=15000",
        source="containers/bubblewrap#371",
    ),
    Failure(
        "setup",
        r"option allow_other only allowed if 'user_allow_other' is set in (?P<file>/\S*fuse\.conf)",
        "without namespaces of its own, a user's FUSE mount is open to others only where {file} allows it",
        "sudo sed -i 's/^#user_allow_other/user_allow_other/' {file}",
    ),
    Failure(
        "setup",
        r"fuse: device not found, try 'modprobe fuse' first",
        "there is no /dev/fuse: the module is not loaded, or this is a container without the device",
        "sudo modprobe fuse; in a container start it with --device /dev/fuse",
    ),
    Failure(
        "setup",
        r"fuse: failed to open /dev/fuse: Permission denied",
        "/dev/fuse is closed to this account",
        "sudo chmod 0666 /dev/fuse (or the group that owns it)",
    ),
    Failure(
        "setup",
        r"fusermount3?: mount failed: Operation not permitted",
        "no_new_privs takes fusermount's setuid bit away, or this container lacks CAP_SYS_ADMIN",
        "allowPrivilegeEscalation: true on Kubernetes; else start the container with --cap-add SYS_ADMIN",
    ),
    Failure(
        "setup",
        r"Transport endpoint is not connected",
        "the process behind a FUSE mount is dead",
        "fusermount -u DIRECTORY (or umount -l as root), then run again",
    ),
    Failure(
        "setup",
        r"unsafe procfs detected: .*: (?:operation not permitted|function not implemented|permission denied)",
        "runc since 1.3.3 wants a /proc of its own to check its files with, and something around it (seccomp, "
        "AppArmor, "
        "a container) refuses that",
        "a newer runc or crun; in a container systempaths=unconfined and a seccomp profile that allows fsopen "
        "and openat2",
        source="opencontainers/runc#4984, opencontainers/runc#4963, opencontainers/runc#5007",
    ),
    Failure(
        "setup",
        r"unable to (?:join session keyring|create session key).*disk quota exceeded",
        "this account has as many kernel keys as it may have (each container takes one); it is not the disk",
        "sudo sysctl -w kernel.keys.maxkeys=20000 kernel.keys.maxbytes=2000000",
    ),
    Failure(
        "setup",
        r"unable to (?:join session keyring|create session key).*operation not permitted",
        "the container around this one forbids keyctl (seccomp)",
        "start the outer container with a seccomp profile that allows keyctl and add_key, or unconfined",
    ),
    Failure(
        "setup",
        r"failed to unshare (?:user|remaining) namespaces?: Operation not permitted"
        r"|fork/exec /proc/self/exe: operation not permitted"
        r"|cloning builder process: Operation not permitted|does not support the kernel namespaces that are required",
        "user namespaces are forbidden here: by a sysctl, or by the seccomp profile or AppArmor of a container around",
        "sudo sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000; in a container "
        "--security-opt seccomp=unconfined",
        source="NixOS/nix#2633, NixOS/nix#13128",
    ),
)
