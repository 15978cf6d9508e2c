"""Access traces: taking down, as a value, as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from support.fs_trees import File, Link, plant
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.fs import AccessTrace, InputAccess, View
from tvixbuild_nb.fs.served import ServedView
from tvixbuild_nb.fs.trace import Recorder, Search, write_trace
from tvixbuild_nb.fs.transport import Transport


def recording(max_missing: int = 1000) -> tuple[Transport, Recorder]:
    castore = open_castore("memory:")
    node = plant(
        castore,
        {b"bin": {b"hello": File(b"hello", True), b"\xff": File(b"odd")}, b"lib": {}, b"link": Link(b"bin/hello")},
    )
    view = View({b"src": node, b"other": castore.ingest_bytes(b"x")}, castore)
    recorder = Recorder(view, max_missing)
    return Transport(ServedView(view, recorder)), recorder


def test_what_was_done_stands_under_its_input() -> None:
    transport, recorder = recording()
    for path in (b"/src", b"/src/bin", b"/src/bin/hello", b"/src/bin/hello"):
        assert transport.getattr(path) is not None
    for path in (b"/src/nope", b"/src/bin/nope", b"/elsewhere"):
        assert transport.getattr(path) is None
    assert [name for name, _, _ in transport.readdir(b"/src/lib")] == [b".", b".."]
    transport.open(b"/src/bin/hello")
    assert transport.read(b"/src/bin/hello", 100, 0) == b"hello"
    assert transport.read(b"/src/bin/hello", 2, 3) == b"lo"
    transport.open(b"/src/bin/\xff")
    trace = recorder.trace()
    assert trace.inputs["src"] == InputAccess(
        looked_up=("", "bin", "bin/hello", "bin/\udcff", "lib"),
        opened=("bin/hello", "bin/\udcff"),
        listed=("lib",),
        read={"bin/hello": 7},
        missing=("bin/nope", "nope"),
    )
    assert trace.inputs["other"] == InputAccess()
    assert trace.unused == ("other",)
    assert trace.missing == ("elsewhere",)
    assert trace.bytes_read == 7
    assert "src: looked up 5, opened 2, listed 1, read 7 bytes, not found 2" in trace.summary()


def test_searches_are_told_in_the_order_of_their_places() -> None:
    transport, recorder = recording()
    for path in (b"/src/lib/hello", b"/hello", b"/src/hello", b"/src/bin/hello", b"/src/lib/libx.so"):
        transport.getattr(path)
    trace = recorder.trace()
    assert trace.searches == (
        Search("hello", ("src/lib", "", "src"), "src/bin/hello"),
        Search("libx.so", ("src/lib",)),
    )
    text = str(trace)
    assert "looked for hello: not in src/lib, beside the inputs, src; found as src/bin/hello" in text
    assert "looked for libx.so: not in src/lib; nowhere else" in text and "never used: other" in text
    screen = Console(width=120)
    with screen.capture() as captured:
        screen.print(trace)
    assert "never used" in captured.get() and "beside the inputs" in captured.get()
    # A trace of before there were searches.
    older = json.loads(trace.to_json())
    del older["searches"]
    assert AccessTrace.from_json(json.dumps(older)).searches == ()


def test_the_tree_has_each_entry_with_its_use() -> None:
    transport, recorder = recording()
    for path in (b"/src/bin/hello", b"/src/bin/\xff", b"/src/bin/nope", b"/src/link"):
        transport.getattr(path)
    transport.readdir(b"/src/lib")
    transport.open(b"/src/bin/hello")
    transport.read(b"/src/bin/hello", 100, 0)
    tree = recorder.trace().tree()
    assert str(tree).split("\n") == [
        "other  (never used)",
        "src",
        "  bin",
        "    hello  (read 5 bytes)",
        "    nope  (not found)",
        "    \\xff  (looked up)",
        "  lib  (listed)",
        "  link  (looked up)",
    ]
    screen = Console(force_terminal=True, color_system="standard", width=80)
    with screen.capture() as captured:
        screen.print(tree)
    assert "\x1b[32mhello" in captured.get() and "\x1b[31mnope" in captured.get()
    assert (
        str(recorder.trace().tree(3)).endswith("  bin\nand 5 more, not shown")
        and str(AccessTrace().tree()) == "no inputs"
    )


def test_what_is_shown_of_a_large_closure_is_bounded() -> None:
    used, missed = InputAccess(opened=("f",)), tuple(Search(f"s{number}", ("d",)) for number in range(1000))
    inputs = {
        f"{name}{number}": access for name, access in (("u", used), ("n", InputAccess())) for number in range(1000)
    }
    trace = AccessTrace(inputs, dropped=1234, searches=missed)
    assert len(str(trace)) < 20_000 and "900 more inputs were used" in str(trace) and "and 900 more" in str(trace)
    screen = Console(width=120)
    with screen.capture() as captured:
        screen.print(trace)
    told = captured.get()
    assert "1,900 more inputs, 900 more searches" in told and "not listed: 1,234" in told and told.count("\n") < 300


def test_looking_at_the_input_itself_is_not_a_use_of_it() -> None:
    transport, recorder = recording()
    transport.getattr(b"/src")
    assert recorder.trace().unused == ("other", "src")


def test_misses_are_bounded_and_the_rest_is_counted() -> None:
    transport, recorder = recording(max_missing=10)
    for i in range(15):
        transport.getattr(b"/src/%d" % i)
        transport.getattr(b"/src/0")
    trace = recorder.trace()
    assert len(trace.inputs["src"].missing) == 10
    assert trace.dropped == 5
    assert "misses beyond the bound, not listed: 5" in trace.summary()


def test_readers_make_room_for_others() -> None:
    castore = open_castore("memory:")
    node = plant(castore, {b"%d" % i: File(b"%d" % i) for i in range(300)})
    served = ServedView(View({b"d": node}, castore))
    transport = Transport(served)
    for _ in range(2):
        for i in range(300):
            transport.open(b"/d/%d" % i)
        for i in range(300):
            assert transport.read(b"/d/%d" % i, 10, 0) == b"%d" % i
    served.close()


texts = st.text(max_size=8) | st.binary(max_size=8).map(lambda b: b.decode("utf-8", "surrogateescape"))
paths = st.lists(texts, max_size=4).map(tuple)
searches = st.lists(st.builds(Search, texts, paths, st.none() | texts), max_size=3).map(tuple)
accesses = st.builds(
    InputAccess, looked_up=paths, opened=paths, listed=paths, read=st.dictionaries(texts, st.integers(0)), missing=paths
)


@given(st.builds(AccessTrace, st.dictionaries(texts, accesses, max_size=3), paths, paths, st.integers(0), searches))
def test_json_and_back(trace: AccessTrace) -> None:
    text = trace.to_json()
    assert text.isascii()
    assert AccessTrace.from_json(text) == trace
    trace.summary().encode("utf-8")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"inputs": [], "missing": [], "faults": [], "dropped": 0}', '{"inputs": {"a": {}}}']
)
def test_json_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        AccessTrace.from_json(text)


def test_unknown_fields_are_refused() -> None:
    data = json.loads(AccessTrace().to_json())
    with pytest.raises(InvalidValue, match="unknown fields: more"):
        AccessTrace.from_json(json.dumps({**data, "more": 1}))


def test_the_file_is_written_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text("old")
    write_trace(AccessTrace(missing=("x",)), str(path))
    assert AccessTrace.from_json(path.read_bytes()).missing == ("x",)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("trace")] == ["trace.json"]
