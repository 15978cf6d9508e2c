"""What a doctor's report shows, as plain data: the checks in groups, each with what would mend it."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.build.doctor import Check, DoctorReport
from tvixbuild_nb.widgets.kit import visible

# In the order in which things build on one another; a check of no group is shown in the last.
GROUPS = {
    "kernel and namespaces": (
        "kernel", "root's namespaces", "user namespaces", "subordinate ids", "mount in a namespace",
        "proc in a namespace", "trials",
    ),
    "inputs as a file system": ("FUSE", "allow_other"),
    "limits": ("cgroups",),
    "programs": ("runc", "crun", "static shell"),
    "places": ("bundle root", "store"),
    "the proof": ("build with runc", "build with crun"),
}  # fmt: skip
OTHERS = "others"
SIGNS = {"ok": "works", "warn": "builds do without", "fail": "does not work"}


def doctor_data(report: DoctorReport) -> dict[str, Any]:
    """Host, verdict and the groups that have checks; every text is safe to look at."""
    of = {name: group for group, names in GROUPS.items() for name in names}
    groups: dict[str, list[dict[str, Any]]] = {group: [] for group in (*GROUPS, OTHERS)}
    for check in report.checks:
        groups[of.get(check.name, OTHERS)].append(_check(check))
    host = report.host
    return {
        "ok": report.ok,
        "verdict": visible(report.verdict()),
        "host": visible(host.name),
        "evidence": [visible(mark) for mark in host.evidence],
        "note": None if host.note is None else visible(host.note),
        "start_with": None if report.start_with is None else visible(report.start_with),
        "problems": len(report.problems),
        "seconds": f"{report.seconds:.1f} s",
        "groups": [{"name": name, "checks": checks} for name, checks in groups.items() if checks],
    }


def _check(check: Check) -> dict[str, Any]:
    mended = check.remedy if check.status != "ok" else None
    return {
        "name": visible(check.name),
        "status": check.status,
        "sign": SIGNS[check.status],
        "did": visible(check.did),
        "reason": visible(check.reason),
        "remedy": None if mended is None else visible(mended),
    }
