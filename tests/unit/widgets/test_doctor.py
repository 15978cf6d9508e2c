"""A doctor's report in its three forms: groups, what mends, and nothing a name could do."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial

from rich.console import Console

from support.form_page import wait
from tvixbuild_nb.build.doctor import Check, DoctorReport, Host, doctor
from tvixbuild_nb.widgets.doctor import doctor_forms
from tvixbuild_nb.widgets.doctor.data import doctor_data
from tvixbuild_nb.widgets.doctor.live import DoctorView
from tvixbuild_nb.widgets.kit.forms import plain_text

HOSTILE = "<img src=x onerror=window.bad=1>\x1b[2J\u202e\udcff"
SHOWN = "<img src=x onerror=window.bad=1>\\x1b[2J\\u202e\\xff"


def report(ok: bool = False) -> DoctorReport:
    checks = (
        Check("kernel", "ok", "asked", "Linux 6.1", remedy="never shown"),
        Check("FUSE", "fail", "mounted", "no /dev/fuse", "modprobe fuse", "fuse"),
        Check("store", "warn", "looked", f"{HOSTILE}: 2 MB free", f"rm {HOSTILE}"),
        Check("something new", "ok", "tried", "works"),
    )
    return DoctorReport(Host("docker", ("/.dockerenv",), HOSTILE), checks, ok, 0.5)


def test_checks_in_groups_with_what_mends_them() -> None:
    data = doctor_data(report())
    assert [group["name"] for group in data["groups"]] == [
        "kernel and namespaces", "inputs as a file system", "places", "others",
    ]  # fmt: skip
    kernel, fuse = data["groups"][0]["checks"][0], data["groups"][1]["checks"][0]
    assert kernel["remedy"] is None and fuse["remedy"] == "modprobe fuse"
    assert data["start_with"] == "docker run --device /dev/fuse IMAGE" and data["host"] == "a Docker container"
    assert data["groups"][2]["checks"][0]["remedy"] == f"rm {SHOWN}"


def test_every_form_says_it_and_none_acts() -> None:
    forms = doctor_forms(report())
    html, text = str(forms.html()), plain_text(forms.text())
    assert "<img" not in html and "&lt;img src=x" in html and "modprobe fuse" in html and "<script" not in html
    assert html.count("<details open>") == 2 and html.count("<details>") == 2
    for form in (html, text):
        assert "\x1b" not in form and "\u202e" not in form and "modprobe fuse" in form
        assert "builds cannot run here" in form and "docker run --device /dev/fuse IMAGE" in form
    assert SHOWN.split("<")[0] in text
    narrow = Console(width=50, color_system=None)
    with narrow.capture() as captured:
        narrow.print(forms.text())
    assert max(map(len, captured.get().splitlines())) <= 50


def test_it_is_examined_again_in_the_background() -> None:
    begin, calls = threading.Event(), []

    def again() -> DoctorReport:
        calls.append(threading.current_thread())
        assert begin.wait(10)
        if len(calls) == 2:
            raise OSError("no more <processes>")
        return replace(report(ok=True), again=again)

    view = DoctorView(replace(report(), again=again))
    assert view.again and not view.report["ok"]
    view.examine()
    view.examine()
    assert view.busy and not view.report["ok"], "asking does not wait"
    begin.set()
    wait(lambda: not view.busy)
    assert view.report["ok"] is True and len(calls) == 1 and calls[0] is not threading.current_thread()
    view.examine()
    wait(lambda: not view.busy)
    assert "no more <processes>" in view.trouble and view.report["ok"] is True
    view.examine()
    wait(lambda: not view.busy)
    assert view.trouble == "" and view.faults == []
    assert DoctorView(report()).again is False
    view.close()


def test_a_real_report_can_be_made_again() -> None:
    first = doctor(store="memory:", limit=5)
    assert first.again is not None and isinstance(first.again, partial) and first.again.keywords == {
        "store": "memory:", "limit": 5,
    }  # fmt: skip
    assert replace(first, again=None) == first and "again" not in first.to_dict()


def test_the_live_form_holds_the_report() -> None:
    forms = doctor_forms(report(ok=True))
    assert forms.live is not None
    view = forms.live()
    assert isinstance(view, DoctorView) and view.report["ok"] is True and view.report["problems"] == 2
    assert view.faults == []
    view.close()
