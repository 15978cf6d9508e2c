"""Which kind of host this is, told from its marks: bare metal, a VM, or a container and whose.

Pure: :func:`classify` looks at :class:`Marks` that somebody else collected. The flags are what each engine's own
documentation calls the settings that lift the restriction in question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "bare", "vm", "wsl", "docker", "podman", "kubernetes", "binder", "lxc", "nspawn", "container", "not-linux"
]

NAMES: Mapping[Kind, str] = {
    "bare": "bare metal",
    "vm": "a virtual machine",
    "wsl": "Windows Subsystem for Linux",
    "docker": "a Docker container",
    "podman": "a Podman container",
    "kubernetes": "a Kubernetes pod",
    "binder": "a Binder session",
    "lxc": "an LXC container",
    "nspawn": "a systemd-nspawn container",
    "container": "a container",
    "not-linux": "not Linux",
}

# What a build needs -> the setting that grants it, per engine. The keys are Check.need.
FLAGS: Mapping[Kind, Mapping[str, str]] = {
    "docker": {
        "namespaces": "--security-opt seccomp=unconfined",
        "mount": "--security-opt apparmor=unconfined",
        "proc": "--security-opt systempaths=unconfined",
        "fuse": "--device /dev/fuse",
        "admin": "--cap-add SYS_ADMIN",
    },
    "podman": {
        "namespaces": "--security-opt seccomp=unconfined",
        "mount": "--security-opt label=disable",
        "proc": "--security-opt unmask=ALL",
        "fuse": "--device /dev/fuse",
        "admin": "--cap-add SYS_ADMIN",
    },
    "kubernetes": {
        "privileges": "allowPrivilegeEscalation: true",
        "namespaces": "seccompProfile: {type: Unconfined}",
        "mount": "appArmorProfile: {type: Unconfined}",
        "proc": "procMount: Unmasked",
        "fuse": "/dev/fuse from a device plugin (or privileged: true)",
        "admin": "capabilities: {add: [SYS_ADMIN]}",
    },
    "lxc": {
        "namespaces": "lxc config set NAME security.nesting true",
        "mount": "lxc config set NAME security.nesting true",
        "proc": "lxc config set NAME security.nesting true",
        "fuse": "lxc config device add NAME fuse unix-char path=/dev/fuse",
    },
    "nspawn": {
        "namespaces": "--system-call-filter='@mount @keyring'",
        "mount": "--capability=CAP_SYS_ADMIN",
        "fuse": "--bind=/dev/fuse --property='DeviceAllow=/dev/fuse rwm'",
        "admin": "--capability=CAP_SYS_ADMIN",
    },
}
_FORMS: Mapping[Kind, Callable[[list[str]], str]] = {
    "docker": lambda flags: f"docker run {' '.join(flags)} IMAGE",
    "podman": lambda flags: f"podman run {' '.join(flags)} IMAGE",
    "kubernetes": lambda flags: f"securityContext: {', '.join(flags)}",
    "lxc": lambda flags: "; ".join(flags),
    "nspawn": lambda flags: f"systemd-nspawn {' '.join(flags)}",
}


@dataclass(frozen=True, slots=True)
class Marks:
    """What a host shows of itself.

    system     as ``platform.system()`` has it
    env        environment variables of this process
    files      texts of the files that could be read, by path; an empty file is a mark, too
    """

    system: str = "Linux"
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """A kind of host, with the marks it was told by; ``name`` is for people."""

    kind: Kind
    evidence: tuple[str, ...]
    note: str | None = None

    @property
    def name(self) -> str:
        return NAMES[self.kind]

    @property
    def is_container(self) -> bool:
        return self.kind in ("docker", "podman", "kubernetes", "binder", "lxc", "nspawn", "container")

    @property
    def flags(self) -> Mapping[str, str]:
        """Every setting of this engine that a build can need, by need."""
        return FLAGS.get(self.kind, {})

    def start_with(self, needs: Iterable[str]) -> str | None:
        """The engine's command line or settings for ``needs``; None where there is no engine or no need."""
        flags = [flag for need, flag in self.flags.items() if need in set(needs)]
        if not flags:
            return None
        return _FORMS[self.kind](list(dict.fromkeys(flags)))

    def __str__(self) -> str:
        text = f"{self.name} ({'; '.join(self.evidence)})" if self.evidence else self.name
        return f"{text}; {self.note}" if self.note else text


# Files whose presence or words tell the kind of host. facts.py reads them.
MARK_FILES = (
    "/.dockerenv",
    "/run/.containerenv",
    "/run/systemd/container",
    "/proc/1/cgroup",
    "/proc/version",
    "/proc/sys/kernel/osrelease",
    "/proc/cpuinfo",
    "/proc/self/mountinfo",
    "/sys/class/dmi/id/sys_vendor",
    "/sys/class/dmi/id/product_name",
    "/sys/hypervisor/type",
    "/var/run/secrets/kubernetes.io/serviceaccount/namespace",
)


def classify(marks: Marks) -> Host:
    """The kind of host that shows ``marks``; the innermost one, when one lies in the other."""
    if marks.system != "Linux":
        return Host("not-linux", (marks.system or "unknown system",), "building needs Linux, rendering does not")
    for kind, find in _FINDERS:
        evidence = find(marks)
        if evidence:
            return Host(kind, tuple(evidence), _note(kind, marks))
    return Host("bare", ())


def _note(kind: Kind, marks: Marks) -> str | None:
    if kind == "binder":
        return "Binder grants none of what a build needs: use a remote builder, or this repository on your own machine"
    if kind == "wsl" and "WSL2" not in marks.files.get("/proc/sys/kernel/osrelease", "").upper():
        return "WSL 1 has no Linux kernel: wsl --set-version DISTRIBUTION 2"
    return None


def _binder(marks: Marks) -> list[str]:
    return [name for name in ("BINDER_LAUNCH_HOST", "BINDER_SERVICE_HOST", "BINDER_REPO_URL") if marks.env.get(name)]


def _kubernetes(marks: Marks) -> list[str]:
    found = ["KUBERNETES_SERVICE_HOST"] if marks.env.get("KUBERNETES_SERVICE_HOST") else []
    account = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
    found += [account] if account in marks.files else []
    return found + _words(marks, "/proc/1/cgroup", "kubepods")


def _podman(marks: Marks) -> list[str]:
    found = ["/run/.containerenv"] if "/run/.containerenv" in marks.files else []
    found += ["container=podman"] if marks.env.get("container") == "podman" else []
    return found + _words(marks, "/run/systemd/container", "podman") + _words(marks, "/proc/1/cgroup", "libpod")


def _docker(marks: Marks) -> list[str]:
    mounts = [line.split() for line in marks.files.get("/proc/self/mountinfo", "").splitlines()]
    mounts = [fields for fields in mounts if len(fields) > 4]
    # A virtual machine made of a Docker image still has the file, but none of the mounts Docker makes.
    own = not mounts or any(fields[4] in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf") for fields in mounts)
    found = ["/.dockerenv"] if "/.dockerenv" in marks.files and own else []
    found += _words(marks, "/run/systemd/container", "docker") + _words(marks, "/proc/1/cgroup", "docker")
    # Docker binds these from its own directory; on Docker's host that directory shows in other mounts.
    bound = [fields[4] for fields in mounts if "/docker/containers/" in fields[3]]
    return found + [f"{path} from /docker/containers" for path in bound if path.startswith("/etc/")]


def _lxc(marks: Marks) -> list[str]:
    found = ["container=lxc"] if marks.env.get("container") == "lxc" else []
    return found + _words(marks, "/run/systemd/container", "lxc") + _words(marks, "/proc/1/cgroup", "/lxc")


def _nspawn(marks: Marks) -> list[str]:
    found = ["container=systemd-nspawn"] if marks.env.get("container") == "systemd-nspawn" else []
    return found + _words(marks, "/run/systemd/container", "systemd-nspawn")


def _container(marks: Marks) -> list[str]:
    named = marks.env.get("container") or marks.files.get("/run/systemd/container", "").strip()
    return [f"container={named}"] if named and named != "wsl" else []


def _wsl(marks: Marks) -> list[str]:
    found = [name for name in ("WSL_DISTRO_NAME", "WSL_INTEROP") if marks.env.get(name)]
    return found + _words(marks, "/proc/version", "microsoft")


def _vm(marks: Marks) -> list[str]:
    found = [f"hypervisor {text}"] if (text := marks.files.get("/sys/hypervisor/type", "").strip()) else []
    for file in ("/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name"):
        text = marks.files.get(file, "").strip()
        if any(word in text.lower() for word in _HYPERVISORS):
            found.append(text)
    flags = marks.files.get("/proc/cpuinfo", "")
    return found or (["the processor's hypervisor flag"] if " hypervisor" in flags else [])


def _words(marks: Marks, file: str, word: str) -> list[str]:
    return [f"{word.strip('/')} in {file}"] if word in marks.files.get(file, "").lower() else []


_HYPERVISORS = (
    "qemu", "kvm", "vmware", "virtualbox", "innotek", "xen", "bochs", "parallels", "bhyve", "amazon ec2", "firecracker",
    "google compute engine", "openstack", "virtual machine", "digitalocean", "hetzner",
)  # fmt: skip

# From the inside out: a pod is made of containers, a container may run in WSL or in a VM.
_FINDERS: tuple[tuple[Kind, Callable[[Marks], list[str]]], ...] = (
    ("binder", _binder),
    ("kubernetes", _kubernetes),
    ("podman", _podman),
    ("docker", _docker),
    ("lxc", _lxc),
    ("nspawn", _nspawn),
    ("container", _container),
    ("wsl", _wsl),
    ("vm", _vm),
)
