"""An access trace as two tables: the inputs by their use, and the searches with their places in order."""

from __future__ import annotations

from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.fs import AccessTrace
from tvixbuild_nb.fs.trace import InputAccess, Search
from tvixbuild_nb.widgets.kit import Html, tag
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.kit.tables import left_out, table

MAX_INPUTS = 200
MAX_SEARCHES = 100
MAX_PLACES = 12
_INPUTS = ("input", "use", "opened", "listed", "read", "not found")
_SEARCHES = ("looked for", "not in, in this order", "found as")


def accesses_html(trace: AccessTrace) -> Html:
    """The tables, bounded; what was not used and what was nowhere come first."""
    inputs = sorted(trace.inputs.items(), key=lambda pair: pair[1].used)
    searches = sorted(trace.searches, key=lambda search: search.found is not None)
    unused = f"{len(trace.unused)} of {len(inputs)} inputs were never used, {human(trace.bytes_read)} were read"
    return tag(
        "div",
        table(_INPUTS, [_input(name, each) for name, each in inputs[:MAX_INPUTS]], long={"input"}, caption=unused),
        left_out(len(inputs) - MAX_INPUTS, "inputs"),
        table(_SEARCHES, [_search(each) for each in searches[:MAX_SEARCHES]], long=_SEARCHES, caption="searches")
        if searches
        else None,
        left_out(len(searches) - MAX_SEARCHES, "searches"),
        tag("p", f"{trace.dropped:,} more misses were not taken down") if trace.dropped else None,
        [tag("p", f"fault: {fault}") for fault in trace.faults],
    )


def _input(name: str, each: InputAccess) -> tuple[Child, ...]:
    use = "used" if each.used else tag("b", "never used")
    counts = (f"{len(each.opened):,}", f"{len(each.listed):,}", human(each.bytes_read), f"{len(each.missing):,}")
    return tag("code", name), use, *counts


def _search(search: Search) -> tuple[Child, ...]:
    places = [tag("li", tag("code", place) if place else "beside the inputs") for place in search.tried[:MAX_PLACES]]
    more = len(search.tried) - MAX_PLACES
    return (
        tag("code", search.name),
        [tag("ol", places, style="margin:0"), f"and {more:,} more" if more > 0 else None],
        tag("b", "nowhere") if search.found is None else tag("code", search.found),
    )
