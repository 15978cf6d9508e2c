"""What students see: feedback, hints, solutions; static, readable in light and dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_PRE = "font-family:monospace;white-space:pre-wrap"
# A tint that text of either theme can be read on.
_BOX = "border-left:4px solid {colour};background:{colour}1f;padding:6px 12px;margin:4px 0"
_BLUE, _GREEN = "#3f7fd0", "#2f9e44"


@dataclass(frozen=True, slots=True)
class Told:
    """Something about an exercise: a ``title``, a ``text``, and ``code`` where there is some."""

    title: str
    text: str = ""
    code: str = ""

    @property
    def colour(self) -> str:
        return _BLUE

    def __str__(self) -> str:
        return "\n".join(part for part in (self.title, self.text, self.code) if part)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from tvixbuild_nb.widgets.kit import Forms, tag  # loaded when it has to be shown

        def html() -> Any:
            return tag(
                "div",
                tag("b", self.title),
                [tag("div", line) for line in self.text.split("\n") if line],
                tag("pre", self.code, style=_PRE) if self.code else None,
                style=_BOX.format(colour=self.colour),
            )

        return Forms(text=lambda: str(self), html=html).bundle()


@dataclass(frozen=True, slots=True)
class Feedback(Told):
    """The answer was right; ``text`` says what is worth knowing about it."""

    @property
    def colour(self) -> str:
        return _GREEN
