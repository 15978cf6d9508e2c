"""oci: the OCI runtime configuration of a build request, and the bundle that holds it.

:func:`render_spec` and :func:`plan_bundle` are pure; :class:`SpecOptions` is a value that says how to
render, :meth:`SpecOptions.for_host` probes this host once; :func:`check_host` and :func:`plan_on_host`
look at the host for one request; :meth:`Bundle.create` acts. Where a rendering deviates from Tvix, and
why, is told by :func:`deviations`.
"""

from tvixbuild_nb.oci.bundle import Bundle
from tvixbuild_nb.oci.capabilities import capabilities_of
from tvixbuild_nb.oci.check import check_host, plan_on_host
from tvixbuild_nb.oci.compare import Diff, Difference
from tvixbuild_nb.oci.deviations import Deviation, deviations
from tvixbuild_nb.oci.explain import explain
from tvixbuild_nb.oci.explanation import Explanation, Reference
from tvixbuild_nb.oci.host import cgroup_layout, find_shell, is_static
from tvixbuild_nb.oci.layout import Lookup, Need
from tvixbuild_nb.oci.mountoptions import option_meaning
from tvixbuild_nb.oci.mounts import host_output_paths, scratch_name, scratch_of
from tvixbuild_nb.oci.options import HostPath, IdMapping, Limits, Problem, SpecOptions
from tvixbuild_nb.oci.plan import BundlePlan, Made, plan_bundle
from tvixbuild_nb.oci.preview import Preview
from tvixbuild_nb.oci.recover import recover_options
from tvixbuild_nb.oci.render import render_spec
from tvixbuild_nb.oci.rootview import RootNode, root_view
from tvixbuild_nb.oci.seen import SeenMount, UnplannedMount
from tvixbuild_nb.oci.spec import Mount, Rlimit, Spec, User
from tvixbuild_nb.oci.table import MountRow, MountTable, mount_table
from tvixbuild_nb.oci.validity import Validity

__all__ = [
    "Bundle",
    "BundlePlan",
    "Deviation",
    "Diff",
    "Difference",
    "Explanation",
    "HostPath",
    "IdMapping",
    "Limits",
    "Lookup",
    "Made",
    "Mount",
    "MountRow",
    "MountTable",
    "Need",
    "Preview",
    "Problem",
    "RootNode",
    "Reference",
    "Rlimit",
    "SeenMount",
    "Spec",
    "SpecOptions",
    "UnplannedMount",
    "User",
    "Validity",
    "capabilities_of",
    "cgroup_layout",
    "check_host",
    "deviations",
    "explain",
    "find_shell",
    "host_output_paths",
    "is_static",
    "mount_table",
    "option_meaning",
    "plan_bundle",
    "plan_on_host",
    "recover_options",
    "render_spec",
    "root_view",
    "scratch_name",
    "scratch_of",
]
