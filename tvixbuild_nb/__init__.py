"""tvixbuild_nb: describe, preview, run and browse sandboxed builds, as Tvix's OCI build service does them.

The names below are imported on first use, so that ``import tvixbuild_nb`` costs next to nothing
and works without Jupyter and on systems that cannot build.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.lazy import imported_when_asked_for

if TYPE_CHECKING:
    from tvixbuild_nb import lab as lab
    from tvixbuild_nb.build import BuildResult as BuildResult
    from tvixbuild_nb.build import build_service_from_addr as build_service_from_addr
    from tvixbuild_nb.build import doctor as doctor
    from tvixbuild_nb.castore import Castore as Castore
    from tvixbuild_nb.castore import Digest as Digest
    from tvixbuild_nb.castore import Tree as Tree
    from tvixbuild_nb.castore import ingest as ingest
    from tvixbuild_nb.castore import open_castore as open_castore
    from tvixbuild_nb.oci import Spec as Spec
    from tvixbuild_nb.oci import SpecOptions as SpecOptions
    from tvixbuild_nb.oci import render_spec as render_spec
    from tvixbuild_nb.request import BuildRequest as BuildRequest
    from tvixbuild_nb.sandbox import Run as Run
    from tvixbuild_nb.sandbox import Sandbox as Sandbox
    from tvixbuild_nb.sandbox import build_many as build_many
    from tvixbuild_nb.sandbox import runs as runs

__version__ = "0.1.0"

_ROOMS: dict[str, str | None] = {
    "BuildRequest": "request",
    "BuildResult": "build",
    "Castore": "castore",
    "Digest": "castore",
    "Run": "sandbox",
    "Sandbox": "sandbox",
    "Spec": "oci",
    "SpecOptions": "oci",
    "Tree": "castore",
    "build_many": "sandbox",
    "build_service_from_addr": "build",
    "doctor": "build",
    "ingest": "castore",
    "lab": None,
    "open_castore": "castore",
    "render_spec": "oci",
    "runs": "sandbox",
}

# For %load_ext, not for people.
_EXTENSION: dict[str, str | None] = {"load_ipython_extension": "lab", "unload_ipython_extension": "lab"}

__all__ = ["__version__", *sorted(_ROOMS)]

__getattr__ = imported_when_asked_for(__name__, _ROOMS | _EXTENSION)


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
