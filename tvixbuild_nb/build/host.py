"""What this host is, as far as a request can ask for it: system, memory, runtimes."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from tvixbuild_nb.errors import HostRefused

# 32-bit programs of the same family run here too.
_ALSO_RUNS = {"x86_64-linux": ("i686-linux",), "aarch64-linux": ("armv7l-linux", "armv6l-linux")}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i686", "i586": "i686"}


def host_system() -> str:
    """This machine as a Nix system string, such as ``x86_64-linux``."""
    machine = platform.machine().lower()
    return f"{_MACHINES.get(machine, machine)}-{platform.system().lower()}"


def runnable_systems() -> tuple[str, ...]:
    """The systems whose programs this machine runs, its own first."""
    own = host_system()
    return (own, *_ALSO_RUNS.get(own, ()))


def host_memory() -> int | None:
    """Bytes of memory this machine has, or None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class RuntimeProgram:
    """An OCI runtime found on this host."""

    path: str
    kind: str


def find_runtime(name: str) -> RuntimeProgram:
    """The runtime called ``name`` (runc, crun, or a path to one); :class:`HostRefused` when there is none."""
    kind = Path(name).name
    if kind not in ("runc", "crun"):
        raise HostRefused(f"{name!r} is not a runtime this package knows", path="runtime", hint="runc or crun")
    # Kernels of notebooks are often started without the administrator's part of PATH.
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    path = shutil.which(name, path=search)
    if path is None:
        raise HostRefused(f"{name} is not installed", path="runtime", hint=f"apt-get install {kind}")
    return RuntimeProgram(path, kind)
