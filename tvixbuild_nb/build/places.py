"""Where bundles live on this host, and how dead processes' leftovers are swept."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from tvixbuild_nb.build import locks
from tvixbuild_nb.build.record import state_directory
from tvixbuild_nb.errors import HostRefused
from tvixbuild_nb.keeper import Keeper
from tvixbuild_nb.keeper.cgroups import BuildCgroup

CGROUP_PREFIX = "tvixbuild-nb-"
RECORD_LINK = "record"
# The runtime's own state, inside the bundle as long as the container exists.
RUNTIME_STATE = "state"


def default_bundle_root() -> Path:
    """/var/lib/tvixbuild-nb/bundles for root, a directory below the user's state for anybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/tvixbuild-nb/bundles")
    return state_directory() / "bundles"


class BundleRoot:
    """A directory for bundles, locked by a name of its own so that a dead owner's bundles are known.

    Bundles are called ``<token>.<random>``; the lock file ``<token>.lock`` is held while this
    process lives. Raises :class:`HostRefused` when a directory on the way is closed to the sandbox's root.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        if not self.path.exists():
            # 0711: passable for the sandbox's root, which is nobody out here, and not listable.
            self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            if os.geteuid() == 0:
                os.chmod(self.path, 0o711)
        self._check_passable()
        self.token, self._lock = self._claim()

    def _claim(self) -> tuple[str, int | None]:
        """A token whose lock is ours: between making and locking it, a sweeper may take it for a dead process's."""
        while True:
            token = secrets.token_hex(6)
            fd = locks.take(self.path / f"{token}.lock")
            if fd is not None:
                if os.fstat(fd).st_nlink:
                    return token, fd
                os.close(fd)

    def _check_passable(self) -> None:
        if os.geteuid() != 0:
            return
        for directory in (self.path, *self.path.parents):
            if not directory.stat().st_mode & stat.S_IXOTH:
                raise HostRefused(
                    f"the bundle root {self.path} cannot be reached by the sandbox's root: {directory} is closed",
                    path=str(directory),
                    stage="bundle",
                    hint=f"chmod o+x {directory}, or choose another bundle root (oci:/path)",
                )

    def new_path(self) -> Path:
        """A path for a new bundle, under a name nobody can guess."""
        return self.path / f"{self.token}.{secrets.token_hex(16)}"

    def view_home(self) -> Path:
        """Where shared views of this process are mounted."""
        return self.path / f"{self.token}.views"

    def kept_path(self, run: str) -> Path:
        """Where the kept bundle of a run stands."""
        return self.path / f"kept-{run}"

    def entrust_to(self, keeper: Keeper) -> None:
        """Have the keeper delete this process's bundles when the process dies."""
        keeper.look_after(f"{self.path}/{self.token}.", CGROUP_PREFIX)

    def sweep(self, keeper: Keeper) -> list[str]:
        """Remove what processes left that are dead now, keeper and all; what resisted, in words.

        What resists keeps its lock file, so that the next sweep tries again.
        """
        problems: list[str] = []
        for lock in self.path.glob("*.lock"):
            token = lock.name.removesuffix(".lock")
            if token == self.token:
                continue
            fd = locks.take(lock)
            if fd is None:
                continue
            try:
                left = sorted(self.path.glob(f"{token}.*"))
                left = [path for path in left if path != lock]
                resisted = keeper.remove(left) if left else []
                for bundle in left:
                    BuildCgroup(cgroup_name(bundle)).remove()
                if not resisted:
                    lock.unlink(missing_ok=True)
                problems += resisted
            finally:
                os.close(fd)
        return problems

    def close(self) -> None:
        """Give the lock back; bundles of this process are to be gone by now."""
        (self.path / f"{self.token}.lock").unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def cgroup_name(bundle: Path) -> str:
    """The name of a bundle's cgroup, to be found again by whoever sweeps."""
    return CGROUP_PREFIX + bundle.name.rpartition(".")[2]


def stale_bundles(root: Path) -> list[Path]:
    """The kept bundles below ``root`` whose run is recorded no more, sorted."""
    links = [bundle / RECORD_LINK for bundle in root.glob("kept-*")]
    return sorted(link.parent for link in links if link.is_symlink() and not link.exists())
