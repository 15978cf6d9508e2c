"""The choice between the two ways to speak FUSE: directly where this process may mount, else by the binding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tvixbuild_nb.errors import FuseError
from tvixbuild_nb.fs import direct
from tvixbuild_nb.fs.faults import fuse_error
from tvixbuild_nb.fs.options import MountOptions
from tvixbuild_nb.fs.served import ServedView

DIRECT: Final = "direct"
BINDING: Final = "fusepy"


def serve(
    served: ServedView, mountpoint: str, options: MountOptions, *, transport: str | None, ready: Callable[[], None]
) -> None:
    """Mount and answer the kernel until unmounted; ``ready`` is called once it answers.

    ``transport`` is :data:`DIRECT`, :data:`BINDING`, or None: directly, and where that is refused, by the
    binding. Takes over signals of this process, as both ways do.
    """
    if transport not in (None, DIRECT, BINDING):
        raise FuseError(f"no transport is called {transport!r}", hint=f"{DIRECT}, {BINDING} or null")
    if transport != BINDING:
        try:
            device = direct.mount(mountpoint, allow_other=options.allow_other)
        except direct.Refused as refused:
            if transport == DIRECT:
                raise fuse_error(f"mount failed: {refused.__cause__}", path=mountpoint) from refused
        else:
            direct.serve(device, served, xattrs=options.xattrs, opens=options.opens, ready=ready)
            return
    # Loaded only where it is needed: a view's process starts the sooner.
    from tvixbuild_nb.fs import binding
    from tvixbuild_nb.fs.transport import Transport

    binding.serve(binding.load(), Transport(served), mountpoint, options, ready)
