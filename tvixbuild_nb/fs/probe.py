"""Whether FUSE can be had here, found out by mounting."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tvixbuild_nb.errors import FuseError
from tvixbuild_nb.fs.binding import load
from tvixbuild_nb.fs.client import ViewServer, view_description


@dataclass(frozen=True, slots=True)
class FuseProbe:
    """The outcome of a trial mount: ``error`` is None when it worked. ``binding`` names what speaks FUSE."""

    binding: str | None
    error: FuseError | None

    @property
    def works(self) -> bool:
        """Whether views can be mounted."""
        return self.error is None


def probe_fuse(*, allow_other: bool = False) -> FuseProbe:
    """Mount an empty view in this process's mount namespace, look into it, unmount it. Never raises FuseError.

    ``allow_other`` asks for other users to be let in, as builds without a keeper's namespaces need it.
    """
    try:
        binding = load().name
    except FuseError as error:
        return FuseProbe(None, error)
    try:
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tvixbuild-nb-")))
            mountpoint = directory / "mnt"
            mountpoint.mkdir()
            view = directory / "view.json"
            view.write_text(view_description("memory:", {}))
            server = stack.enter_context(ViewServer())
            stack.enter_context(server.mount(view, mountpoint, allow_other=allow_other))
            os.listdir(mountpoint)
    except FuseError as error:
        return FuseProbe(binding, error)
    except OSError as error:
        return FuseProbe(binding, FuseError(f"a mounted view cannot be read: {error}", stage="mount"))
    return FuseProbe(binding, None)
