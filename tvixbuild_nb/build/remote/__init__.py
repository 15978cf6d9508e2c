"""remote: builds at another address, over gRPC; also what both sides make of each other's messages."""

from tvixbuild_nb.build.remote.service import RemoteBuildService

__all__ = ["RemoteBuildService"]
