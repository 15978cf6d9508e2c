"""fs: castore nodes as a read-only file system, by FUSE or as a checkout.

``inodes`` holds the logic of a view, pure; ``trace`` what was accessed, as a value; ``served`` is a view as
it is served, whoever speaks to the kernel. Two do: ``direct``, with ``device``, ``protocol`` and
``patience``, where this process may mount, and ``binding``, with ``transport``, through libfuse elsewhere;
``transports`` chooses. ``server`` is the process that serves views, ``client`` its other end; ``mounting``
is for people, ``probe`` tells whether FUSE can be had here, ``faults`` puts the system's words into ours;
``checkouts`` is the way without FUSE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.lazy import imported_when_asked_for

if TYPE_CHECKING:
    from tvixbuild_nb.fs.checkouts import checkout as checkout
    from tvixbuild_nb.fs.checkouts import remove_checkouts as remove_checkouts
    from tvixbuild_nb.fs.client import MountedView as MountedView
    from tvixbuild_nb.fs.client import ViewServer as ViewServer
    from tvixbuild_nb.fs.client import server_command as server_command
    from tvixbuild_nb.fs.client import view_description as view_description
    from tvixbuild_nb.fs.faults import fuse_error as fuse_error
    from tvixbuild_nb.fs.inodes import View as View
    from tvixbuild_nb.fs.mounting import mount as mount
    from tvixbuild_nb.fs.probe import FuseProbe as FuseProbe
    from tvixbuild_nb.fs.probe import probe_fuse as probe_fuse
    from tvixbuild_nb.fs.trace import AccessTrace as AccessTrace
    from tvixbuild_nb.fs.trace import InputAccess as InputAccess

# Imported on first use: the server process must start quickly, and needs few of them.
_MODULES = {
    "AccessTrace": "trace",
    "FuseProbe": "probe",
    "InputAccess": "trace",
    "MountedView": "client",
    "View": "inodes",
    "ViewServer": "client",
    "checkout": "checkouts",
    "fuse_error": "faults",
    "mount": "mounting",
    "probe_fuse": "probe",
    "remove_checkouts": "checkouts",
    "server_command": "client",
    "view_description": "client",
}

__all__ = sorted(_MODULES)

__getattr__ = imported_when_asked_for(__name__, _MODULES)
