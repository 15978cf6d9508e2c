"""What a request needs of this host, looked at when a run is planned."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from tvixbuild_nb.errors import HostRefused
from tvixbuild_nb.oci import facts
from tvixbuild_nb.oci.host import SHELL_VARIABLE, is_static
from tvixbuild_nb.oci.layout import Lookup
from tvixbuild_nb.oci.options import HostPath, SpecOptions
from tvixbuild_nb.oci.plan import BundlePlan, plan_bundle
from tvixbuild_nb.request import BuildRequest


def check_host(request: BuildRequest, options: SpecOptions) -> SpecOptions:
    """``options`` with the host's paths that ``request`` asks for, each resolved once.

    Raises :class:`HostRefused` when this host lacks something that the request needs: subordinate
    ids, a static shell, a path; and for options that would make somebody inside the host's root.
    """
    if not options.rootless:
        raise HostRefused(
            "the form without a user namespace is there to be compared, not to be run",
            path="rootless",
            hint="SpecOptions.for_host()",
        )
    constraints = request.constraints
    wants_shell = constraints is not None and constraints.provide_bin_sh
    # What was asked for by hand stands in for what the probe did not find.
    mended = {
        "sandbox-shell": not wants_shell or options.sandbox_shell is not None,
        "uid-range": bool(options.uid_mappings),
        "gid-range": bool(options.gid_mappings),
    }
    for problem in options.problems:
        if not mended.get(problem.kind, False):
            where = "constraints.provide_bin_sh" if problem.kind == "sandbox-shell" else problem.kind
            raise HostRefused(problem.message, path=where, hint=problem.hint)
    _refuse_host_root(options)
    changes: dict[str, Any] = {}
    found: list[HostPath] = []
    if constraints is not None:
        field = "constraints.available_ro_paths"
        found += [_resolve(path, field, index) for index, path in enumerate(constraints.available_ro_paths)]
        if wants_shell and (shell := _shell(options.sandbox_shell or facts.SANDBOX_SHELL)) != options.sandbox_shell:
            changes["sandbox_shell"] = shell
        if constraints.network_access:
            known = {host.path for host in found}
            wanted = [path for path in options.network_files if path not in known]
            found += [_resolve(path, "constraints.network_access", None) for path in wanted]
    if found:
        changes["host_paths"] = tuple(found)
    return options.replace(**changes) if changes else options


def plan_on_host(
    request: BuildRequest, options: SpecOptions, path: str | Path, *, lookup: Lookup | None = None
) -> BundlePlan:
    """:func:`check_host`, then :func:`plan_bundle`, then what the plan needs of the host looked at.

    Raises :class:`HostRefused` and :class:`InvalidSpec`; makes nothing.
    """
    plan = plan_bundle(request, check_host(request, options), path, lookup=lookup)
    for need in plan.needs:
        if need.where != "host":
            continue
        exists = os.path.isdir(need.path) if need.kind == "directory" else os.path.exists(need.path)
        if not exists:
            raise HostRefused(
                f"{need.purpose} would have to lie inside a read-only path of the host, which has no {need.kind} there",
                path=need.path,
                hint=f"leave out {need.holder}, or make {need.path}",
            )
    return plan


def _shell(path: str) -> str:
    if not is_static(path):
        problem = "does not exist" if not os.path.exists(path) else "is no static executable"
        raise HostRefused(
            f"the sandbox shell {path} {problem}",
            path="constraints.provide_bin_sh",
            hint=f"sudo apt-get install busybox-static, or set {SHELL_VARIABLE} to a statically linked shell",
        )
    return os.path.realpath(path)


def _resolve(path: str, field: str, index: int | None) -> HostPath:
    try:
        resolved = os.path.realpath(path, strict=True)
        directory = stat.S_ISDIR(os.stat(resolved).st_mode)
    except OSError as error:
        raise HostRefused(
            f"{path} cannot be given to the build: {error.strerror}",
            path=field,
            index=index,
            hint="a dangling symlink?" if os.path.islink(path) else "make it, or leave it out of the request",
        ) from None
    return HostPath(path=path, resolved=resolved, kind="directory" if directory else "file")


def _refuse_host_root(options: SpecOptions) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    for kind, mappings in (("uid", options.uid_mappings), ("gid", options.gid_mappings)):
        for index, mapping in enumerate(mappings):
            if mapping.host_id == 0:
                raise HostRefused(
                    "run by root, no id inside may be the host's root",
                    path=f"{kind}_mappings",
                    index=index,
                    hint="SpecOptions.for_host() maps subordinate ids",
                )
