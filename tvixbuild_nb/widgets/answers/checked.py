"""Whether a build gives the same again: which variation shows in its outputs, which files differ, where it began."""

from __future__ import annotations

from collections.abc import Iterator

from tvixbuild_nb.debug.diffoscope import Said
from tvixbuild_nb.debug.variations import VARIATIONS
from tvixbuild_nb.sandbox.checking import Cause, Checked
from tvixbuild_nb.widgets.changes.forms import PART, forms_with_trees
from tvixbuild_nb.widgets.changes.trees import TreeChanges
from tvixbuild_nb.widgets.kit import Forms, Html, tag
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.kit.tables import left_out, table

MAX_CAUSES = 20
MAX_OUTPUTS = 20
# Lines of what diffoscope says, and characters of each.
MAX_SAID = 200
MAX_LINE = 400
_HEAD = ("varied", "what", "does it show in the outputs?")
_PRE = "font-family:monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin:2px 0 2px 1.5em"


def checked_forms(checked: Checked) -> Forms:
    """How it shows itself; outputs can be opened as trees where there is a kernel."""
    trees = TreeChanges([checked.redactor])
    return forms_with_trees(str(checked), _html(checked, trees), trees)


def _html(checked: Checked, trees: TreeChanges) -> Html:
    count = len(checked.runs)
    verdict = f"✓ the outputs of {count:,} runs are the same"
    if not checked:
        verdict = f"✗ the build may not be deterministic: its outputs differ ({count:,} runs)"
    varied = [_varied(checked, name) for name in checked.vary]
    return tag(
        "div",
        tag("p", tag("b", verdict)),
        table(_HEAD, varied, long=("what",), caption="what was varied") if varied else tag("p", "nothing was varied"),
        [_cause(checked, cause, trees) for cause in checked.causes[:MAX_CAUSES]],
        left_out(len(checked.causes) - MAX_CAUSES, "causes"),
        tag("p", checked.unattributed) if checked.unattributed else None,
        [tag("p", f"not varied: {each}") for each in checked.not_varied],
        tag("details", tag("summary", f"the {count:,} runs"), tag("code", ", ".join(checked.runs))),
    )


def _varied(checked: Checked, name: str) -> tuple[Child, ...]:
    variation = VARIATIONS.get(name)
    return tag("code", name), "" if variation is None else variation.what, _shows(checked, name)


def _shows(checked: Checked, name: str) -> Child:
    if checked.together:
        return "not alone, only together with the others"
    for cause in checked.causes:
        if cause.variation is None:
            return "not known: they differ by themselves"
        if cause.variation.name == name:
            return tag("b", "yes" if cause.steady else "once, and not again: chance")
    return "no"


def _cause(checked: Checked, cause: Cause, trees: TreeChanges) -> Html:
    return tag("details", tag("summary", tag("b", cause.headline)), list(_parts(checked, cause, trees)), open=True)


def _parts(checked: Checked, cause: Cause, trees: TreeChanges) -> Iterator[Html | None]:
    hide = checked.redactor.text
    if cause.failure is not None:
        yield tag("p", f"the run did not succeed: {hide(cause.failure)}")
    if cause.looks_like is not None:
        yield tag("p", f"likely {cause.looks_like}")
    if cause.origin is not None:
        found = cause.origin
        # A file of an output is among what differs in that.
        drawn = None if found.diff is None or found.output else trees.html(found.path, found.diff)
        yield tag("div", hide(found.headline), drawn, style=PART)
    outputs = list(cause.outputs.items())
    for path, diff in outputs[:MAX_OUTPUTS]:
        said = cause.diffoscope.get(path)
        drawn = trees.html(path, diff, contents=said is None or not said.text)
        yield tag(
            "div",
            tag("b", "output "),
            tag("code", path),
            drawn,
            None if said is None else _said(checked, said),
            style=PART,
        )
    yield left_out(len(outputs) - MAX_OUTPUTS, "outputs that differ")


def _said(checked: Checked, said: Said) -> Html:
    lines = [checked.redactor.text(line)[:MAX_LINE] for line in said.lines()]
    text = "\n".join(lines[:MAX_SAID])
    more = left_out(len(lines) - MAX_SAID, "lines")
    return tag("details", tag("summary", "what diffoscope says"), tag("pre", text, style=_PRE), more)
