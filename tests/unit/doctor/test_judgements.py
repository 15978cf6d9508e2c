"""What the trying processes say becomes the right reason and the right command; hosts as data."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tvixbuild_nb.build.doctor import Check, DoctorReport, checks, places
from tvixbuild_nb.build.doctor.examine import examine
from tvixbuild_nb.build.doctor.facts import Facts
from tvixbuild_nb.build.doctor.host import Marks, classify
from tvixbuild_nb.keeper.ids import SubordinateRange

LINUX = Marks()
RANGE = SubordinateRange(100000, 65536)
TOOLS = {"newuidmap": "/usr/bin/newuidmap", "newgidmap": "/usr/bin/newgidmap", "apt-get": "/usr/bin/apt-get"}
WELL = {"user": None, "maps": None, "mount": None, "pid": None, "proc": None}


def facts(**changes: object) -> Facts:
    base: dict[str, object] = {
        "uid": 1000,
        "user": "ada",
        "release": "6.1.0-18-amd64",
        "subuid": RANGE,
        "subgid": RANGE,
        "tools": TOOLS,
        "setuid": frozenset(("newuidmap", "newgidmap")),
    }
    return Facts(LINUX, **{**base, **changes})


def judged(name: str, here: Facts, **outcome: object) -> Check:
    (found,) = [check for check in checks.namespaces(here, outcome) if check.name == name]
    return found


def test_all_well() -> None:
    assert [check.status for check in checks.namespaces(facts(), WELL)] == ["ok"] * 4


@pytest.mark.parametrize(
    ("switches", "error", "words"),
    [
        ({"max_user_namespaces": 0}, "unshare: No space left on device", "user.max_user_namespaces=15000"),
        ({"unprivileged_userns_clone": 0}, "unshare: Operation not permitted", "kernel.unprivileged_userns_clone=1"),
        ({}, "unshare: No space left on device", "user.max_user_namespaces"),
        ({}, "unshare: Invalid argument", "CONFIG_USER_NS"),
        ({}, "unshare: Operation not permitted", "chroot"),
    ],
)
def test_no_user_namespace(switches: dict[str, int], error: str, words: str) -> None:
    check = judged("user namespaces", facts(switches=switches), user=error)
    assert check.status == "fail" and check.need == "namespaces"
    assert words in (check.remedy or "") and error in check.reason


def test_a_seccomp_filter_is_named() -> None:
    check = judged("user namespaces", facts(status={"Seccomp": "2"}), user="unshare: Operation not permitted")
    assert "seccomp" in check.reason and "seccomp" in (check.remedy or "")


def test_apparmor_allows_the_namespace_and_refuses_the_mount() -> None:
    outcome = {**WELL, "mount": "mount /: Permission denied"}
    check = judged("mount in a namespace", facts(switches={"apparmor_restrict": 1}), **outcome)
    assert check.status == "fail" and check.need == "mount"
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in (check.remedy or "")
    assert judged("user namespaces", facts(switches={"apparmor_restrict": 1}), **outcome).status == "ok"


@pytest.mark.parametrize(
    ("here", "words"),
    [
        (facts(), "sudo usermod --add-subuids"),
        (facts(uid=0, user="root"), "usermod --add-subuids"),
    ],
)
def test_a_missing_range_comes_with_its_command(here: Facts, words: str) -> None:
    check = judged("subordinate ids", here, user=None, maps="/etc/subuid gives this account no range")
    assert (check.remedy or "").startswith(words) and (check.remedy or "").endswith(here.user)


def test_root_without_capabilities_is_told() -> None:
    found = checks.namespaces(facts(uid=0), {**WELL, "keeper": "unshare: Operation not permitted"})
    assert (found[0].status, found[0].need) == ("fail", "admin")


def test_kernels() -> None:
    assert checks.kernel(facts()).status == "ok"
    assert checks.kernel(facts(release="5.10.0-8")).status == "warn"
    assert checks.kernel(facts(release="4.19.0")).status == "fail"
    assert checks.kernel(Facts(Marks(system="Darwin"), release="23.1")).status == "fail"


def test_cgroups() -> None:
    def limits(**found: str | None) -> dict[str, object]:
        return {"version": "2", "refused": None, "limits": {"memory": None, "pids": None, "cpu": None, **found}}

    assert checks.cgroups(facts(), limits()).status == "ok"
    partly = checks.cgroups(facts(), limits(cpu="this controller is not mounted"))
    assert partly.status == "warn" and "cpu" in partly.reason
    refused = checks.cgroups(facts(), {"version": "2", "refused": "/sys/fs/cgroup/x: Permission denied", "limits": {}})
    assert refused.status == "warn" and "Delegate=yes" in (refused.remedy or "")


def test_allow_other_only_matters_without_namespaces() -> None:
    outcome = {"works": False, "error": "not allowed", "binding": "fuse", "hint": None}
    assert checks.allow_other(facts(), outcome, namespaces_work=True).status == "ok"
    check = checks.allow_other(facts(), outcome, namespaces_work=False)
    assert check.status == "fail" and "/etc/fuse.conf" in (check.remedy or "")


def test_a_failed_build_is_explained_from_its_texts() -> None:
    outcome = {
        "ok": False,
        "message": "rootless container requires user namespaces",
        "failed_at": "setup",
        "hint": None,
    }
    check = checks.build("runc", outcome)
    assert check.status == "fail" and "render it again" in (check.remedy or "")


def test_a_build_that_did_without_something_is_a_warning() -> None:
    outcome = {"ok": True, "degraded": ["cgroups: no"], "inputs": "fuse", "seconds": 0.04}
    check = checks.build("runc", outcome)
    assert check.status == "warn" and "cgroups: no" in check.reason


def test_closed_and_missing_places(tmp_path: Path) -> None:
    assert places.room("store", tmp_path / "not" / "yet").status == "ok"
    assert not (tmp_path / "not").exists()
    assert places.nearest(tmp_path / "a" / "b") == tmp_path


def test_a_bundle_root_below_a_closed_directory_names_it(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    check = places.bundle_root(facts(uid=0), tmp_path / "closed" / "bundles")
    assert check.status == "fail" and "closed" in check.reason and "chmod o+x" in (check.remedy or "")


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_elsewhere_than_on_linux_there_is_a_report_too(system: str, tmp_path: Path) -> None:
    found = examine(Facts(Marks(system=system)), 5.0, tmp_path / "store")
    assert not found.ok and found.host.kind == "not-linux"
    assert "namespaces" in found["kernel"].reason and found["store"].status != "fail"


@pytest.fixture(params=[True, False])
def report(request: pytest.FixtureRequest) -> DoctorReport:
    bad = Check("FUSE", "fail", "mounted", "this host has no /dev/fuse", "modprobe fuse", "fuse")
    good = Check("kernel", "ok", "read", "Linux 6.1")
    host = classify(Marks(files={"/.dockerenv": ""}))
    return DoctorReport(host, (good,) if request.param else (good, bad), request.param, 0.5)


def test_report_as_text_and_data(report: DoctorReport) -> None:
    assert json.loads(json.dumps(report.to_dict()))["ok"] is report.ok
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(report)
    for text in (str(report), console.export_text()):
        assert report.verdict() in text
        assert ("modprobe fuse" in text) is not report.ok
        assert ("docker run --device /dev/fuse IMAGE" in text) is not report.ok
    # As its text, or in groups, where the views are loaded.
    assert report.verdict() in report._repr_mimebundle_()["text/plain"]


def test_report_by_name(report: DoctorReport) -> None:
    assert report["kernel"].status == "ok"
    with pytest.raises(KeyError, match="kernel"):
        report["kernal"]
    assert [check.name for check in report.problems] == ([] if report.ok else ["FUSE"])
