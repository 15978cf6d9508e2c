"""Colours of a log: what sequences add up to, how they go over from line to line, that every one can be read."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.logs import append, taken, written
from tvixbuild_nb.widgets.log.ansi import pieces, spans
from tvixbuild_nb.widgets.log.data import lines_data
from tvixbuild_nb.widgets.log.palette import CONTRAST, contrast, readable, rgb, themes, tinted
from tvixbuild_nb.widgets.log.sgr import applied, classes

colours = st.tuples(*[st.integers(0, 255)] * 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", [("plain", "")]),
        ("\x1b[31mred\x1b[0m not", [("red", "f1"), (" not", "")]),
        ("\x1b[1;4;97;41mx", [("x", "b f15 g1 u")]),
        ("\x1b[1mb\x1b[22mn\x1b[7mi\x1b[27mn", [("b", "b"), ("n", ""), ("i", "inv"), ("n", "")]),
        ("\x1b[7;31mx\x1b[44my", [("x", "g1"), ("y", "f4 g1")]),
        ("\x1b[38;5;9mx\x1b[38;5;196my\x1b[48;5;244mz", [("x", "f9"), ("y", "f#ff0000"), ("z", "f#ff0000 g#808080")]),
        ("\x1b[38;2;0;200;0mx\x1b[48:2::250:0:0my", [("x", "f#00c800"), ("y", "f#00c800 g#fa0000")]),
        ("\x1b[48:2:250:0:0mx\x1b[38:5:231my\x1b[39;49mz", [("x", "g#fa0000"), ("y", "f#ffffff g#fa0000"), ("z", "")]),
        ("\x1b[38;2;999;0;0mx\x1b[38;5;999my\x1b[38;2mz", [("x", "f#ff0000"), ("y", "f#eeeeee"), ("z", "f#000000")]),
        ("\x1b[4:3mx\x1b[4:0my\x1b[58;2;1;2;3mz\x1b[58:5:1m!", [("x", "u"), ("yz!", "")]),
        (" 10%\r 50%\r100%\r\r", [("100%", "")]),
        ("\x1b[31m 10%\r 50%", [(" 50%", "f1")]),
        ("a\x1b[2K\x1b[10;20Hb\x1b]8;;http://x\x1b\\c\x1b(Bd", [("abcd", "")]),
        ("\x1b]0;title without an end\x1b[32mx\x1bcy", [("x", "f2"), ("y", "")]),
        ("\x1b[999999999999m\x1b[38mx\x1b[38;9my\x1b[", [("xy", "")]),
        ("right \u202e left \x9b \x00", [(r"right \u202e left \x9b \x00", "")]),
        ("", []),
    ],
)
def test_terminal_output_becomes_styles(text: str, expected: list[tuple[str, str]]) -> None:
    assert spans(pieces(text)) == expected


@given(st.text(st.sampled_from("ab\x1b[]0m;:38\r\x07\\\x9b\u202e\t"), max_size=40))
def test_whatever_comes_nothing_is_left_that_acts(text: str) -> None:
    shown = spans(pieces(text))
    assert "".join(part for part, _ in shown).replace("\t", "").isprintable()
    assert all(re.fullmatch(r"[a-z0-9# ]*", names) for _, names in shown)
    assert all(part for part, _ in shown)


# -- from line to line


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1), st.lists(st.sampled_from(["a", "\x1b[31m", "\x1b[1m", "\x1b[0m", "\x1b]0;t", "\r"]))
        ),
        max_size=40,
    ),
    st.integers(0, 40),
)
def test_a_line_begins_as_the_one_before_of_its_stream_ended(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, list[str]]], pause: int
) -> None:
    lines = [(stream, "".join(part)) for stream, part in parts]
    chunks = [(stream, text.encode() + b"\n") for stream, text in lines]
    record = written(tmp_path_factory.mktemp("runs"), *chunks[:pause])
    source = taken(record)
    append(record, *chunks[pause:])
    while source.advance():
        pass
    left, expected = [0, 0], []
    for stream, text in lines:
        expected.append(spans(pieces(text, left[stream])))
        for codes in re.findall(r"\x1b\[([0-9]*)m", text):
            left[stream] = applied(left[stream], codes)
    # Out of order: each by itself.
    for number in reversed(range(1, len(lines) + 1)):
        (data,) = lines_data(source, source.lines(number, 1))
        found = [tuple(part) for part in data.get("p", [[data["x"], ""]] if data.get("x") else [])]
        assert found == expected[number - 1]


def test_a_colour_left_set_goes_on_also_in_a_line_without_an_end(tmp_path: Path) -> None:
    source = taken(written(tmp_path, (0, b"\x1b[35mone\ntwo\n"), (1, b"other\n"), (0, b"three")))
    found = [line.get("p") or line["x"] for line in lines_data(source, source.lines(1, 9))]
    assert found == [[["one", "f5"]], [["two", "f5"]], "other", [["three", "f5"]]]


def test_a_message_of_nix_neither_takes_nor_leaves_a_colour(tmp_path: Path) -> None:
    message = b'@nix {"action":"msg","msg":"\\u001b[32mgreen"}\n'
    source = taken(written(tmp_path, (0, b"\x1b[31mred\n" + message + b"still\n")))
    assert [line["p"] for line in lines_data(source, source.lines(1, 3))] == [
        [["red", "f1"]], [["green", "f2"]], [["still", "f1"]],
    ]  # fmt: skip


# -- to be read


@pytest.mark.parametrize(("theme", "page"), [(0, "#ffffff"), (1, "#111111"), (1, "#212121")])
def test_every_colour_can_be_read_on_every_background(theme: int, page: str) -> None:
    palette = themes()[theme].colours
    texts = [name for name in palette if not name.startswith("on-")]
    assert len(texts) == 17
    for text, ground in product(texts, ["page", *(f"on-{number}" for number in range(8))]):
        assert contrast(palette[text], palette.get(ground, rgb(page))) >= CONTRAST, (text, ground)


@given(colours, colours)
def test_any_colour_can_be_read_on_any_other_and_is_itself_where_it_can(text: tuple, ground: tuple) -> None:  # type: ignore[type-arg]
    shown = readable(text, ground)
    assert contrast(shown, ground) >= CONTRAST
    assert shown == text or contrast(text, ground) < CONTRAST


@given(
    st.one_of(st.none(), colours, st.integers(0, 15)), st.one_of(st.none(), colours, st.integers(0, 15)), st.booleans()
)
def test_what_is_sent_of_a_colour_can_be_read_in_both_themes(text: object, ground: object, dim: bool) -> None:
    def codes(base: int, colour: object) -> str:
        if isinstance(colour, tuple):
            return f"{base};2;" + ";".join(map(str, colour))
        return "" if colour is None else f"{base};5;{colour}"

    names = classes(
        applied(applied(applied(0, "2" if dim else ""), codes(38, text) or "39"), codes(48, ground) or "49")
    )
    sent = tinted(names)
    if isinstance(text, tuple) or isinstance(ground, tuple):
        (tint,) = [name for name in sent.split() if re.fullmatch("t[0-9a-f]{12}", name)]
        for theme, colour in zip(themes(), (f"#{tint[1:7]}", f"#{tint[7:]}"), strict=True):
            behind = theme.page
            if isinstance(ground, tuple):
                behind = ground
                assert f"o{bytes(ground).hex()}" in sent.split()
            elif ground is not None:
                behind = theme.colours[f"on-{ground % 8}"]  # type: ignore[operator]
            assert contrast(rgb(colour), behind) >= CONTRAST
    else:
        assert sent == names
