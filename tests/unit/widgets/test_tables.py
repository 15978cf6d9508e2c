"""Tables of static forms: no box of theirs scrolls, for nobody could reach it by keys in an untrusted notebook."""

from __future__ import annotations

import re

import pytest

from tvixbuild_nb.widgets.kit.tables import left_out, table


def test_long_columns_break_and_nothing_scrolls_or_stays_on_one_line() -> None:
    shown = table(("kind", "digest"), [("<b>", "d" * 64)], long={"digest"}, caption="inputs & more")
    assert "&lt;b&gt;" in shown and "inputs &amp; more" in shown
    kind, digest = re.findall(r'<td style="([^"]*)"', shown)
    assert "overflow-wrap:anywhere" in digest and "overflow-wrap" not in kind
    assert not re.search(r"overflow(-[xy])?:|nowrap", shown)


def test_what_is_left_out_is_said() -> None:
    assert left_out(1200, "rows") == "<p><em>1,200 more rows are not shown</em></p>" and left_out(0, "rows") is None


def test_a_row_has_a_cell_for_every_column() -> None:
    with pytest.raises(ValueError):
        table(("one", "two"), [("only one",)], long=())
