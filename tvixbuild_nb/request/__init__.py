"""request: BuildRequest and its parts, validated on construction, and their wire forms.

An instance is a proof that every rule holds; what breaks one raises InvalidRequest with the field
(``path``) and the position in it (``index``). Python's constructors sort and accept friendly types,
the wire forms (``from_bytes``, ``from_json``) are strict.
"""

from tvixbuild_nb.request.buildrequest import BuildConstraints, BuildRequest
from tvixbuild_nb.request.compare import Change, Changes, compare_requests
from tvixbuild_nb.request.model import Value
from tvixbuild_nb.request.redactor import Redactor
from tvixbuild_nb.request.sortedmap import FrozenMap, SortedMap

__all__ = [
    "BuildConstraints",
    "BuildRequest",
    "Change",
    "Changes",
    "FrozenMap",
    "Redactor",
    "SortedMap",
    "Value",
    "compare_requests",
]
