"""What goes wrong, in the words in which runtimes, kernels, FUSE, Nix and builds report it, with cause and cure.

Data only. The texts were seen on Debian 12 with runc 1.1, crun 1.8 and Nix 2.8, or are taken from the public issue
the entry names. Where two patterns match one line, the more exact one stands first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["setup", "exec", "build", "output"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One known text: ``pattern`` (a regular expression within one line), why it appears, what to do about it.

    ``stage`` is whose fault it is, in the words of ``Run.failed_at``. ``cause`` and ``cure`` may name groups of the
    pattern in braces. ``symptom`` marks a text that only follows from another one above it. ``source`` names an issue.
    """

    stage: Stage
    pattern: str
    cause: str
    cure: str
    symptom: bool = False
    source: str | None = None


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
        r"mapping tool not present|new[ug]idmap is not installed",
        "newuidmap and newgidmap are not installed",
        "sudo apt-get install uidmap",
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
        r"failed to update /proc/\d+/[ug]id_map: Permission denied",
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
        r"cannot set [ug]id to unmapped user in user namespace|cannot setres[ug]id to \d+: Invalid argument",
        "process.user names an id that the container's id maps do not hold",
        "map the id in linux.uidMappings and gidMappings, or run as one that is mapped",
    ),
    Failure(
        "setup",
        r"cannot specify gid= mount options for unmapped gid in rootless containers",
        "a mount (devpts) asks for gid=5, which the id maps do not hold",
        "leave gid=5 out of the options; the rootless rendering does",
    ),
    Failure(
        "setup",
        r'error mounting "proc" to rootfs at "/proc".*operation not permitted',
        "parts of /proc outside are masked, as in a container, and the kernel refuses a fresh one there",
        "start the outer container with --security-opt systempaths=unconfined (Docker, Podman), procMount: Unmasked "
        "(Kubernetes)",
    ),
    Failure(
        "setup",
        r'error mounting "sysfs" to rootfs at "/sys".*operation not permitted',
        "a fresh sysfs needs a network namespace that belongs to the container's user namespace",
        "bind the host's /sys instead (the rootless rendering does), or give it a network namespace of its own",
    ),
    Failure(
        "setup",
        r"error mounting .*: mkdir \S+: permission denied",
        "a mount point was not made beforehand, and the container's root may not make it in root/",
        "make every mount point in the bundle's root/ first; Bundle.create does",
    ),
    Failure(
        "setup",
        r"(?:error mounting|mount) .*flags: 0x[0-9a-f]+.*operation not permitted",
        "a bind mount of a FUSE file system has to keep the nosuid and nodev it was mounted with",
        "add nosuid and nodev to the mount's options",
    ),
    Failure(
        "setup",
        r"error preparing rootfs.*permission denied",
        "a directory on the way to the bundle is closed (0700) to the id that the container's root is mapped to",
        "chmod a+x every directory above the bundle, or choose another bundle root; doctor() names the closed one",
    ),
    Failure(
        "setup",
        r"unable to apply cgroup configuration: mkdir .*: permission denied",
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
        r"sd-bus call: Interactive authentication required",
        "crun asks systemd for a cgroup, and this session (su, sudo) is not one systemd knows",
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
        r"open /dev/tty: no such device or address|open /dev/ptmx: No such file or directory",
        "process.terminal is true and there is no terminal here",
        "terminal false, the default",
    ),
    Failure(
        "setup",
        r"error setting rlimit type \d+: operation not permitted",
        "an rlimit in config.json is above this process's hard limit",
        "lower it, or raise the hard limit (ulimit -H)",
    ),
    Failure(
        "setup",
        r"reopen fd \d+: permission denied",
        "runc 1.3.3 inside LXC under AppArmor cannot reopen files in /proc",
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
        r"(?:Creating new namespace|unshare|clone).* failed: No space left on device",
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
)

EXEC: tuple[Failure, ...] = (
    Failure(
        "exec",
        r"missing dynamic library\?",
        "the program is there, but its ELF loader or a shared library is not",
        "give the loader and the libraries as inputs (add_host_program finds them), or use a static program",
    ),
    Failure(
        "exec",
        r"executing '(?P<program>[^']+)': No such file or directory",
        "the derivation's builder {program} is not among the inputs",
        "add the store path that holds {program} to the inputs",
    ),
    Failure(
        "exec",
        r"exec:? \"?(?P<program>/[^\s\":]+)\"?: (?:stat \S+: )?no such file or directory",
        "{program}, its ELF loader, or the interpreter in its #! line is not inside (or the #! line ends in CR)",
        "add the file or its interpreter as an input, check the #! line (file, readelf -l), convert CR LF line ends",
    ),
    Failure(
        "exec",
        r"exec:? \"?(?P<program>/[^\s\":]+)\"?: exec format error",
        "{program} is for another architecture, or is a script without a #! line",
        "check with file and uname -m; start scripts with #!/bin/sh",
    ),
    Failure(
        "exec",
        r"exec:? \"?(?P<program>/[^\s\":]+)\"?: permission denied|open executable: Permission denied",
        "the command is not executable, or is a directory (runc says the same of both)",
        "chmod +x it before it is ingested; add_file(..., executable=True)",
    ),
    Failure(
        "exec",
        r"exec:? \"?(?P<program>[^\s\"/:]+)\"?: executable file not found in \$?PATH",
        "{program} is in no directory of the build's PATH",
        "give the full path, or set PATH in the environment",
    ),
)

BUILD: tuple[Failure, ...] = (
    Failure(
        "build",
        r"(?P<interpreter>/\S+): bad interpreter: No such file or directory",
        "a script's #! line names {interpreter}, which the sandbox does not have",
        "patchShebangs, or give the interpreter as an input",
    ),
    Failure(
        "build",
        r"(?:sh|bash|/bin/sh|/bin/bash)(?:: line \d+|: \d+)?: (?P<tool>[^\s:/]+): (?:command )?not found",
        "the tool {tool} is not in the sandbox, or not in PATH",
        "give an input that has {tool} (Nix: nativeBuildInputs) and put its bin directory into PATH",
    ),
    Failure(
        "build",
        r"/homeless-shelter",
        "HOME is /homeless-shelter on purpose: builds must not depend on a home directory",
        "export HOME=$TMPDIR in the build (Nix: writableTmpDirAsHomeHook)",
    ),
    Failure(
        "build",
        r"Could not resolve host|bad address '|Network is unreachable|Temporary failure in name resolution",
        "the sandbox has no network; with network access it can also be a resolv.conf that leads nowhere inside",
        "fetch beforehand and give it as an input (Nix: a fixed-output derivation), or ask for network_access",
    ),
    Failure(
        "build",
        r"unable to get local issuer certificate|SSL certificate problem",
        "the file with the certificate authorities is not in the sandbox",
        "give it as an input and point SSL_CERT_FILE at it (Nix: cacert)",
    ),
    Failure(
        "build",
        r"chmod: .*: Operation not permitted",
        "setuid and setgid bits are refused in a build (Nix filters them)",
        "leave the bits out; they would not survive in a store anyway",
    ),
    Failure(
        "build",
        r"ch(?:own|grp): .*: Invalid argument",
        "the owner asked for is not in the container's id maps",
        "do not change owners: a store keeps none",
    ),
    Failure(
        "build",
        r"Killed signal terminated program|fatal error: Killed|signal 9 .*cc1",
        "a child of the build was killed, most likely for lack of memory; the exit status need not be 137",
        "look at memory.events of the cgroup (run.usage), raise the memory limit, build with fewer jobs",
    ),
    Failure(
        "build",
        r"couldn't open temporary file .*Permission denied|Read-only file system",
        "inputs are read-only, and copies made from them keep that",
        "cp --no-preserve=mode, and write below a scratch path (the mount table lists what is writable)",
    ),
    Failure(
        "build",
        r"auto-patchelf could not satisfy dependency (?P<library>\S+)",
        "no input has the shared library {library}",
        "add the package that holds it to buildInputs",
    ),
    Failure(
        "build",
        r"(?:ls|find|cat): \S*: Permission denied",
        "a read-only view can be closed to the build's user: FUSE mounted without allow_other",
        "doctor() says whether allow_other works here; inputs='checkout' does without FUSE",
    ),
    Failure(
        "build",
        r"No space left on device",
        "the disk below the bundle, or a tmpfs in the sandbox (/dev/shm has 64 MB), is full",
        "free space below the bundle root, or write below a scratch path",
    ),
)

VERDICTS: tuple[Failure, ...] = (
    Failure(
        "output",
        r"failed to produce output path for output '(?P<output>[^']*)'",
        "the build ended well and never wrote its output {output}",
        "look at what it wrote instead: run.result lists it; write to ${output}",
    ),
    Failure(
        "output",
        r"hash mismatch in fixed-output derivation",
        "what was fetched is not what was written down: the source changed upstream, or the hash is wrong",
        "check the source, then write the hash after 'got:' down",
    ),
    Failure(
        "output",
        r"should be a non-executable regular file since recursive hashing is not enabled",
        "outputHashMode is flat, and the output is a directory or executable",
        'outputHashMode = "recursive"',
    ),
    Failure(
        "output",
        r"is not allowed to refer to the following paths",
        "an output holds a reference it must not have",
        "find where it stands (path and offset) and remove it: remove-references-to, a separate output",
    ),
    Failure(
        "output",
        r"cycle detected in build of",
        "the outputs refer to each other in a circle",
        "move what is referred to into the output it is used from",
    ),
    Failure(
        "output",
        r"suspicious ownership or permission on",
        "an output is writable for its group or for others",
        "chmod go-w it at the end of the build",
    ),
    Failure(
        "output",
        r"has an unsupported type",
        "the output holds a FIFO, a socket or a device",
        "remove it at the end of the build",
    ),
    Failure(
        "setup",
        r"is required to build '(?P<drv>[^']*)', but I am a '(?P<here>[^']+)'",
        "the derivation is for another system, or wants features this machine ({here}) does not offer",
        "build on such a machine, or list the features in the configuration",
    ),
    Failure(
        "output",
        r"may not be deterministic",
        "two builds of the same derivation gave different outputs",
        "compare them (diffoscope); look for times, random numbers and the order of files",
    ),
)

FAILURES: tuple[Failure, ...] = (*SETUP, *EXEC, *BUILD, *VERDICTS)
