"""Values of secrets are in nothing that leaves a log's view, however the build wrote them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.logs import append, taken, written
from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.widgets.log import LogSource
from tvixbuild_nb.widgets.log import search as searching
from tvixbuild_nb.widgets.log.data import lines_data
from tvixbuild_nb.widgets.log.excerpt import excerpt
from tvixbuild_nb.widgets.log.live import LogView
from tvixbuild_nb.widgets.log.shown import plain_lines, shown_lines
from tvixbuild_nb.widgets.log.static import log_html
from tvixbuild_nb.widgets.log.text import log_text

TOKEN = "hunter2-correct-horse"
KEY = "-----BEGIN-----\nab\nxyz\nQUJDRA==\n-----END-----"
REDACTOR = Redactor({"TOKEN": TOKEN, "KEY": KEY})


def shown(record: RunRecord) -> list[str]:
    source = taken(record, redactor=REDACTOR)
    lines = source.lines(1, 1000)
    texts = ["".join(text for text, _ in line.spans) for line in shown_lines(source, lines)]
    assert texts == plain_lines(source, lines)
    # Each line by itself hides the same.
    assert texts == [plain_lines(source, source.lines(line.number, 1))[0] for line in lines]
    return texts


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([(0, b"a hunter2-correct-horse b\n")], ["a [secret TOKEN] b"]),
        ([(0, b"a hunter2-cor"), (0, b"rect-horse b\n")], ["a [secret TOKEN] b"]),
        ([(0, b"a hunter2-cor\nrect-horse b\n")], ["a [secret TOKEN]", "[secret TOKEN] b"]),
        ([(0, b"a hunter2-cor\r\nrect-horse b\r\n")], ["a [secret TOKEN]", "[secret TOKEN] b"]),
        ([(0, b"h\nunter2\n"), (1, b"between\n"), (0, b"-correct\n-horse")],
         ["[secret TOKEN]", "[secret TOKEN]", "between", "[secret TOKEN]", "[secret TOKEN]"]),
        ([(0, b"a hunt\x1b[31mer2-correct\x1b[0m\n\x1b[1m-horse\x1b[0m b")], ["a [secret TOKEN]", "[secret TOKEN] b"]),
        ([(0, KEY.encode() + b"\nafter\n")], ["[secret KEY]"] * 5 + ["after"]),
        ([(0, b"x\n" + base64.b64encode(TOKEN.encode())[:10] + b"\n" + base64.b64encode(TOKEN.encode())[10:])],
         ["x", "[secret TOKEN]", "[secret TOKEN]"]),
        ([(0, b'@nix {"action":"msg","msg":"\\u0068unter2-correct-horse!"}\n')], ["[secret TOKEN]!"]),
        ([(0, b'@nix {"action":"msg","msg":"ab\\nxyz ' + b"\\n".join(KEY.encode().split(b"\n")) + b'"}\n')],
         ["ab xyz [secret KEY]"]),
        ([(0, b"10%\rhunter2-correct-horse\n")], ["[secret TOKEN]"]),
        ([(0, b"ab\nxyz\n")], ["ab", "xyz"]),
    ],
)  # fmt: skip
def test_values_are_found_over_lines_chunks_and_colours(
    tmp_path: Path, chunks: list[tuple[int, bytes]], expected: list[str]
) -> None:
    assert shown(written(tmp_path, *chunks)) == expected


@given(st.lists(st.integers(1, len(TOKEN) - 1), max_size=4, unique=True), st.integers(0, 3), st.booleans())
def test_wherever_a_value_is_folded_no_piece_of_it_is_shown(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], lines: int, coloured: bool
) -> None:
    parts, at = [], 0
    for cut in [*sorted(cuts), len(TOKEN)]:
        part = TOKEN[at:cut].encode()
        parts.append(b"\x1b[33m" + part + b"\x1b[m" if coloured else part)
        at = cut
    data = b"filler line\n" * lines + b"begin " + b"\n".join(parts) + b" end\n" + b"filler line\n" * lines
    found = shown(written(tmp_path_factory.mktemp("runs"), (0, data)))
    assert "".join(found).replace("filler line", "").replace("[secret TOKEN]", "") == "begin  end"


def test_a_value_cut_with_a_line_of_more_than_64_kib(tmp_path: Path) -> None:
    found = shown(written(tmp_path, (0, b"x" * ((1 << 16) - 9) + TOKEN.encode() + b"y\n")))
    assert [line[-20:] for line in found] == ["xxxxxx[secret TOKEN]", "[secret TOKEN]y"]


def test_what_may_become_a_value_is_held_back_until_it_is_known(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path)
    with record.held():
        append(record, (0, b"token: hunter2-co"), (1, b"other\n"))
        source = LogSource(record, redactor=REDACTOR)
        source.advance()

        def texts() -> list[tuple[str, bool]]:
            return [(line["x"], line.get("h", False)) for line in lines_data(source, source.lines(1, 9))]

        assert texts() == [("other", False), ("token: ", True)]
        append(record, (0, b"\n"))
        source.advance()
        assert texts() == [("other", False), ("token: ", True)]
        append(record, (0, b"rrect-horse\nhunter2-colours\nhunt"))
        source.advance()
        assert texts() == [
            ("other", False), ("token: [secret TOKEN]", False), ("[secret TOKEN]", False), ("hunter2-colours", False),
            ("", True),
        ]  # fmt: skip
    assert not source.is_running() and not source.advance()
    assert texts()[-1] == ("hunt", False)


def test_by_no_door(tmp_path: Path) -> None:
    phase = b'@nix {"action":"setPhase","phase":"' + b"p" * 190 + TOKEN.encode() + b'"}\n'
    lines = TOKEN.encode() + b"\n" + b"clear \x1b[31mred\x1b[0m\n" + b"pre hunter2-corr\nect-horse\n" + phase * 2
    record = written(tmp_path, (0, lines + KEY.encode() + b"\n" + (TOKEN.encode() + b"\n") * 9))
    sent: list[Any] = []

    class Told(LogView):
        def send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
            sent.append((content, buffers))

    view = Told(LogSource(record, redactor=REDACTOR))
    assert view.updates.join(10)
    calls: dict[str, dict[str, object]] = {
        "log_lines": {"first": 1, "count": 50}, "log_line": {"number": 3}, "log_state": {}, "log_folds": {"start": 0},
        "log_raw": {"at": 0}, "log_text": {"first": 1, "last": 50}, "log_search": {"pattern": "^", "start": 1},
    }  # fmt: skip
    for name, arguments in calls.items():
        view._heard(None, {"call": 1, "name": name, "arguments": arguments}, [])
    source = taken(record, redactor=REDACTOR)
    everything = repr(sent) + str(log_html(excerpt(source))) + log_text(excerpt(source)).plain
    for piece in ("hunt", "orrect", "horse", "BEGIN", "xyz", "QUJD"):
        assert piece not in everything
    assert "[secret TOKEN]" in everything and "[secret KEY]" in everything and view.faults == []
    saved = next(content["value"] for content, buffers in sent if buffers)
    assert saved["secrets"] and saved["hidden"] == 3 + 2 + 5 + 9
    assert b"clear \x1b[31mred\x1b[0m\n" in next(buffers[0] for _, buffers in sent if buffers)
    for pattern in ("hunter2", "correct", "xyz"):
        expression = searching.compiled(pattern)
        assert searching.find(view.log_source, expression, 1).number is None
        assert searching.count(view.log_source, expression, 1)[0] == 0
