"""oci: the OCI runtime configuration of a build request, and the bundle that holds it.

:func:`render_spec` and :func:`plan_bundle` are pure; :class:`SpecOptions` is a value that says how to
render, :meth:`SpecOptions.for_host` probes this host once; :func:`check_host` and :func:`plan_on_host`
look at the host for one request; :meth:`Bundle.create` acts. Where a rendering deviates from Tvix, and
why, is told by :func:`deviations`.
"""

from tvixbuild_nb.oci.bundle import Bundle
from tvixbuild_nb.oci.check import check_host, plan_on_host
from tvixbuild_nb.oci.deviations import Deviation, deviations
from tvixbuild_nb.oci.host import cgroup_layout, find_shell, is_static
from tvixbuild_nb.oci.layout import Lookup, Need
from tvixbuild_nb.oci.mounts import host_output_paths, scratch_name, scratch_of
from tvixbuild_nb.oci.options import HostPath, IdMapping, Limits, Problem, SpecOptions
from tvixbuild_nb.oci.plan import BundlePlan, Made, plan_bundle
from tvixbuild_nb.oci.render import render_spec
from tvixbuild_nb.oci.spec import Mount, Rlimit, Spec, User
from tvixbuild_nb.oci.table import MountRow, MountTable, mount_table

__all__ = [
    "Bundle",
    "BundlePlan",
    "Deviation",
    "HostPath",
    "IdMapping",
    "Limits",
    "Lookup",
    "Made",
    "Mount",
    "MountRow",
    "MountTable",
    "Need",
    "Problem",
    "Rlimit",
    "Spec",
    "SpecOptions",
    "User",
    "cgroup_layout",
    "check_host",
    "deviations",
    "find_shell",
    "host_output_paths",
    "is_static",
    "mount_table",
    "plan_bundle",
    "plan_on_host",
    "render_spec",
    "scratch_name",
    "scratch_of",
]
