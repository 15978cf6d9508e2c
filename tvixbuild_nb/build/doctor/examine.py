"""doctor(): everything tried at once, judged, and put together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from tvixbuild_nb.build.doctor import checks, places
from tvixbuild_nb.build.doctor.facts import Facts, gather
from tvixbuild_nb.build.doctor.host import classify
from tvixbuild_nb.build.doctor.processes import Answer, Asker
from tvixbuild_nb.build.doctor.report import Check, DoctorReport

RUNTIMES = ("runc", "crun")
Judge = Callable[[], list[Check]]


def doctor(*, store: str | os.PathLike[str] | None = None, limit: float = 10.0) -> DoctorReport:
    """Whether builds can run here, found out by doing; what works, what does not, and what would mend it.

    Nothing happens to the calling process, nothing stays behind, and it never raises. ``store`` is the
    store's directory when it is not the default one, ``limit`` the number of seconds each trial may take.
    """
    return replace(examine(gather(), limit, store), again=partial(doctor, store=store, limit=limit))


def examine(facts: Facts, limit: float, store: str | os.PathLike[str] | None) -> DoctorReport:
    """The report on the host that shows ``facts``."""
    started = time.perf_counter()
    found = [checks.kernel(facts)]
    if facts.marks.system == "Linux":
        found += _guarded("trials", lambda: _on_linux(facts, Asker(limit)))
    found += _guarded("store", lambda: [_store(store)])
    ok = any(check.status != "fail" for check in found if check.name.startswith("build with"))
    if ok:
        # The build is the proof: whatever else is missing was done without.
        found = [replace(check, status="warn") if check.status == "fail" else check for check in found]
    return DoctorReport(classify(facts.marks), tuple(found), ok, time.perf_counter() - started)


def _on_linux(facts: Facts, asker: Asker) -> list[Check]:
    from tvixbuild_nb.build.places import default_bundle_root

    root = default_bundle_root()
    ranges = _ranges(facts)
    present = [kind for kind in RUNTIMES if kind in facts.tools]
    # The trials wait for processes; threads let those overlap.
    with ThreadPoolExecutor(max_workers=6) as pool:
        builds = pool.submit(_trial_builds, asker, root, present)
        spaces = pool.submit(asker.inside, "namespaces", *ranges)
        fuse = pool.submit(asker.inside, "fuse", *ranges)
        others = None if facts.is_root else pool.submit(asker.inside, "allow-other")
        cgroups = pool.submit(asker.inside, "cgroups")
        versions = {kind: pool.submit(asker.text, facts.tools[kind], "--version") for kind in present}
    found = _judged("user namespaces", spaces, lambda outcome: checks.namespaces(facts, outcome))
    namespaces_work = all(check.status == "ok" for check in found)
    found += _judged("FUSE", fuse, lambda outcome: [checks.fuse(facts, outcome)])
    if others is not None:
        found += _judged("allow_other", others, lambda outcome: [checks.allow_other(facts, outcome, namespaces_work)])
    found += _judged("cgroups", cgroups, lambda outcome: [checks.cgroups(facts, outcome)])
    for kind in RUNTIMES:
        found.append(checks.runtime(facts, kind, versions[kind].result() if kind in versions else None))
    found += _guarded("static shell", lambda: [_shell(facts, asker)])
    found += _guarded("bundle root", lambda: [places.bundle_root(facts, root)])
    return found + builds.result()


def _judged(name: str, answer: Future[Answer], judge: Callable[[checks.Outcome], list[Check]]) -> list[Check]:
    said = answer.result()
    if said.outcome is None:
        return [Check(name, "fail", "started a process that tries it", said.problem or "no answer")]
    outcome = said.outcome
    return _guarded(name, lambda: judge(outcome))


def _guarded(name: str, judge: Judge) -> list[Check]:
    """A check that breaks is a failed check: the report has to come, whatever this host is like."""
    try:
        return judge()
    except Exception as error:
        return [Check(name, "fail", "looked into it", f"the check itself failed: {error!r}")]


def _trial_builds(asker: Asker, root: Path, runtimes: list[str]) -> list[Check]:
    name, did = "build with runc", "built a tiny request, from input to ingested output"
    if not runtimes:
        return [Check(name, "fail", did, "neither runc nor crun is installed")]
    try:
        with places.trial_directory(root) as directory:
            said = asker.trial(directory, runtimes)
    except OSError as error:
        return [Check(name, "fail", did, f"{error.filename}: {error.strerror}")]
    if said.outcome is None:
        return [Check(name, "fail", did, said.problem or "no answer")]
    return [checks.build(kind, outcome) for kind, outcome in said.outcome.items()]


def _ranges(facts: Facts) -> tuple[int, int, int, int]:
    """Start and count of the ids to map in the trials: a user's own ranges, for root what builds take."""
    if not facts.is_root:
        uids, gids = facts.subuid or (0, 0), facts.subgid or (0, 0)
        return (*uids, *gids)
    from tvixbuild_nb.oci import SpecOptions

    options = SpecOptions.for_host()
    maps = options.uid_mappings, options.gid_mappings
    uid, gid = (mappings[0].host_id if mappings else 0 for mappings in maps)
    return uid, 2, gid, 2


def _shell(facts: Facts, asker: Asker) -> Check:
    from tvixbuild_nb.oci.host import SHELL_VARIABLE, find_shell

    name, did = "static shell", "ran a static program as sh"
    path = find_shell()
    if path is None:
        wrong = os.environ.get(SHELL_VARIABLE)
        reason = f"{SHELL_VARIABLE}={wrong} is no static program" if wrong else "there is none for /bin/sh"
        return Check(name, "fail", did, reason, facts.install("busybox-static"))
    status, text = asker.text(path, "-c", "echo well", argv0="sh")
    if status != 0 or text.strip() != "well":
        return Check(name, "fail", did, f"{path}: {text.strip() or status}", facts.install("busybox-static"))
    return Check(name, "ok", did, path)


def _store(store: str | os.PathLike[str] | None) -> Check:
    from tvixbuild_nb.castore.castore import STORE_VARIABLE, default_store_path

    path = os.fspath(store) if store is not None else os.environ.get(STORE_VARIABLE) or default_store_path()
    scheme, separator, rest = path.partition(":")
    if separator and "/" not in scheme:
        if scheme != "file":
            return Check("store", "ok", "read its address", f"{path} needs no room here")
        path = rest
    return places.room("store", Path(path))
