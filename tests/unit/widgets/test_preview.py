"""The preview's view without a browser: data, static and text form, the live class with nobody listening."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tvixbuild_nb import Sandbox
from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci import Preview, SpecOptions
from tvixbuild_nb.widgets.kit.forms import plain_text
from tvixbuild_nb.widgets.preview import data, diff_forms, preview_forms
from tvixbuild_nb.widgets.preview.data import Shown
from tvixbuild_nb.widgets.preview.live import PreviewView
from tvixbuild_nb.widgets.preview.rows import Unfolded, rows

EVIL = "<img src=x onerror=alert(1)>\x1b[31m\u202eevil"
EVERYTHING = Unfolded(inverted=True).to_dict()
HARMFUL = ("<img", "\x1b", "\u202e", "<script", "<style", "<svg")


def sandbox(**changes: Any) -> Sandbox:
    fields = {"env": {"HOME": "/homeless", "EVIL": EVIL}, "outputs": ["nix/store/out"], "options": SpecOptions()}
    return Sandbox("echo hello", **{**fields, **changes})


def shown(**changes: Any) -> Shown:
    return Shown.of(sandbox(**changes).preview())


def test_the_detail_says_everything() -> None:
    found = data.detail(shown(), "/process/terminal")
    assert found["value"] == "false"
    assert found["explanation"]["specified_in"] == "config.md, Process"
    (deviation,) = found["deviations"]
    assert deviation["name"] == "terminal" and "/dev/tty" in deviation["reason"]
    with pytest.raises(KeyError):
        data.detail(shown(), "/process/args/77")
    with pytest.raises(KeyError):
        data.detail(shown(), "/process/args/x")


def test_search_finds_names_values_and_what_is_said() -> None:
    value = shown()
    assert "/process/env/1" in data.search(value, "homeLESS")
    assert "/process/noNewPrivileges" in data.search(value, "nonewpriv")
    assert data.search(value, "reboots the host") == [] and data.search(value, "  ") == []
    assert "/linux/readonlyPaths/5" in data.search(value, "commands to the kernel")


def test_hostile_values_are_shown_harmlessly() -> None:
    value = shown()
    everything = [
        *rows(value, Unfolded(inverted=True))[0],
        *(data.detail(value, path) for path, _ in data.parts(value.config)),
        data.diff_data(sandbox(env={"EVIL": EVIL + "2"}).preview().diff(value.preview or "tvix")),
    ]
    texts = json.dumps(everything, ensure_ascii=False)
    assert "\x1b" not in texts and "\u202e" not in texts and "<img" in texts
    forms = preview_forms(sandbox().preview())
    for text in (str(forms.html()), plain_text(forms.text())):
        assert "\x1b" not in text and "\u202e" not in text
    assert not any(harm in str(forms.html()) for harm in HARMFUL)


def test_nothing_secret_in_any_form() -> None:
    sb = sandbox(env={"TOKEN": "hunter22"}, secrets=["TOKEN"])
    sb.command = ("/bin/sh", "-c", "use hunter22")
    preview = sb.preview()
    forms, view = preview_forms(preview), PreviewView(preview)
    other = sandbox(env={"TOKEN": "else"}).preview()
    texts = [str(forms.html()), plain_text(forms.text()), view.copy(""), json.dumps(view.rows(EVERYTHING))]
    texts += [json.dumps(view.detail(path)) for path, _ in data.parts(preview.config)]
    texts += [json.dumps(data.diff_data(preview.diff(other))), json.dumps(view.appear("a"))]
    sb.command = ("hunter22",)
    view._sandbox_changed(frozenset({"command"}))
    texts += [json.dumps(view._state()), json.dumps(view.compare("before")), json.dumps(view.rows(EVERYTHING))]
    del sb.env["TOKEN"]
    view._sandbox_changed(frozenset({"env"}))
    (gone,) = [row for row in view.rows(EVERYTHING)["rows"] if "removed" in row]
    texts += [json.dumps(view._state()), json.dumps(gone), json.dumps(view.detail(gone["path"], gone["removed"]))]
    assert "TOKEN=" in texts[-2]
    for text in texts:
        assert "hunter22" not in text
    view.close()
    sb.env["TOKEN"] = "hunter22"
    assert "hunter22" not in str(preview_forms(sb.spec).html()) + repr(sb.spec) + str(sb.spec)
    assert "hunter22" in sb.spec.to_json() and sb.spec == sb.preview().spec


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_static_form_is_nested_and_says_why() -> None:
    html = str(preview_forms(sandbox().preview()).html())
    elements = _Elements()
    elements.feed(html)
    assert elements.open == [] and {"details", "summary", "table"} <= elements.names
    assert "not as Tvix: terminal" in html and "asked for by: command_args[2]" in html
    assert "config.md, Mounts" in html and "valid by this package&#x27;s model" in html
    assert len(html) < 100_000
    many = str(preview_forms(sandbox(scratch_paths=["nix/store", *map(str, range(2000))]).preview()).html())
    assert "1950 more are not shown" in many
    assert len(many) < 400_000


def test_a_configuration_alone_shows_its_tree() -> None:
    forms = preview_forms(sandbox().spec)
    assert "/dev/shm" in str(forms.html()) and "asked for by" not in str(forms.html())
    assert "/dev/shm" in plain_text(forms.text())
    view = PreviewView(sandbox().spec)
    assert view.appear("a")["explained"] is False and view.choices() == []
    assert view.detail("/root/path")["explanation"] is None  # type: ignore[index]
    with pytest.raises(InvalidSpec):
        view.compare("tvix")
    view.close()


def test_the_text_form_shows_the_tree_and_the_reasons() -> None:
    text = plain_text(preview_forms(sandbox().preview()).text())
    assert "config.json: valid" in text and "not as Tvix: /tmp" in text
    assert "controlling" in text and "whose choice" in text


@pytest.mark.parametrize("width", [60, 110, 200])
def test_in_a_terminal_of_any_width(width: int) -> None:
    preview = sandbox(options=SpecOptions(hostname="elsewhere")).preview()
    for text in (
        plain_text(preview_forms(preview).text(), width),
        plain_text(diff_forms(preview.diff()).text(), width),
    ):
        assert max(map(len, text.splitlines())) <= width
        assert "\x1b" not in text and "\u202e" not in text
        words = " ".join(text.replace("│", " ").split())
        assert "elsewhere" in words and "controlling" in words and "process" in words
        if width == 60:
            assert "┏" not in text and "why: asked for in the options" in words


def test_a_diff_shows_itself() -> None:
    forms = diff_forms(sandbox().preview().diff("tvix"))
    assert "process.terminal" in str(forms.html()) and "process.terminal" in plain_text(forms.text())
    same = diff_forms(sandbox().preview().diff(sandbox()))
    assert "no difference" in str(same.html())


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_live_view_follows_its_sandbox() -> None:
    sb = sandbox()
    view = PreviewView(sb.preview())
    told: list[tuple[str, Any]] = []
    view.tell = lambda topic, value, buffers=None: told.append((topic, value))  # type: ignore[method-assign]
    assert view.appear("one")["changed"] == []
    sb.env["NEW"] = "1"
    assert told.pop() == ("roll call", "one")
    until(lambda: len(told) == 1)
    topic, state = told[0]
    assert topic == "changed" and state["changed"] == ["process.env[NEW] (added)"]
    opened = {"listed": ["", "/process", "/process/env"], "inverted": False, "pages": {}}
    changed = [row["path"] for row in view.rows(opened)["rows"] if row["changed"]]
    assert changed == ["/process/env/2"]
    assert [row["where"] for row in view.compare("before")["rows"]] == ["process.env[NEW]"]
    sb.command = ()
    until(lambda: len(told) == 2)
    assert "command" in told[1][1]["problem"]
    assert view.detail("/process/args/0")["value"] == '"/bin/sh"'  # type: ignore[index]
    sb.command = ("true",)
    until(lambda: len(told) == 3)
    assert told[2][1]["problem"] is None
    assert view.seen()["changed"] == []
    view.vanish("one")
    sb.env["LATER"] = "1"
    time.sleep(0.5)
    assert len(told) == 3
    # A page that comes back sees what happened meanwhile.
    assert view.appear("two")["changed"] == ["process.env[LATER] (added)"]
    view.close()
    assert view.faults == []


def test_calls_from_the_page() -> None:
    view = PreviewView(sandbox().preview())
    sent: list[Any] = []
    view.send = lambda content, buffers=None: sent.append(content)  # type: ignore[method-assign]

    def call(name: str, **arguments: Any) -> Any:
        view._heard(None, {"call": 1, "name": name, "arguments": arguments}, [])
        return sent.pop()

    assert call("search", text="/dev/shm")["value"]["found"]
    assert call("detail", path="/nowhere")["value"] is None
    assert json.loads(call("copy", path="/root")["value"]) == {"path": "root", "readonly": True}
    assert json.loads(call("copy", path="/process/terminal")["value"]) is False
    assert "gone" in call("copy", path="/nowhere")["error"]
    assert [key for key, _ in call("choices")["value"]] == ["tvix", "runc", "last run", "before"]
    assert call("compare", other="tvix")["value"]["count"] == 3
    assert "run the sandbox first" in call("compare", other="last run")["hint"]
    assert "changed" in call("compare", other="before")["error"]
    assert view.faults == []
    assert "no such call" in call("_follow")["error"]
    view.close()


def test_a_first_paint_is_small() -> None:
    view = PreviewView(sandbox().preview())
    assert len(json.dumps(view.rows())) < 16_000
    assert len(json.dumps(view.appear("a"))) < 4_000
    view.close()
    many = PreviewView(sandbox(scratch_paths=["nix/store", *map(str, range(2000))]).preview())
    assert len(json.dumps(many.rows())) < 16_000
    many.close()


def test_the_front_end_is_plain_javascript() -> None:
    front = Path(data.__file__).parents[1] / "front"
    for name in ("foldkeys", "previewtree", "previewdetail", "preview"):
        text = (front / f"{name}.js").read_text()
        assert "innerHTML" not in text and len(text.splitlines()) < 250


def test_registered_with_the_door() -> None:
    from tvixbuild_nb.widgets import register_views

    register_views()
    preview: Preview = sandbox().preview()
    for value in (preview, preview.spec, preview.diff("tvix")):
        bundle = value._repr_mimebundle_()
        assert "text/html" in bundle and "text/plain" in bundle
