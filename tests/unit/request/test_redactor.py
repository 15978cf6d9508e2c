"""Secrets are found by value: whole, in other guises, over the borders of pieces; never half of one is shown."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvixbuild_nb.request import Redactor

SECRET = "s3cr/t \"q'é\\x"


def test_the_value_and_its_guises() -> None:
    redactor = Redactor({"TOKEN": SECRET})
    for guise in (
        SECRET,
        json.dumps(SECRET)[1:-1],
        repr(SECRET)[1:-1],
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        SECRET.replace("'", "'\"'\"'"),
    ):
        assert redactor.text(f"before {guise} after") == "before [secret TOKEN] after", guise
    assert SECRET not in repr(redactor)


def test_lines_of_a_value_alone_and_what_overlaps() -> None:
    assert Redactor({"KEY": "-----BEGIN\nabcdef\nxy\n"}).text("| abcdef |") == "| [secret KEY] |"
    both = Redactor({"A": "abcdX", "B": "XYZW"})
    assert both.text("_abcdXYZW_") == "_[secret A]_"
    assert Redactor({"A": "token", "B": "token-long"}).text("token-long token") == "[secret B] [secret A]"


def test_nothing_secret_changes_nothing() -> None:
    assert not Redactor() and Redactor().text("x") == "x"
    assert not Redactor({"A": "abc"}) and Redactor({"A": "abc"}).value("A", "abc") == "[secret A]"
    assert Redactor.of({"A": b"bytes!"}, ["A", "B"]).text("bytes!") == "[secret A]"


@given(st.lists(st.sampled_from(["abcdX", "XYZW", "abcd", "ab", "X", "cd\n", "Y"])), st.lists(st.integers(0, 7)))
def test_a_stream_shows_the_same_wherever_it_is_cut(words: list[str], cuts: list[int]) -> None:
    redactor = Redactor({"A": "abcdX", "B": "XYZW"})
    text, stream, shown = "".join(words), redactor.stream(), ""
    for length in cuts:
        shown += stream.feed(text[:length])
        text = text[length:]
    shown += stream.feed(text) + stream.finish()
    assert shown == redactor.text("".join(words))


@pytest.mark.parametrize("cut", range(1, 12))
def test_neither_side_of_a_gap_shows_a_part(cut: int) -> None:
    secret = "0123456789ab"
    stream = Redactor({"A": secret}).stream()
    shown = stream.feed(f"x{secret[:cut]}")
    stream.skip()
    shown += "|" + stream.feed(secret[cut:]) + stream.feed("\nnext\n") + stream.finish()
    assert shown == "x|next\n"
