"""many: builds by the dozen, here or on somebody's workers, as one value that is watched, cancelled and iterated."""

from tvixbuild_nb.sandbox.many.begin import build_many
from tvixbuild_nb.sandbox.many.entry import ManyRow
from tvixbuild_nb.sandbox.many.many import Many

__all__ = ["Many", "ManyRow", "build_many"]
