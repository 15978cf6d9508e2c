"""Which deviation from Tvix stands behind a difference between two configurations."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tvixbuild_nb.oci.compare import Difference
from tvixbuild_nb.oci.deviations import Deviation
from tvixbuild_nb.oci.options import SpecOptions

# The name of a deviation -> the parts of a configuration it shows in.
_SHOWS_IN = {
    "terminal": r"process\.terminal",
    "id maps": r"linux\.[ug]idMappings",
    "/sys": r"mounts\[/sys\]\.options\[rro\]",
    "/tmp": r"mounts\[/tmp\]\.options\[mode\]",
    "cgroup namespace": r"linux\.namespaces\[cgroup\]",
    "host paths": r"mounts\[.*\]\.source",
    "capabilities": r"process\.capabilities",
    "rlimits": r"process\.rlimits",
    "masked_paths": r"linux\.maskedPaths",
    "readonly_paths": r"linux\.readonlyPaths",
    "namespaces": r"linux\.namespaces|hostname|mounts\[/(proc|dev/mqueue)\]|mounts \(order\)",
    "hostname": r"hostname",
    "no_new_privileges": r"process\.noNewPrivileges",
    "user": r"process\.user|linux\.[ug]idMappings",
    "uid_mappings": r"linux\.uidMappings",
    "gid_mappings": r"linux\.gidMappings",
    "limits": r"linux\.resources",
    "sys_recursively_readonly": r"mounts\[/sys\]\.options",
    "tmp_mode": r"mounts\[/tmp\]\.options\[mode\]",
}

# What a run adds to the configuration that the preview shows.
_OF_A_RUN = (
    (r"linux\.cgroupsPath", "every run has a cgroup of its own"),
    (r"linux\.[ug]idMappings", "a run takes the ids of its keeper's namespace"),
    (r"mounts\[.*\]\.source", "links among the host's paths are resolved once, when a run is planned"),
)


def reason_against_tvix(row: Difference, known: Iterable[Deviation], options: SpecOptions) -> Deviation | None:
    """The deviation that ``row``, a difference from Tvix's rendering, comes from; None when none is known."""
    for deviation in known:
        if deviation.name == "symlink inputs":
            found = row.kind == "theirs only" and _mounts_an_input(row.theirs)
        elif deviation.name in ("network files", "network_files"):
            found = _is_mount_of(row, options)
        else:
            pattern = _SHOWS_IN.get(deviation.name)
            found = pattern is not None and re.match(pattern, row.where, re.DOTALL) is not None
        if found:
            return deviation
    return None


def reason_against_run(row: Difference) -> str | None:
    """Why a run's configuration differs from the preview of the same request, where that is known."""
    return next((text for pattern, text in _OF_A_RUN if re.match(pattern, row.where, re.DOTALL)), None)


def _mounts_an_input(mount: object) -> bool:
    return isinstance(mount, dict) and str(mount.get("source", "")).startswith("inputs/")


def _is_mount_of(row: Difference, options: SpecOptions) -> bool:
    from tvixbuild_nb.oci import facts

    return row.where.startswith("mounts") and any(
        f"[{path}]" in row.where or f"[{path}#" in row.where
        for path in set(options.network_files) ^ set(facts.NETWORK_FILES)
    )
