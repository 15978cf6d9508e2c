"""The forms of differences: between requests, derivations and runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tvixbuild_nb.nix.compare import DerivationDiff
from tvixbuild_nb.request import Change, Changes
from tvixbuild_nb.sandbox.rundiff import RunDiff
from tvixbuild_nb.widgets.changes.rows import changes_table
from tvixbuild_nb.widgets.changes.trees import TreeChanges
from tvixbuild_nb.widgets.kit import Forms, Html, tag
from tvixbuild_nb.widgets.kit.difflines import diff_lines
from tvixbuild_nb.widgets.kit.tables import left_out
from tvixbuild_nb.widgets.preview.static import diff_table

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.kit.live import LiveView

MAX_DERIVATIONS = 50
MAX_OUTPUTS = 50
PART = "margin-top:8px"


def changes_forms(changes: Changes) -> Forms:
    """How the changes of a request show themselves."""
    caption = f"{len(changes):,} differences, the smallest first" if len(changes) > 1 else "1 difference"
    return Forms(
        text=lambda: str(changes),
        html=lambda: changes_table(changes, caption) if changes else tag("p", str(changes)),
    )


def derivation_diff_forms(diff: DerivationDiff) -> Forms:
    """How the differences of derivations show themselves: each that differs by itself, below the way to it."""
    return Forms(text=lambda: str(diff), html=lambda: _derivations_html(diff))


def _derivations_html(diff: DerivationDiff) -> Html:
    if not diff.found:
        return tag("p", str(diff))
    parts = [
        changes_table(each.changes, ["differs by itself: ", tag("b", " → ".join(each.way))])
        for each in diff.found[:MAX_DERIVATIONS]
    ]
    return tag("div", parts, left_out(len(diff) - MAX_DERIVATIONS, "derivations that differ"))


def run_diff_forms(diff: RunDiff) -> Forms:
    """How the differences of two runs show themselves; outputs can be opened as trees where there is a kernel."""
    trees = TreeChanges(diff.hide)
    markup = _run_html(diff, trees)
    return forms_with_trees(str(diff), markup, trees)


def forms_with_trees(text: str, markup: Html, trees: TreeChanges) -> Forms:
    """A form that does not change, and below it, where there is a kernel, the trees that it told of."""

    def live() -> LiveView:
        from tvixbuild_nb.widgets.tree.below import TreesBelow

        return TreesBelow(trees.roots)

    return Forms(text=lambda: text, html=lambda: markup, live=live if trees.roots else None, adds=True)


def _run_html(diff: RunDiff, trees: TreeChanges) -> Html:
    title = tag("p", "from run ", tag("code", diff.runs[0]), " to run ", tag("code", diff.runs[1]))
    return tag("div", title, list(_run_parts(diff, trees)) if diff else tag("p", "no difference"))


def _run_parts(diff: RunDiff, trees: TreeChanges) -> Iterator[Html | None]:
    names = (f"run {diff.runs[0]}", f"run {diff.runs[1]}")
    if diff.verdict:
        yield changes_table(diff.verdict, tag("b", "verdict"), names)
    if diff.request:
        yield changes_table(diff.request, tag("b", "request"), names)
    if diff.config:
        yield diff_table(diff.config, tag("b", "config.json"), names)
    if diff.log is not None:
        said = (tag("b", diff.log.field), ", the first that is not the same")
        yield tag("div", said, diff_lines(_lines(diff.log)), style=PART)
    shown = list(diff.outputs.items())[:MAX_OUTPUTS]
    for path, output in shown:
        yield tag("div", tag("b", "output "), tag("code", path), trees.html(path, output), style=PART)
    yield left_out(len(diff.outputs) - len(shown), "outputs that differ")


def _lines(change: Change) -> list[str]:
    sides = (("-", change.old), ("+", change.new))
    return [f"{sign}{text}" if text is not None else f"{sign} (no line)" for sign, text in sides]
