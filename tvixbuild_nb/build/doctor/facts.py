"""What this host shows of itself without anything being tried: marks, the kernel's switches, id ranges, tools."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tvixbuild_nb.build.doctor.host import MARK_FILES, Marks
from tvixbuild_nb.keeper.ids import SubordinateRange, subordinate_range

# The kernel's switches that decide about user namespaces; each exists on some kernels only.
SWITCHES = {
    "max_user_namespaces": "/proc/sys/user/max_user_namespaces",
    "unprivileged_userns_clone": "/proc/sys/kernel/unprivileged_userns_clone",
    "apparmor_restrict": "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
}
# Kernels of notebooks are often started without the administrator's part of PATH.
SEARCH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts judgements stand on.

    switches       name -> number, as far as this kernel has them (see SWITCHES)
    status         fields of /proc/self/status that restrict: NoNewPrivs, Seccomp
    subuid, subgid the ranges that belong to this account, None without one
    tools          name -> path of the programs that were found
    setuid         names of those tools that are setuid root
    """

    marks: Marks
    uid: int = 1000
    user: str = "user"
    release: str = ""
    switches: Mapping[str, int] = field(default_factory=dict)
    status: Mapping[str, str] = field(default_factory=dict)
    subuid: SubordinateRange | None = None
    subgid: SubordinateRange | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    setuid: frozenset[str] = frozenset()

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    @property
    def no_new_privileges(self) -> bool:
        return self.status.get("NoNewPrivs") == "1"

    def as_root(self, command: str) -> str:
        """``command`` as this account has to type it."""
        return command if self.is_root else f"sudo {command}"

    def install(self, package: str) -> str:
        """The command that installs Debian's ``package``, or words where apt-get is missing."""
        if "apt-get" in self.tools:
            return self.as_root(f"apt-get install {package}")
        return f"install what Debian calls {package} with this system's package manager"


def gather() -> Facts:
    """The facts of this host; what cannot be read is left out. Works on every system."""
    marks = Marks(platform.system(), dict(os.environ), _texts(MARK_FILES))
    if marks.system != "Linux":
        return Facts(marks, release=platform.release())
    uid, user = os.geteuid(), _account_name()
    tools = _tools(("newuidmap", "newgidmap", "runc", "crun", "fusermount", "fusermount3", "apt-get"))
    return Facts(
        marks=marks,
        uid=uid,
        user=user,
        release=platform.release(),
        switches={name: int(text) for name, path in SWITCHES.items() if (text := _text(path) or "").strip().isdigit()},
        status=_status(),
        subuid=_range("/etc/subuid", user, uid),
        subgid=_range("/etc/subgid", user, uid),
        tools=tools,
        setuid=frozenset(name for name, path in tools.items() if _is_setuid(path)),
    )


def _text(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return None


def _texts(paths: tuple[str, ...]) -> dict[str, str]:
    return {path: text for path in paths if (text := _text(path)) is not None}


def _account_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _status() -> dict[str, str]:
    fields = (line.partition(":") for line in (_text("/proc/self/status") or "").splitlines())
    return {name: value.strip() for name, _, value in fields if name in ("NoNewPrivs", "Seccomp")}


def _range(path: str, user: str, uid: int) -> SubordinateRange | None:
    try:
        return subordinate_range(path, user, uid)
    except OSError:
        return None


def _tools(names: tuple[str, ...]) -> dict[str, str]:
    search = os.pathsep.join([os.environ.get("PATH", ""), *SEARCH])
    return {name: path for name in names if (path := shutil.which(name, path=search))}


def _is_setuid(path: str) -> bool:
    try:
        found = Path(path).stat()
    except OSError:
        return False
    return bool(found.st_mode & stat.S_ISUID) and found.st_uid == 0
