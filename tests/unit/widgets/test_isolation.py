"""The isolation's view: data, static form, text, the live class without a server."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from tvixbuild_nb.build import HostSide, IdRange, Inside, Isolation, isolation_of
from tvixbuild_nb.oci import IdMapping, Limits, SpecOptions, render_spec
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.widgets.isolation import isolation_forms
from tvixbuild_nb.widgets.isolation.data import isolation_data
from tvixbuild_nb.widgets.isolation.live import IsolationView
from tvixbuild_nb.widgets.kit.forms import plain_text
from tvixbuild_nb.widgets.kit.html import ELEMENTS

EVIL = "/proc/<img src=x onerror=alert(1)>\x1b[2J\u202e"
OPTIONS = SpecOptions(
    uid_mappings=(IdMapping(container_id=0, host_id=0), IdMapping(container_id=1000, host_id=1)),
    gid_mappings=(IdMapping(container_id=0, host_id=0), IdMapping(container_id=100, host_id=1)),
    masked_paths=("/proc/kcore", EVIL),
    limits=Limits(memory=1 << 20, cpu=1.5),
)
SPEC = render_spec(BuildRequest(command_args=["/bin/true"], scratch_paths=["build"]), OPTIONS)
HOST = HostSide(
    namespaces={"pid": "pid:[1]", "net": "net:[2]"},
    limits={"Max open files": ("5", "6", "files")},
    capabilities=frozenset({"CAP_KILL"}),
    hostname="here",
    protected={"/proc/kcore": True},
    uid_ranges=(IdMapping(container_id=0, host_id=1001), IdMapping(container_id=1, host_id=100000, size=65536)),
    gid_ranges=(IdMapping(container_id=0, host_id=1002), IdMapping(container_id=1, host_id=200000, size=65536)),
)
INSIDE = Inside(
    status={"NSpid": "17\t1", "CapEff": "0000000000000021", "CapBnd": "21", "NoNewPrivs": "1", "Seccomp": "2"},
    uid_map=(IdRange(0, 0, 1), IdRange(1000, 1, 1)),
    gid_map=(IdRange(0, 0, 1), IdRange(100, 1, 1)),
    namespaces={"pid": "pid:[9]", "net": "net:[2]"},
    mountinfo=(),
    limits={"Max open files": ("1024", "1024", "files")},
    cgroup=("2:cpu:/x", "1:pids:/x"),
    modes={},
)


def planned() -> Isolation:
    return isolation_of(SPEC, "planned", host=HOST)


def observed() -> Isolation:
    return isolation_of(SPEC, "observed", "configured", inside=INSIDE, host=HOST)


class Strict(HTMLParser):
    """Fails on anything that a static form must not have."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS - {"img", "input"}, tag
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs), attrs


def test_data_is_json_and_harmless() -> None:
    for value in (planned(), observed()):
        data = isolation_data(value)
        text = json.dumps(data, ensure_ascii=False)
        assert "\x1b" not in text and "\u202e" not in text
        assert len(data["kept"]) + len(data["dropped"]) == 41
        assert len(text) < 64_000
    data = isolation_data(observed())
    assert [(row["inside"], row["outside"], row["host"]) for row in data["ids"] if row["kind"] == "uid"] == [
        ("0", "0", "1001"),
        ("1000", "1", "100000"),
        ("65534", "every other id", None),
    ]
    assert [row["name"] for row in data["kept"]] == ["CAP_CHOWN", "CAP_KILL"]
    kcore, evil = data["paths"][0], data["paths"][1]
    assert (kcore["seen"], kcore["open"], evil["open"]) == ("NOT in force", True, True)


def test_static_and_text() -> None:
    for value in (planned(), observed()):
        forms = isolation_forms(value)
        html = str(forms.html())
        Strict().feed(html)
        assert "<img" not in html and "&lt;img src=x" in html and "⟶" in html and "from inside" in html
        assert "\x1b" not in html and "\u202e" not in html
        for width in (60, 110, 180):
            text = plain_text(forms.text(), width)
            assert "one process, two sides" in text and "\x1b" not in text and "\u202e" not in text
            assert max(map(len, text.splitlines())) <= width
            # Numbers and names stay whole, however narrow it is.
            assert "pid:[1]" in text and "CAP_SYS_ADMIN" in text and "65534" in text
        assert "\x1b" not in str(value) and "65534" in str(value)
        assert "text/plain" in value._repr_mimebundle_()


def test_what_is_shared_says_what_is_lost() -> None:
    shared = SpecOptions(namespaces=("mount", "user"))
    value = isolation_of(render_spec(BuildRequest(command_args=["x"]), shared), "degraded", inside=INSIDE, host=HOST)
    rows = {row["type"]: row for row in isolation_data(value)["namespaces"]}
    assert not rows["network"]["own"] and rows["network"]["whose"] == "the host's" and rows["network"]["without"]
    assert rows["pid"]["whose"] == "the keeper's" and rows["mount"]["own"]
    for text in (str(isolation_forms(value).html()), " ".join(plain_text(isolation_forms(value).text(), 60).split())):
        assert rows["network"]["without"] in text.replace("&#x27;", "'")
    none = isolation_of(render_spec(BuildRequest(command_args=["x"]), SpecOptions.tvix(rootless=False)), "not rootless")
    assert isolation_data(none)["ids"] == []
    assert "no user namespace: every id is the host" in str(isolation_forms(none).html())
    assert "no user namespace" in plain_text(isolation_forms(none).text())


def test_live_without_a_server() -> None:
    view = IsolationView(observed())
    assert view.everything()["basis"] == "observed"
    assert "export default" in view._esm and view.faults == []
