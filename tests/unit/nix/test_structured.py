"""Structured attributes as files: numbers, quoting, and what bash cannot hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tvixbuild_nb.errors import InvalidDerivation
from tvixbuild_nb.nix.structured import attributes_json, attributes_shell


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1.0, "1.0"),
        (2.5, "2.5"),
        (-0.0, "-0.0"),
        (1e14, "100000000000000.0"),
        (1e15, "1e+15"),
        (0.0001, "0.0001"),
        (1e-5, "1e-05"),
        (1e100, "1e+100"),
        (5e-324, "5e-324"),
        (1234567890123456.0, "1.234567890123456e+15"),
        (2**64 - 1, "18446744073709551615"),
        (10**30, "1e+30"),
        ("ü\x7f\n\x01/", '"ü\x7f\\n\\u0001/"'),
        ({"b": [], "a": {}}, '{"a":{},"b":[]}'),
    ],
)
def test_json_is_compact_and_numbers_are_written_as_nix_writes_them(value: object, written: str) -> None:
    assert attributes_json({"value": value}).decode() == f'{{"value":{written}}}'


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(2.0**-24)  # half-way between two of so many digits
def test_a_number_written_is_the_same_when_read(value: float) -> None:
    assert json.loads(attributes_json({"value": value})) == {"value": value}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("it's", "declare value='it'\\''s'\n"),
        (2.0, "declare value=2\n"),
        (2.5, ""),
        (2**31, "declare value=-2147483648\n"),
        (1e20, "declare value=-2147483648\n"),
        (None, "declare value=''\n"),
        (False, "declare value=\n"),
        ([1, "x", True], "declare -a value=(1 'x' 1 )\n"),
        ([], "declare -a value=()\n"),
        ([1, [2]], ""),
        ([1, 2.5], ""),
        ({"b c": 1, "a": ""}, "declare -A value=(['a']='' ['b c']=1 )\n"),
        ({"a": {}}, ""),
    ],
)
def test_bash_gets_what_it_can_hold(value: object, written: str) -> None:
    assert attributes_shell({"value": value, "no-name": 1}).decode() == written


def test_what_is_nested_without_end_is_refused() -> None:
    value: object = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidDerivation, match="too deeply"):
        attributes_json({"value": value})
    assert attributes_shell({"value": value}) == b""


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidDerivation):
        attributes_json({"value": "\ud800"})
