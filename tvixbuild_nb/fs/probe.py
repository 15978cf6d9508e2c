"""Whether FUSE can be had here, and by which way, found out by mounting."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tvixbuild_nb.errors import FuseError
from tvixbuild_nb.fs.binding import load
from tvixbuild_nb.fs.client import ViewServer, view_description
from tvixbuild_nb.fs.transports import BINDING, DIRECT


@dataclass(frozen=True, slots=True)
class FuseProbe:
    """The outcome of trial mounts: ``direct`` and ``by_binding`` are why each way failed, None where it worked.

    ``binding`` names what speaks FUSE where this process may not do it directly; None when there is none.
    """

    binding: str | None
    direct: FuseError | None
    by_binding: FuseError | None

    @property
    def works(self) -> bool:
        """Whether views can be mounted."""
        return self.error is None

    @property
    def error(self) -> FuseError | None:
        """Why no view can be mounted; None when it can be done one way or the other."""
        return self.by_binding if self.direct is not None else None

    @property
    def through(self) -> str | None:
        """What speaks FUSE here, for people: the way that is taken, then the other; None when neither works."""
        ways = ["/dev/fuse directly"] if self.direct is None else []
        if self.by_binding is None and self.binding is not None:
            ways.append(self.binding)
        return ", or ".join(ways) or None


def probe_fuse(*, allow_other: bool = False) -> FuseProbe:
    """Mount an empty view in this process's mount namespace, look into it, unmount it. Never raises FuseError.

    ``allow_other`` asks for other users to be let in, as builds without a keeper's namespaces need it.
    """
    direct = _try(DIRECT, allow_other)
    try:
        binding = load().name
    except FuseError as error:
        return FuseProbe(None, direct, error)
    return FuseProbe(binding, direct, _try(BINDING, allow_other))


def _try(transport: str, allow_other: bool) -> FuseError | None:
    """Mount by ``transport``; None, or why that failed."""
    try:
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tvixbuild-nb-")))
            mountpoint = directory / "mnt"
            mountpoint.mkdir()
            view = directory / "view.json"
            view.write_text(view_description("memory:", {}))
            server = stack.enter_context(ViewServer(transport))
            stack.enter_context(server.mount(view, mountpoint, allow_other=allow_other))
            os.listdir(mountpoint)
    except FuseError as error:
        return error
    except OSError as error:
        return FuseError(f"a mounted view cannot be read: {error}", stage="mount")
    return None
