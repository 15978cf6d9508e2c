"""A log's views: lines by number, folds, what is sent, the forms that do not move."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from support.logs import START, append, taken, written
from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.keeper.log import LogWriter
from tvixbuild_nb.sandbox import RunLog
from tvixbuild_nb.sandbox.lines import MAX_LINE, LineAssembler
from tvixbuild_nb.widgets.log import LogSource, log_forms
from tvixbuild_nb.widgets.log.data import lines_data
from tvixbuild_nb.widgets.log.excerpt import excerpt, summary
from tvixbuild_nb.widgets.log.folds import MAX_FOLDS, Fold, FoldFinder
from tvixbuild_nb.widgets.log.live import LogView
from tvixbuild_nb.widgets.log.shown import plain_lines

HOSTILE = b"<img src=x onerror=alert(1)> \x1b]0;title\x07\x1b[2J\xe2\x80\xae\xff\x00 end"

# -- lines


chunks_of_lines = st.lists(
    st.tuples(
        st.integers(0, 2), st.lists(st.sampled_from([b"a", b"\n", b"line\n", b"\r\n", b"\xc3", b"\xa9", b"bc" * 9]))
    ),
    max_size=60,
)


@settings(deadline=None)
@given(chunks_of_lines, st.integers(0, 60))
def test_lines_are_those_of_the_run_log(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, list[bytes]]], pause: int
) -> None:
    chunks = [(stream, b"".join(data)) for stream, data in parts if data]
    record = written(tmp_path_factory.mktemp("runs"), *chunks[:pause])
    source = taken(record)
    append(record, *chunks[pause:])
    while source.advance():
        pass
    expected = list(RunLog(record).lines())
    found = source.lines(1, 10_000)
    assert [line.number for line in found] == [line.number for line in expected] == list(range(1, source.total + 1))
    assert [(line.stream, line.time) for line in found] == [
        (("stdout", "stderr", "terminal").index(line.stream), line.time) for line in expected
    ]
    assert [line.raw.removesuffix(b"\r").decode("utf-8", "replace") for line in found] == [
        line.text for line in expected
    ]
    for line in found:
        assert source.lines(line.number, 1) == [line]
        assert source.lines(line.number, 1, times=False)[0]._replace(time=line.time) == line
    assert source.tail(3) == found[-3:]


def test_lines_are_cut_alike_wherever_the_chunks_end() -> None:
    data = b"x" * (2 * MAX_LINE + 5) + b"\nshort\n" + b"y" * MAX_LINE + b"\n"
    whole, _ = LineAssembler().feed(0, data)
    pieces = LineAssembler()
    bit_by_bit = [line for at in range(0, len(data), 999) for line in pieces.feed(0, data[at : at + 999])[0]]
    assert whole == bit_by_bit
    assert [len(line) for line in whole] == [MAX_LINE, MAX_LINE, 5, 5, MAX_LINE]


def test_long_lines_are_found_by_number(tmp_path: Path) -> None:
    record = written(tmp_path, (0, b"a" * (MAX_LINE + 7)), (1, b"between\n"), (0, b"b\nnext\n"), (0, b"no end"))
    source = taken(record)
    assert [(line.stream, len(line.raw), line.raw[-1:]) for line in source.lines(1, 9)] == [
        (0, MAX_LINE, b"a"), (1, 7, b"n"), (0, 8, b"b"), (0, 4, b"t"), (0, 6, b"d"),
    ]  # fmt: skip
    assert (source.settled, source.total) == (4, 5)


def test_answers_are_bounded_but_never_empty(tmp_path: Path) -> None:
    source = taken(written(tmp_path, (0, (b"z" * 1000 + b"\n") * 100)))
    assert len(source.lines(1, 100, budget=10_000)) == 10
    assert len(source.lines(1, 100, budget=10)) == 1
    assert source.lines(101, 5) == source.lines(0, 0) == []
    assert [line.number for line in source.tail(100, budget=2500)] == [98, 99, 100]


def test_no_log_yet_is_an_empty_log(tmp_path: Path) -> None:
    source = LogSource(RunRecord.create(tmp_path))
    assert not source.advance()
    assert (source.total, source.began, source.lines(1, 5), source.tail(5)) == (0, None, [], [])


# -- folds


def folds_of(lines: list[bytes], size: int) -> tuple[list[Fold], list[Fold]]:
    finder = FoldFinder()
    for at in range(0, len(lines), size):
        finder.feed(at + 1, lines[at : at + size])
    return finder.closed, finder.open


def phase(name: str) -> bytes:
    return b'@nix {"action":"setPhase","phase":"%s"}' % name.encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_phases_and_repetitions_are_found_wherever_the_chunks_end(size: int) -> None:
    lines = [b"x"] * 6 + [phase("unpack"), b"a", b"b"] + [b"c"] * 4 + [phase("build")] + [b"d"] * 5
    closed, open_ = folds_of(lines, size)
    assert closed == [Fold("repeat", 1, 6, None), Fold("phase", 7, 13, "unpack")]
    assert open_ == [Fold("phase", 14, None, "build"), Fold("repeat", 15, None, None)]


@given(st.lists(st.sampled_from([b"a", b"b"]), max_size=60), st.integers(1, 20))
def test_repetitions_are_those_a_slow_look_finds(lines: list[bytes], size: int) -> None:
    closed, open_ = folds_of(lines, size)
    expected, first = [], 0
    for at in range(1, len(lines) + 1):
        if at == len(lines) or lines[at] != lines[first]:
            if at - first >= 5:
                expected.append((first + 1, None if at == len(lines) else at))
            first = at
    assert [(fold.first, fold.last) for fold in [*closed, *open_]] == expected


@pytest.mark.parametrize("line", [b"@nix {", b"@nix []", b"@nix " + b"[" * 10_000, b'@nix {"action":1}', b"@nix \xff"])
def test_what_only_looks_like_a_message_is_a_line(tmp_path: Path, line: bytes) -> None:
    assert folds_of([line], 1) == ([], [])
    source = taken(written(tmp_path, (0, line + b"\n")))
    assert plain_lines(source, source.lines(1, 1)) == [line.decode("utf-8", "replace")]


# -- forms


def test_forms_are_bounded_and_harmless(tmp_path: Path) -> None:
    lines = b"".join(b"line %d\n" % n for n in range(10_000)) + b"w" * 50_000 + b"\n" + HOSTILE + b"\n"
    record = written(tmp_path, (0, lines), (1, b"\x1b[1mbold\x1b[0m and \x1b[31mred\x1b[0m"))
    bundle = log_forms(RunLog(record)).bundle()
    html, text = bundle["text/html"], bundle["text/plain"]
    assert "&lt;img src=x" in html and "<img" not in html and "<script" not in html
    assert "9,703 lines are not shown here" in html and "10,003 lines" in html
    assert "font-weight:bold" in html and "background:#cd000040" in html and ";color:" not in html
    for form in (html, text):
        assert len(form) < 30_000 and r"\u202e" in form and "\x1b" not in form and "err" in form
    assert "9,953 lines not shown" in text


def test_an_excerpt_of_lines_too_wide_leaves_out_in_the_middle(tmp_path: Path) -> None:
    source = taken(written(tmp_path, (0, (b"x" * 60_000 + b"\n") * 20)))
    shown = excerpt(source)
    assert len(shown.first) + shown.left_out + len(shown.last) == 20
    assert all(line["more"] for line in [*shown.first, *shown.last])


def test_a_line_is_sent_no_wider_than_asked(tmp_path: Path) -> None:
    source = taken(written(tmp_path, (0, b"\x1b[31m" + b"r" * 50 + b"\x1b[0m" + b"p" * 50)))
    assert lines_data(source, source.lines(1, 1), wide=60) == [
        {"n": 1, "t": START, "s": 0, "p": [["r" * 50, "f1"], ["p" * 10, ""]], "more": 40}
    ]


@pytest.mark.parametrize(("width", "colours"), [(40, "truecolor"), (140, "truecolor"), (40, None), (140, None)])
def test_a_terminal_has_colours_and_what_is_none_has_not(tmp_path: Path, width: int, colours: Any) -> None:
    line = b"\x1b[31mred \x1b[38;2;1;2;3mtrue\x1b[0m " + b"word " * 20 + b"\n"
    text = log_forms(RunLog(written(tmp_path, (0, line * 3), (1, b"end\n")))).text()
    console = Console(file=io.StringIO(), width=width, color_system=colours, force_terminal=colours is not None)
    console.print(text)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("\x1b[31m" in shown and "\x1b[38;2;1;2;3m" in shown) == (colours is not None) == ("\x1b" in shown)
    plain = Text.from_ansi(shown).plain.splitlines()
    assert all(len(line) <= width for line in plain) and sum("red true" in line for line in plain) == 3
    assert "".join(plain).count("word") == 60 and len(plain) == (5 if width == 140 else 11)


def test_folds_that_were_not_kept_are_counted_in_every_form(tmp_path: Path) -> None:
    source = taken(written(tmp_path, (0, b"".join(b"%d\n" % n * 5 for n in range(MAX_FOLDS + 8)))))
    state = excerpt(source, 1, 1).state
    assert (state["folds"], state["folds_missed"]) == (MAX_FOLDS, 7)
    assert "7 more folds not kept" in summary(state)


# -- live


class Told(LogView):
    """Remembers what it would have sent."""

    def send(self, content: dict[str, object], buffers: list[bytes] | None = None) -> None:
        self.__dict__.setdefault("sent", []).append((content, buffers))

    def calls(self, name: str, **arguments: object) -> tuple[dict[str, object], list[bytes] | None]:
        self._heard(None, {"call": 1, "name": name, "arguments": arguments}, [])
        return next((content, buffers) for content, buffers in reversed(self.sent) if "answer" in content)


def test_a_finished_log_is_told_once_and_then_no_more(tmp_path: Path) -> None:
    view = Told(LogSource(written(tmp_path, (0, b"one\ntwo\n" * 200))))
    assert view.updates.join(10) and view.updates.error is None
    pushes = [content["value"] for content, _ in view.sent if content.get("topic") == "log"]
    assert pushes[-1]["running"] is False and pushes[-1]["total"] == 400
    assert len(pushes[-1]["lines"]) <= 100 and pushes[-1]["lines"][-1] == {"n": 400, "t": START, "s": 0, "x": "two"}
    assert [push["seq"] for push in pushes] == list(range(1, len(pushes) + 1))


def test_calls_answer_slices(tmp_path: Path) -> None:
    view = Told(LogSource(written(tmp_path, (0, b"same\n" * 10 + b"other\n"), (1, HOSTILE))))
    assert view.updates.join(10)
    answer, _ = view.calls("log_lines", first=10, count=2)
    assert [line["x"] for line in answer["value"]["lines"]] == ["same", "other"]
    assert view.calls("log_folds", start=0)[0]["value"] == [{"kind": "repeat", "first": 1, "last": 10, "name": None}]
    assert view.calls("log_search", pattern="oth", start=1)[0]["value"]["number"] == 11
    assert view.calls("log_count", pattern="same", start=1)[0]["value"] == {"count": 10, "next": 12, "settled": 11}
    assert view.calls("log_state")[0]["value"]["total"] == 12
    answer, buffers = view.calls("log_raw", at=0)
    assert buffers == [b"same\n" * 10 + b"other\n" + HOSTILE]
    assert view.calls("log_raw", at=answer["value"]["next"])[0]["value"]["next"] is None
    assert "regular expression" in view.calls("log_search", pattern="(", start=1)[0]["error"]
    assert view.faults == []


def test_what_is_copied_comes_in_pieces(tmp_path: Path) -> None:
    view = Told(
        LogSource(written(tmp_path, (0, b"".join(b"\x1b[3%dm%d\n" % (n % 8, n) for n in range(1, 21))), (1, b"e")))
    )
    assert view.updates.join(10)
    assert view.calls("log_text", first=3, last=5)[0]["value"] == {"text": "3\n4\n5\n", "next": None}
    assert view.calls("log_text", first=20, last=99)[0]["value"] == {"text": "20\ne\n", "next": None}
    assert view.calls("log_text", first=90, last=99)[0]["value"] == {"text": "", "next": None}


def test_follows_a_run_until_it_is_over(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path)
    with record.held():
        view = Told(LogSource(record))
        append_to = LogWriter(str(record.log_path), str(record.index_path))
        deadline = time.monotonic() + 1.0
        count = 0
        while time.monotonic() < deadline:
            append_to.write(0, b"line\n" * 500, time.time())
            count += 500
            time.sleep(0.005)
        assert not view.updates.join(0)
    assert view.updates.join(10)
    pushes = [content["value"] for content, _ in view.sent if content.get("topic") == "log"]
    assert pushes[-1]["total"] == count and not pushes[-1]["running"]
    assert len(pushes) <= 40 and all(len(push["lines"]) <= 100 for push in pushes)


def test_a_closed_view_stops(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path)
    with record.held():
        view = Told(LogSource(record))
        view.close()
        assert view.updates.join(10)
