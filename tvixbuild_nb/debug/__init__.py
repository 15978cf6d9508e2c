"""debug: questions about a build, asked of its request, its outputs and the store they are in."""

from tvixbuild_nb.debug.why import Reference, Why, needle_of, why

__all__ = ["Reference", "Why", "needle_of", "why"]
