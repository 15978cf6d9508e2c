"""HTML that is escaped by construction: text goes in as text, only :class:`Html` goes in as markup."""

from __future__ import annotations

import html
from collections.abc import Iterable

from tvixbuild_nb.escaping import visible

# The elements static forms are made of: JupyterLab keeps these, and inline styles, in notebooks it does not trust.
ELEMENTS = frozenset({
    "a", "b", "br", "caption", "code", "dd", "details", "div", "dl", "dt", "em", "h3", "h4", "hr", "i", "img", "input",
    "label", "li", "ol", "p", "pre", "s", "small", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td",
    "th", "thead", "tr", "ul",
})  # fmt: skip
_VOID = frozenset({"br", "hr", "img", "input"})


class Html(str):
    """Markup, already escaped."""

    __slots__ = ()


Child = str | Html | Iterable["Child"] | None


def tag(name: str, *children: Child, style: str | None = None, **attributes: str | int | bool | None) -> Html:
    """One element. Children that are no :class:`Html` are text: made visible, then escaped.

    Attributes are escaped; ``cls`` stands for ``class``, an underscore for a hyphen; None and False leave one out, True
    gives it no value. ``on*`` and unknown elements are refused with ValueError: no static form may need them.
    """
    if name not in ELEMENTS:
        raise ValueError(f"no element for static forms: {name!r}")
    given = {"style": style, **attributes}
    shown = []
    for key, value in given.items():
        key = "class" if key == "cls" else key.replace("_", "-")
        if key.startswith("on"):
            raise ValueError(f"no script in static forms: {key!r}")
        if value is None or value is False:
            continue
        shown.append(f" {key}" if value is True else f' {key}="{html.escape(visible(str(value)), quote=True)}"')
    if name in _VOID:
        return Html(f"<{name}{''.join(shown)}>")
    return Html(f"<{name}{''.join(shown)}>{fragment(*children)}</{name}>")


def volatile(kind: str, *children: Child) -> Html:
    """Something that is another every time, or on every host: who compares notebooks passes over it.

    ``kind``: ``seconds``, ``moment``, ``amount``, ``used`` (figures of usage), ``host`` (what only this host is like),
    ``pid``, ``subid`` (a subordinate id), ``presence`` (it may be missing altogether).
    """
    return tag("span", *children, data_volatile=kind)


def fragment(*children: Child) -> Html:
    """Several children without an element around them."""
    return Html("".join(map(_markup, children)))


def _markup(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return html.escape(visible(child, keep="\n\t"), quote=True)
    return "".join(map(_markup, child))
