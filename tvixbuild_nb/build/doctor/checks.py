"""Judgements: what the trying processes said, read together with the facts, becomes checks. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tvixbuild_nb.build.doctor.facts import Facts
from tvixbuild_nb.build.doctor.report import Check
from tvixbuild_nb.build.failures import explain_text

Outcome = Mapping[str, Any]
# openat2 walks outputs safely (5.6); recursively read-only binds keep /sys closed (5.12).
NEEDED_KERNEL, WANTED_KERNEL = (5, 6), (5, 12)


def kernel(facts: Facts) -> Check:
    """Whether the kernel is Linux, and new enough."""
    name, did = "kernel", "read its release"
    if facts.marks.system != "Linux":
        reason = f"this is {facts.marks.system}; a sandbox is made of Linux namespaces"
        return Check(name, "fail", did, reason, "use a remote builder, a Linux VM or WSL 2")
    found = re.match(r"(\d+)\.(\d+)", facts.release)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < NEEDED_KERNEL:
        return Check(name, "fail", did, f"Linux {facts.release} has no openat2", "Linux 5.6 or newer")
    if version < WANTED_KERNEL:
        reason = f"Linux {facts.release} has no recursively read-only mounts: below /sys a build could write"
        return Check(name, "warn", did, reason, "Linux 5.12 or newer")
    return Check(name, "ok", did, f"Linux {facts.release}")


def namespaces(facts: Facts, outcome: Outcome) -> list[Check]:
    """User namespaces, a mount inside one, subordinate ids, a fresh /proc inside; and root's own namespaces."""
    checks = []
    if outcome.get("keeper") is not None:
        reason = f"root may not make a mount namespace: {outcome['keeper']}"
        checks.append(Check("root's namespaces", "fail", "made a mount namespace", reason, "CAP_SYS_ADMIN", "admin"))
    did = "made a user namespace"
    if outcome.get("user") is not None:
        reason, remedy, need = _no_user_namespace(facts, str(outcome["user"]))
        checks.append(Check("user namespaces", "fail", did, reason, remedy, need))
        return checks
    checks.append(Check("user namespaces", "ok", did, "can be made"))
    checks.append(_subordinate_ids(facts, outcome.get("maps")))
    checks.append(_mount(facts, outcome))
    checks.append(_proc(outcome))
    return checks


def _no_user_namespace(facts: Facts, error: str) -> tuple[str, str | None, str]:
    switches = facts.switches
    reason = f"cannot be made: {error}"
    if switches.get("max_user_namespaces") == 0:
        remedy = facts.as_root("sysctl -w user.max_user_namespaces=15000")
        return f"{reason} (user.max_user_namespaces is 0)", remedy, "namespaces"
    if switches.get("unprivileged_userns_clone") == 0 and not facts.is_root:
        remedy = facts.as_root("sysctl -w kernel.unprivileged_userns_clone=1")
        return f"{reason} (kernel.unprivileged_userns_clone is 0)", remedy, "namespaces"
    if "No space left" in error:
        remedy = facts.as_root("sysctl -w user.max_user_namespaces=15000")
        return f"{reason}: the limit on namespaces or on their nesting, not the disk", remedy, "namespaces"
    if "Invalid argument" in error:
        return f"{reason}: this kernel was built without them", "a kernel with CONFIG_USER_NS", "namespaces"
    if facts.status.get("Seccomp") == "2":
        remedy = "start the surrounding container or service with a seccomp profile that allows unshare and mount"
        return f"{reason} (a seccomp filter is on this process)", remedy, "namespaces"
    return reason, "not possible inside a chroot; else see the system's security settings", "namespaces"


def _subordinate_ids(facts: Facts, error: object) -> Check:
    name, did = "subordinate ids", "wrote the id maps of a user namespace"
    if error is None:
        if facts.is_root:
            return Check(name, "ok", did, "root may map any")
        assert facts.subuid is not None
        first, count = facts.subuid
        return Check(name, "ok", did, f"{count} from {first}, by newuidmap and newgidmap")
    text = str(error)
    if "no range" in text:
        return Check(name, "fail", did, text, grant_range(facts))
    if facts.no_new_privileges and not facts.is_root:
        reason = f"{text} (no_new_privs is set: newuidmap's setuid bit has no effect)"
        remedy = "start this session without no_new_privs (Kubernetes: allowPrivilegeEscalation: true)"
        return Check(name, "fail", did, reason, remedy, "privileges")
    if "Operation not permitted" in text and {"newuidmap", "newgidmap"} - facts.setuid and not facts.is_root:
        remedy = facts.as_root(f"chmod u+s {' '.join(facts.tools.get(t, t) for t in ('newuidmap', 'newgidmap'))}")
        return Check(name, "fail", did, text, remedy, "privileges")
    if "not allowed" in text:
        return Check(name, "fail", did, text, grant_range(facts))
    if "not installed" in text or "cannot be run" in text:
        return Check(name, "fail", did, text, facts.install("uidmap"))
    known = explain_text(text)
    return Check(name, "fail", did, text, known[0].cure if known else None, "privileges")


def grant_range(facts: Facts) -> str:
    """The command that gives this account subordinate ids."""
    return facts.as_root(f"usermod --add-subuids 165536-231071 --add-subgids 165536-231071 {facts.user}")


def _mount(facts: Facts, outcome: Outcome) -> Check:
    name, did = "mount in a namespace", "mounted a tmpfs in a user namespace"
    error = outcome.get("mount", outcome.get("self_map"))
    if error is None and "mount" in outcome:
        return Check(name, "ok", did, "works")
    reason = f"refused: {error}" if error else "not tried: the namespace could not be entered"
    if facts.switches.get("apparmor_restrict") == 1:
        remedy = facts.as_root("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
        remedy += " (or an AppArmor profile with userns for this Python)"
        reason += " (AppArmor: the namespace is allowed, mounting in it is not)"
        return Check(name, "fail", did, reason, remedy, "mount")
    remedy = "the surrounding container or security module forbids it: AppArmor, SELinux or seccomp"
    return Check(name, "fail", did, reason, remedy, "mount")


def _proc(outcome: Outcome) -> Check:
    name, did = "proc in a namespace", "mounted a fresh /proc in a pid namespace"
    error = outcome.get("pid") or outcome.get("proc")
    if error is None and "proc" in outcome:
        return Check(name, "ok", did, "works")
    reason = f"refused: {error}; parts of /proc outside are masked, as in a container" if error else "not tried"
    return Check(name, "fail", did, reason, "a surrounding container with an unmasked /proc", "proc")


def fuse(facts: Facts, outcome: Outcome) -> Check:
    """Whether views can be mounted where builds mount theirs."""
    name, did = "FUSE", "mounted an empty view, looked into it, unmounted it"
    where = "in namespaces of one's own" if outcome.get("namespace") is None else "on the host"
    if outcome["works"]:
        return Check(name, "ok", did, f"works {where}, through {outcome['through']}")
    remedy = outcome.get("hint")
    if outcome.get("binding") is None:
        remedy = facts.install("libfuse2")
    return Check(name, "fail", did, str(outcome["error"]), remedy, "fuse")


def allow_other(facts: Facts, outcome: Outcome, namespaces_work: bool) -> Check:
    """Whether others may look into a user's mounts; it only matters without namespaces."""
    name, did = "allow_other", "mounted a view on the host that others may look into"
    if outcome["works"]:
        return Check(name, "ok", did, "works")
    if namespaces_work:
        return Check(
            name, "ok", did, f"refused on the host and not needed: views live in namespaces ({outcome['error']})"
        )
    remedy = facts.as_root("sed -i 's/^#user_allow_other/user_allow_other/' /etc/fuse.conf")
    return Check(name, "fail", did, str(outcome["error"]), remedy)


def cgroups(facts: Facts, outcome: Outcome) -> Check:
    """Which limits hold, and whether usage is exact. Builds run without."""
    name, did = "cgroups", "made a cgroup and set limits in it"
    version = {"none": "not mounted", "hybrid": "version 1 and 2 side by side"}.get(
        outcome["version"], f"version {outcome['version']}"
    )
    without = "limits are refused, peak memory is the largest process's"
    if outcome["refused"] is not None:
        remedy = "run as root" if not facts.is_root else "mount cgroups writable (Docker: --privileged)"
        if outcome["version"] == "2" and not facts.is_root:
            remedy = "systemd-run --user --scope -p Delegate=yes, or run as root"
        return Check(name, "warn", did, f"{version}; {outcome['refused']}: {without}", remedy, "cgroups")
    refused = {name: error for name, error in outcome["limits"].items() if error is not None}
    if refused:
        words = ", ".join(f"{name} ({error})" for name, error in refused.items())
        return Check(name, "warn", did, f"{version}; no limit on {words}", None, "cgroups")
    return Check(name, "ok", did, f"{version}; limits on {', '.join(outcome['limits'])} hold")


def runtime(facts: Facts, kind: str, answer: tuple[int | None, str] | None) -> Check:
    """Whether the runtime ``kind`` is there; runc is the default, crun a choice. None: not found."""
    name, did = kind, f"asked {kind} for its version"
    if answer is None:
        status = "fail" if kind == "runc" else "warn"
        return Check(name, "fail" if status == "fail" else "warn", did, "not installed", facts.install(kind))
    code, text = answer
    if code != 0:
        reason = text.strip() or f"ended with status {code}"
        return Check(name, "fail" if kind == "runc" else "warn", did, reason, facts.install(kind))
    found = re.search(r"version (\S+)", text)
    return Check(name, "ok", did, f"version {found[1] if found else 'unknown'}, {facts.tools.get(kind, '')}")


def build(kind: str, outcome: Outcome) -> Check:
    """What became of the trial build with the runtime ``kind``."""
    name, did = f"build with {kind}", "built a tiny request, from input to ingested output"
    if outcome["ok"] and outcome.get("same", True):
        degraded = outcome.get("degraded") or []
        inputs = {"fuse": "inputs through FUSE", "checkout": "inputs from a checkout"}.get(outcome["inputs"], "")
        reason = f"works in {outcome['seconds'] * 1000:.0f} ms, {inputs}"
        if degraded:
            return Check(name, "warn", did, f"{reason}; without: {'; '.join(degraded)}")
        return Check(name, "ok", did, reason)
    if outcome["ok"]:
        return Check(name, "fail", did, "the output is not what the input was")
    reason = str(outcome["message"] or "failed")
    if outcome.get("failed_at"):
        reason = f"{outcome['failed_at']}: {reason}"
    known = explain_text(f"{reason}\n{outcome.get('log') or ''}")
    return Check(name, "fail", did, reason, outcome.get("hint") or (known[0].cure if known else None))
