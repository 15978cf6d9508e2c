"""A log's views: lines by number, styles, folds, search, what is sent, the forms that do not move."""

from __future__ import annotations

import re
import time
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.keeper.log import LogWriter
from tvixbuild_nb.sandbox import RunLog
from tvixbuild_nb.sandbox.lines import MAX_LINE, LineAssembler
from tvixbuild_nb.widgets.kit.live import front
from tvixbuild_nb.widgets.log import LogSource, log_forms, search
from tvixbuild_nb.widgets.log.ansi import spans
from tvixbuild_nb.widgets.log.data import line_data, plain_line
from tvixbuild_nb.widgets.log.excerpt import excerpt
from tvixbuild_nb.widgets.log.folds import Fold, FoldFinder
from tvixbuild_nb.widgets.log.live import LogView
from tvixbuild_nb.widgets.log.source import SourceLine

HOSTILE = b"<img src=x onerror=alert(1)> \x1b]0;title\x07\x1b[2J\xe2\x80\xae\xff\x00 end"
START = 1_700_000_000.0


def written(runs: Path, *chunks: tuple[int, bytes]) -> RunRecord:
    """A record with these chunks (stream, bytes) in its log, a second apart."""
    record = RunRecord.create(runs)
    append(record, *chunks)
    return record


def append(record: RunRecord, *chunks: tuple[int, bytes]) -> None:
    writer = LogWriter(str(record.log_path), str(record.index_path))
    writer.size = record.log_path.stat().st_size
    for number, (stream, data) in enumerate(chunks):
        writer.write(stream, data, START + number)
    writer.close()


def taken(record: RunRecord, **options: object) -> LogSource:
    source = LogSource(record, **options)  # type: ignore[arg-type]
    while source.advance():
        pass
    return source


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
        assert source.raw_lines(line.number, 1) == [line.raw]
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


# -- styles


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", [("plain", "")]),
        ("\x1b[31mred\x1b[0m not", [("red", "f1"), (" not", "")]),
        ("\x1b[1;4;97;41mx", [("x", "b f15 g1 u")]),
        ("\x1b[1mb\x1b[22mn\x1b[7mi\x1b[27mn", [("b", "b"), ("n", ""), ("i", "inv"), ("n", "")]),
        ("\x1b[38;5;196mx", [("x", "f9")]),
        ("\x1b[38;2;0;200;0mx\x1b[48:2::250:0:0my", [("x", "f2"), ("y", "f2 g9")]),
        ("\x1b[38;5;244mx", [("x", "f8")]),
        (" 10%\r 50%\r100%\r\r", [("100%", "")]),
        ("\x1b[31m 10%\r 50%", [(" 50%", "f1")]),
        ("a\x1b[2K\x1b[10;20Hb\x1b]8;;http://x\x1b\\c\x1b(Bd", [("abcd", "")]),
        ("\x1b[999999999999m\x1b[38mx\x1b[", [("x", "")]),
        ("right \u202e left \x9b \x00", [(r"right \u202e left \x9b \x00", "")]),
        ("", []),
    ],
)
def test_terminal_output_becomes_styles(text: str, expected: list[tuple[str, str]]) -> None:
    assert spans(text) == expected


@given(st.text(st.sampled_from("ab\x1b[]0m;:38\r\x07\\\x9b\u202e\t"), max_size=40))
def test_whatever_comes_nothing_is_left_that_acts(text: str) -> None:
    shown = "".join(part for part, _ in spans(text))
    assert shown.replace("\t", "").isprintable()
    assert all(re.fullmatch(r"[a-z0-9 ]*", classes) for _, classes in spans(text))
    assert all(part for part, _ in spans(text))


def test_what_is_hidden_is_hidden_under_colours_too() -> None:
    def hide(text: str) -> str:
        return text.replace("secret", "[hidden]")

    assert plain_line(b"a secret", hide) == "a [hidden]"
    assert plain_line(b"a sec\x1b[31mret\x1b[0m", hide) == "a [hidden]"
    assert plain_line(b'@nix {"action":"msg","msg":"secret"}', hide) == "[hidden]"


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("theme", "page"), [(0, "#ffffff"), (1, "#111111"), (1, "#212121")])
def test_every_colour_can_be_read_on_every_background(theme: int, page: str) -> None:
    css = front("css", "log")
    css = css[css.index("--sgr-0:") :]
    palettes = [dict(re.findall(r"--sgr-([a-z0-9-]+): (#[0-9a-f]{6})", part)) for part in css.split(".vscode-dark")]
    palette = {**palettes[0], **palettes[theme]}
    texts = [name for name in palette if not name.startswith("on-")]
    assert len(texts) == 17
    for text, ground in product(texts, ["page", *(f"on-{number}" for number in range(8))]):
        light, dark = sorted((_luminance(palette[text]), _luminance(palette.get(ground, page))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


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
def test_what_only_looks_like_a_message_is_a_line(line: bytes) -> None:
    assert folds_of([line], 1) == ([], [])
    assert isinstance(plain_line(line), str)


# -- search


def test_search_goes_both_ways_and_in_pieces(tmp_path: Path) -> None:
    source = taken(written(tmp_path, (0, b"".join(b"line %d\n" % n for n in range(1, 5001))), (1, b"the end")))
    expression = search.compiled("LINE (7|3000)$", ignore_case=True)
    assert search.find(source, expression, 8).number == 3000
    assert search.find(source, expression, 3000).ranges == [(0, 9)]
    assert search.find(source, expression, 2999, backwards=True).number == 7
    assert search.find(source, expression, 6, backwards=True) == (None, 0, True, [])
    assert search.find(source, search.compiled("end"), 10**12, backwards=True).number == 5001
    at, steps = 1, 0
    while not (found := search.find(source, search.compiled("the end"), at, seconds=0)).done:
        assert found.next > at
        at, steps = found.next, steps + 1
    assert found.number == 5001 and steps > 1
    assert search.count(source, search.compiled("00$"), 1, seconds=9) == (50, 5001)


def test_backwards_over_lines_too_long_for_one_piece(tmp_path: Path) -> None:
    source = taken(written(tmp_path, (0, b"".join(b"%d " % n + b"x" * 60_000 + b"\n" for n in range(1, 20)))))
    assert search.find(source, search.compiled("^3 "), 19, backwards=True, seconds=9).number == 3


@pytest.mark.parametrize("pattern", ["(", "[a", "(a+)+", "(.*a)*b", "((a*))+", "(x{2,})+", "a" * 2000, "*"])
def test_bad_expressions_are_refused_in_words(pattern: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        search.compiled(pattern)
    assert refused.value.path == "search"


@pytest.mark.parametrize(
    "pattern", ["(ab)+", "error|warning", r"\(a+\)+", "[(*]+", "(a|b)*c", "a.*b.*c", "(foo+ )?bar"]
)
def test_usual_expressions_are_taken(pattern: str) -> None:
    search.compiled(pattern)


def test_a_costly_expression_on_a_long_line_is_bounded() -> None:
    began = time.perf_counter()
    search.matches(search.compiled("a.*b.*c"), b"a" * 60_000, None)
    assert time.perf_counter() - began < 20


# -- forms


def test_forms_are_bounded_and_harmless(tmp_path: Path) -> None:
    lines = b"".join(b"line %d\n" % n for n in range(10_000)) + b"w" * 50_000 + b"\n" + HOSTILE + b"\n"
    record = written(tmp_path, (0, lines), (1, b"\x1b[1mbold\x1b[0m and \x1b[31mred\x1b[0m"))
    bundle = log_forms(RunLog(record)).bundle()
    html, text = bundle["text/html"], bundle["text/plain"]
    assert "&lt;img src=x" in html and "<img" not in html and "<script" not in html
    assert "9,703 lines are not shown here" in html and "10,003 lines" in html
    assert "font-weight:bold" in html and "color:" not in html.replace("background", "")
    for form in (html, text):
        assert len(form) < 30_000 and r"\u202e" in form and "\x1b" not in form and "err" in form
    assert "9,953 lines not shown" in text


def test_an_excerpt_of_lines_too_wide_leaves_out_in_the_middle(tmp_path: Path) -> None:
    source = taken(written(tmp_path, (0, (b"x" * 60_000 + b"\n") * 20)))
    shown = excerpt(source)
    assert len(shown.first) + shown.left_out + len(shown.last) == 20
    assert all(line["more"] for line in [*shown.first, *shown.last])


def test_a_line_is_sent_no_wider_than_asked() -> None:
    data = line_data(SourceLine(1, 2.5, 0, b"\x1b[31m" + b"r" * 50 + b"\x1b[0m" + b"p" * 50), wide=60)
    assert data == {"n": 1, "t": 2.5, "s": 0, "p": [["r" * 50, "f1"], ["p" * 10, ""]], "more": 40}


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


def test_what_is_hidden_leaves_by_no_door(tmp_path: Path) -> None:
    record = written(tmp_path, (0, b"secret\n" * 20 + b'@nix {"action":"setPhase","phase":"secret"}\n'))
    view = Told(LogSource(record, hide=lambda text: text.replace("secret", "***")))
    assert view.updates.join(10)
    for name, arguments in {
        "log_lines": {"first": 1, "count": 50}, "log_line": {"number": 1}, "log_state": {}, "log_folds": {"start": 0},
        "log_raw": {"at": 0}, "log_search": {"pattern": "secret", "start": 1},
    }.items():  # fmt: skip
        view.calls(name, **arguments)
    assert "secret" not in repr(view.sent) and "***" in repr(view.sent)
    assert view.calls("log_search", pattern="secret", start=1)[0]["value"]["number"] is None
    assert "secret" not in repr(log_forms(RunLog(record), lambda text: text.replace("secret", "***")).bundle())


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
