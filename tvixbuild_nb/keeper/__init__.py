"""keeper: the process that owns a build's life, so that the death of anybody takes all of it along.

Three layers, one per module: ``outer`` lives in namespaces of its own and survives to tidy up,
``inner`` is the first process of a new pid namespace, and a ``supervisor`` is forked per build. The
owner's side is :class:`Keeper`. Everything here uses the standard library only, because it
has to start within milliseconds.
"""

from tvixbuild_nb.keeper.client import Keeper, KeeperOptions, RunChannel, keeper_for_this_process
from tvixbuild_nb.keeper.log import STREAMS, IndexRecord, LogReader

__all__ = [
    "STREAMS",
    "IndexRecord",
    "Keeper",
    "KeeperOptions",
    "LogReader",
    "RunChannel",
    "keeper_for_this_process",
]
