"""Bundles on a file system in memory, which lists directories in another order than one on a disk does.

ext4 lists by a hash of the names, which is the same each time on one file system; a tmpfs lists by when the entries
were made. So a build that depends on the order in its scratch directories gives other outputs there.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from tvixbuild_nb.build.places import BundleRoot
from tvixbuild_nb.errors import HostRefused

MEMORY = Path("/dev/shm")
_IN_MEMORY = ("tmpfs", "ramfs")


class MemoryBundleRoot(BundleRoot):
    """As a :class:`BundleRoot`, but what is kept goes with this process: nobody's memory is filled for ever."""

    def kept_path(self, run: str) -> Path:
        """Where the kept bundle of a run stands."""
        return self.path / f"{self.token}.kept-{run}"


def memory_bundle_root(disk: Path, room: int, memory: Path = MEMORY) -> MemoryBundleRoot:
    """A root of this user's in ``memory``; :class:`HostRefused` says why bundles are to stay on ``disk``.

    Parameters: ``room``, bytes that a build may need; the host must have twice as many of memory left.
    """
    check_room(disk, room, memory)
    return MemoryBundleRoot(own_directory(memory))


def own_directory(memory: Path) -> Path:
    """This user's directory in ``memory``, made if need be; :class:`HostRefused` when another one took its name."""
    path = memory / f"tvixbuild-nb-{os.geteuid()}"
    with suppress(FileExistsError):
        path.mkdir(mode=0o711)
    # Anybody may make things there.
    status = path.lstat()
    if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
        raise HostRefused(f"{path} is not this user's directory", path=str(path))
    path.chmod(0o711)
    return path


def check_room(disk: Path, room: int, memory: Path = MEMORY) -> None:
    """:class:`HostRefused` when bundles cannot go to ``memory``, or it makes no difference there."""
    if file_system(disk) in _IN_MEMORY:
        raise HostRefused("they are on a file system in memory as it is", path=str(disk))
    if file_system(memory) not in _IN_MEMORY:
        raise HostRefused(f"{memory} is no file system in memory", path=str(memory))
    held = os.statvfs(memory)
    if held.f_flag & os.ST_NOEXEC:
        raise HostRefused(f"nothing can be executed in {memory}", path=str(memory))
    if held.f_bavail * held.f_frsize < room or _memory_left() < 2 * room:
        raise HostRefused(f"{memory}, or memory, has too little room for {room:,} bytes", path=str(memory))


def file_system(path: Path, mountinfo: str = "/proc/self/mountinfo") -> str | None:
    """The type of the file system that holds ``path``; None when the mounts do not tell."""
    device = path.stat().st_dev if path.exists() else -1
    wanted = f"{os.major(device)}:{os.minor(device)}" if device >= 0 else None
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, tail = line.partition(" - ")
            if fields.split(" ")[2] == wanted:
                return tail.split(" ")[0]
    return None


def bytes_taken(top: Path) -> int:
    """What a tree takes on its file system, without following a link."""
    found = [top, *(Path(at, name) for at, directories, files in os.walk(top) for name in (*directories, *files))]
    return sum(path.lstat().st_blocks * 512 for path in found)


def _memory_left() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        found = (line.split() for line in file if line.startswith("MemAvailable:"))
        return next((int(fields[1]) * 1024 for fields in found), 0)
