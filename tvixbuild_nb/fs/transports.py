"""The choice between the two ways to speak FUSE: directly where this process may mount, else by the binding."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tvixbuild_nb.errors import FuseError
from tvixbuild_nb.fs import direct
from tvixbuild_nb.fs.device import Device, Refused, open_device
from tvixbuild_nb.fs.faults import fuse_error
from tvixbuild_nb.fs.options import MountOptions
from tvixbuild_nb.fs.served import ServedView

DIRECT: Final = "direct"
BINDING: Final = "fusepy"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What can be had before it is known what will be mounted where: a device, where this process may mount."""

    device: Device | None

    @classmethod
    def make(cls, options: MountOptions, transport: str | None = None) -> Prepared:
        """For a mount that will probably have ``options``, by ``transport``."""
        with contextlib.suppress(Refused, OSError):
            if transport != BINDING:
                return cls(open_device(allow_other=options.allow_other, opens=options.opens))
        with contextlib.suppress(FuseError):  # whoever needs it will be told
            from tvixbuild_nb.fs import binding

            binding.load()
        return cls(None)

    def take(self, options: MountOptions) -> Device | None:
        """The device, when it is what ``options`` ask for."""
        device = self.device
        if device is None or (device.allow_other, device.opens) == (options.allow_other, options.opens):
            return device
        device.close()
        return None


def serve(
    served: ServedView,
    mountpoint: str,
    options: MountOptions,
    *,
    transport: str | None,
    ready: Callable[[], None],
    prepared: Prepared | None = None,
) -> None:
    """Mount and answer the kernel until unmounted; ``ready`` is called once it answers.

    ``transport`` is :data:`DIRECT`, :data:`BINDING`, or None: directly, and where that is refused, by the
    binding. Takes over signals of this process, as both ways do.
    """
    if transport not in (None, DIRECT, BINDING):
        raise FuseError(f"no transport is called {transport!r}", hint=f"{DIRECT}, {BINDING} or null")
    if transport != BINDING:
        try:
            device = None if prepared is None else prepared.take(options)
            device = device or open_device(allow_other=options.allow_other, opens=options.opens)
            direct.serve(device, served, mountpoint, xattrs=options.xattrs, ready=ready)
            return
        except Refused as refused:
            if transport == DIRECT:
                raise fuse_error(f"mount failed: {refused.__cause__}", path=mountpoint) from refused
    # Loaded only where it is needed: a view's process starts the sooner.
    from tvixbuild_nb.fs import binding
    from tvixbuild_nb.fs.transport import Transport

    binding.serve(binding.load(), Transport(served), mountpoint, options, ready)
