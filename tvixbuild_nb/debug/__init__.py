"""debug: questions about a build, asked of its request, its outputs and the store they are in."""

from tvixbuild_nb.debug.explaining import explain_run
from tvixbuild_nb.debug.explanation import Evidence, Explanation, Finding
from tvixbuild_nb.debug.pasted import explain_pasted
from tvixbuild_nb.debug.why import Reference, Why, needle_of, why

__all__ = [
    "Evidence",
    "Explanation",
    "Finding",
    "Reference",
    "Why",
    "explain_pasted",
    "explain_run",
    "needle_of",
    "why",
]
