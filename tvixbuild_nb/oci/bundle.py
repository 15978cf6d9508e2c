"""Bundle: a plan acted out. The directory that an OCI runtime runs."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from tvixbuild_nb.errors import InvalidSpec, SetupFailed
from tvixbuild_nb.oci.plan import BUNDLE_MODE, BundlePlan, Made
from tvixbuild_nb.oci.spec import Spec

CONFIG = "config.json"
INPUTS = "inputs"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk: ``config.json``, ``root/``, ``scratch/``, ``inputs/``."""

    path: Path
    mount_points: tuple[str, ...] = ()

    @classmethod
    def create(cls, plan: BundlePlan) -> Self:
        """Make what the plan says; on failure nothing stays, and :class:`SetupFailed` names the path.

        Ownership is not touched: what ``plan.owned`` lists must be given to the build's user by
        whoever may do that (:meth:`give` as root, else the keeper).
        """
        bundle = cls.begin(plan)
        try:
            bundle.fill(plan)
        except SetupFailed:
            shutil.rmtree(plan.path, ignore_errors=True)
            raise
        return bundle

    @classmethod
    def begin(cls, plan: BundlePlan) -> Self:
        """Only the bundle's directory and ``inputs/``: they can be mounted while :meth:`fill` does the rest."""
        for need in plan.needs:
            if need.where == "input":
                raise InvalidSpec(
                    f"{need.purpose} lies inside a read-only input, and whether it has {need.path!r} was not looked at",
                    path=need.holder,
                    hint="plan_bundle(..., lookup=castore.directories.get)",
                )
        try:
            _mkdir(plan.path, BUNDLE_MODE)
            _mkdir(plan.path / INPUTS, 0o755)
        except OSError as error:
            raise _failed(Path(error.filename or plan.path), error) from error
        return cls(plan.path, plan.mount_points)

    def fill(self, plan: BundlePlan) -> None:
        """Everything else of the plan, once; :class:`SetupFailed` names the path, and what was made stays."""
        try:
            for made in plan.made:
                if made.path != INPUTS:
                    _make(plan.path, made)
            _write(plan.path / CONFIG, plan.spec.to_json().encode(), 0o644)
        except OSError as error:
            raise _failed(Path(error.filename or plan.path), error) from error

    def refill(self, plan: BundlePlan) -> None:
        """Make what is missing of the plan's mount points after other scratch directories took the place of its own.

        :class:`SetupFailed` names the path: also where something of another kind stands in the way.
        """
        wanted = {
            str(path)
            for made in plan.made
            if made.path in plan.mount_points and made.why in ("mount point", "working_dir")
            for path in (PurePosixPath(made.path), *PurePosixPath(made.path).parents[:-2])
        }
        for made in plan.made:
            path = self.path / made.path
            if made.path in wanted and not _stands(path, made.kind):
                try:
                    _make(self.path, made)
                except OSError as error:
                    raise _failed(path, error) from error

    def give(self, plan: BundlePlan) -> None:
        """Give the scratch directories to the build's user; needs root. :class:`SetupFailed` otherwise."""
        if plan.host_owner is None:
            return
        for path in plan.owned:
            try:
                os.chown(self.path / path, *plan.host_owner, follow_symlinks=False)
            except OSError as error:
                raise _failed(self.path / path, error) from error

    @property
    def config(self) -> Path:
        return self.path / CONFIG

    @property
    def spec(self) -> Spec:
        """config.json as it is on disk."""
        return Spec.from_json(self.config.read_bytes())

    @property
    def root(self) -> Path:
        return self.path / "root"

    @property
    def scratch(self) -> Path:
        return self.path / "scratch"

    @property
    def inputs(self) -> Path:
        return self.path / INPUTS


def _stands(path: Path, kind: str) -> bool:
    """Whether it is there as what it is to be; hostile hands made it, so no link is followed."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(mode) if kind == "directory" else stat.S_ISREG(mode)


def _make(bundle: Path, made: Made) -> None:
    path = bundle / made.path
    match made.kind:
        case "directory":
            _mkdir(path, made.mode)
        case "file":
            _write(path, made.contents, made.mode)
        case "symlink":
            os.symlink(made.contents, os.fsencode(path))


def _mkdir(path: Path, mode: int) -> None:
    os.mkdir(path, 0o700)
    # The umask has no say in what the mapped ids must be able to pass.
    os.chmod(path, mode)


def _write(path: Path, contents: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb", buffering=0) as file:
        file.write(contents)
        os.fchmod(fd, mode)


def _failed(path: Path, error: OSError) -> SetupFailed:
    hint = "free some space" if error.errno == 28 else None
    if isinstance(error, FileExistsError):
        hint = "every run needs a bundle of its own"
    return SetupFailed(f"the bundle cannot be made: {error.strerror}", path=path, stage="bundle", hint=hint)
