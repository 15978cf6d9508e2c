"""doctor() on this host, and on hosts that lack something: simulated in namespaces, with the thing really gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.leftovers import Leftovers
from support.users import REPO, AsUser
from tvixbuild_nb.build.doctor import DoctorReport, doctor

pytestmark = pytest.mark.integration

ASK = "import json; from tvixbuild_nb.build.doctor import doctor; print(json.dumps(doctor().to_dict()))"
WITHOUT_FUSE = """
mkdir {tmp}/dev; mount -t tmpfs none {tmp}/dev
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty {tmp}/dev/
mkdir {tmp}/dev/shm {tmp}/dev/pts; chmod 1777 {tmp}/dev/shm; ln -s /proc/self/fd {tmp}/dev/fd
mount -t devpts -o newinstance,ptmxmode=0666 devpts {tmp}/dev/pts; ln -s pts/ptmx {tmp}/dev/ptmx
mount --move {tmp}/dev /dev
"""


def gone(*programs: str) -> str:
    """A script that leaves nothing but an empty file of each program."""
    lines = ["touch {tmp}/empty"]
    for program in programs:
        lines.append(f"for f in /usr/bin/{program} /usr/sbin/{program}; do")
        lines.append("if [ -e $f ]; then mount --bind {tmp}/empty $f; fi; done")
    return "\n".join(lines)


class Patient:
    """doctor() as the ordinary user on a host that ``before`` has changed."""

    def __init__(self, as_user: AsUser, tmp: Path) -> None:
        self.as_user, self.tmp = as_user, tmp

    def ask(self, before: str = "", wrap: tuple[str, ...] = (), **env: str) -> dict[str, Any]:
        done = self.as_user(ASK, before=before.replace("{tmp}", str(self.tmp)), wrap=wrap, env=env, timeout=60)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        report["by"] = {check["name"]: check for check in report["checks"]}
        return report


@pytest.fixture
def patient(as_user: AsUser, passable_tmp: Path) -> Patient:
    return Patient(as_user, passable_tmp)


@pytest.fixture(scope="module")
def report() -> DoctorReport:
    return doctor()


def test_builds_can_run_here(report: DoctorReport) -> None:
    assert report.ok, str(report)
    assert report["build with runc"].status == "ok"
    assert all(check.status == "ok" for check in report.checks), str(report)


def test_is_quick(report: DoctorReport) -> None:
    # Two seconds on an idle machine; here others work beside it.
    assert report.seconds < 10


def test_leaves_nothing_behind(root: None, no_leftovers: Leftovers) -> None:
    trials = set(Path("/var/lib").glob("**/.tvixbuild-nb-doctor-*"))
    mounts = Path("/proc/self/mountinfo").read_text()
    namespaces = {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")}
    assert doctor().ok
    assert set(Path("/var/lib").glob("**/.tvixbuild-nb-doctor-*")) <= trials
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")} == namespaces


def test_ordinary_user(patient: Patient) -> None:
    report = patient.ask()
    assert report["ok"], report
    assert report["by"]["subordinate ids"]["status"] == "ok"
    assert report["by"]["FUSE"]["status"] == "ok"
    assert "namespaces of one's own" in report["by"]["FUSE"]["reason"]
    assert report["by"]["cgroups"]["status"] == "warn"


def test_without_dev_fuse_inputs_are_checkouts(patient: Patient) -> None:
    report = patient.ask(WITHOUT_FUSE)
    check = report["by"]["FUSE"]
    assert check["status"] == "warn" and "/dev/fuse" in check["reason"]
    assert "--device /dev/fuse" in check["remedy"]
    assert report["ok"] and "checkout" in report["by"]["build with runc"]["reason"]


def test_without_newuidmap(patient: Patient) -> None:
    report = patient.ask(gone("newuidmap"))
    check = report["by"]["subordinate ids"]
    assert check["status"] == "fail" and "apt-get install uidmap" in check["remedy"]
    assert not report["ok"]


def test_newuidmap_that_lost_its_setuid_bit(patient: Patient) -> None:
    report = patient.ask(
        "cp /usr/bin/newuidmap {tmp}/plain; chmod 755 {tmp}/plain; mount --bind {tmp}/plain /usr/bin/newuidmap"
    )
    check = report["by"]["subordinate ids"]
    assert check["status"] == "fail" and "chmod u+s" in check["remedy"]


def test_without_subordinate_ranges(patient: Patient) -> None:
    report = patient.ask("touch {tmp}/empty; mount --bind {tmp}/empty /etc/subuid")
    check = report["by"]["subordinate ids"]
    assert check["status"] == "fail" and "/etc/subuid" in check["reason"]
    assert (
        f"usermod --add-subuids 165536-231071 --add-subgids 165536-231071 {patient.as_user.user.name}"
        in check["remedy"]
    )
    assert not report["ok"]


def test_no_new_privileges(patient: Patient) -> None:
    report = patient.ask(wrap=("setpriv", "--no-new-privs"))
    check = report["by"]["subordinate ids"]
    assert check["status"] == "fail"
    assert "no_new_privs" in check["reason"] and "allowPrivilegeEscalation" in check["remedy"]
    assert check["need"] == "privileges"


def test_a_pod_like_jupyterhubs_is_told_what_it_lacks(patient: Patient) -> None:
    report = patient.ask(WITHOUT_FUSE, wrap=("setpriv", "--no-new-privs"), KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert report["host"]["kind"] == "kubernetes" and not report["ok"]
    assert report["start_with"].startswith("securityContext: allowPrivilegeEscalation: true")
    assert "/dev/fuse" in report["start_with"]


def test_masked_proc(patient: Patient) -> None:
    report = patient.ask("mount --bind /dev/null /proc/version")
    check = report["by"]["proc in a namespace"]
    assert check["need"] == "proc" and check["status"] != "ok" and "masked" in check["reason"]


def test_without_any_runtime(patient: Patient) -> None:
    report = patient.ask(gone("runc", "crun"))
    assert not report["ok"]
    assert "apt-get install runc" in report["by"]["runc"]["remedy"]
    assert report["by"]["crun"]["status"] == "warn"


def test_with_crun_alone_builds_can_run(patient: Patient) -> None:
    report = patient.ask(gone("runc"))
    assert report["ok"] and report["by"]["runc"]["status"] == "warn"


def test_without_a_static_shell(patient: Patient) -> None:
    report = patient.ask(gone("busybox"))
    assert not report["ok"]
    assert "busybox-static" in report["by"]["static shell"]["remedy"]


def test_no_user_namespaces_at_all(root: None, tmp_path: Path) -> None:
    script = f'echo 0 > /proc/sys/user/max_user_namespaces; exec {sys.executable} -c "$1"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", ASK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=REPO)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (check,) = [check for check in report["checks"] if check["name"] == "user namespaces"]
    assert not report["ok"] and check["status"] == "fail"
    assert "user.max_user_namespaces is 0" in check["reason"] and "sysctl -w" in check["remedy"]


def test_a_closed_or_full_place_is_named(patient: Patient) -> None:
    report = patient.ask("mount -t tmpfs -o ro,size=1m none {tmp}/home")
    check = report["by"]["store"]
    assert check["status"] == "fail" and "Read-only" in check["reason"] and not report["ok"]


def test_a_hanging_runtime_does_not_hang_the_doctor(patient: Patient) -> None:
    script = "printf '#!/bin/sh\\nsleep 1000\\n' > {tmp}/slow; chmod 755 {tmp}/slow\n" + gone("crun")
    for place in ("/usr/bin/runc", "/usr/sbin/runc"):
        script += f"\nif [ -e {place} ]; then mount --bind {{tmp}}/slow {place}; fi"
    code = ASK.replace("doctor()", "doctor(limit=2.0)")
    started = time.monotonic()
    done = patient.as_user(code, before=script.replace("{tmp}", str(patient.tmp)), timeout=60)
    report = json.loads(done.stdout)
    assert time.monotonic() - started < 30
    assert not list(patient.as_user.home.glob("**/.tvixbuild-nb-doctor-*"))
    assert not report["ok"] and any("no answer within 2 s" in check["reason"] for check in report["checks"])
