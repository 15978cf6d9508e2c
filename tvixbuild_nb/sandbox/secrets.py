"""Environment variables whose values nobody is to see: which they are, and a mapping that does not show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.request.model import did_you_mean
from tvixbuild_nb.request.redactor import SHORTEST, Redactor

Values = Mapping[str, str | bytes]


class Environment(dict[str, str | bytes]):
    """The variables of a sandbox: a dict that holds the truth, and whose ``repr`` hides the values of ``secrets``."""

    def __init__(self, values: Values, secrets: Iterable[str] = ()) -> None:
        super().__init__(values)
        self.secrets = tuple(secrets)

    def __repr__(self) -> str:
        redactor = Redactor.of(self, self.secrets)
        shown = {
            name: value if name not in redactor.names else redactor.value(name, value) for name, value in self.items()
        }
        return repr(shown) if not redactor else redactor.text(repr(shown))


def check_secrets(environment: Values, names: Iterable[str]) -> None:
    """:class:`InvalidRequest` when a name is no variable of the build, or its value too short to be told from text."""
    for index, name in enumerate(names):
        if name not in environment:
            hint = did_you_mean(name, environment) if environment else "give it in env={...}"
            raise InvalidRequest(f"{name!r} is no variable of this build", path="secrets", index=index, hint=hint)
        if len(environment[name]) < SHORTEST:
            raise InvalidRequest(
                f"the value of {name!r} is shorter than {SHORTEST} characters: it would be found in every other word",
                path="secrets",
                index=index,
                hint="a longer value, or no secret",
            )
