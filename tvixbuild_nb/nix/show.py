"""The JSON of ``nix derivation show`` (``nix show-derivation``), byte for byte as Nix 2.8 prints it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tvixbuild_nb.nix.derivation import Derivation, Fixed, Floating, Impure, Output
from tvixbuild_nb.nix.storepath import StorePath

_INDENT = "  "
_TO_ESCAPE = re.compile(r'["\\\x00-\x1f]')
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class ShownDerivations:
    """The JSON as text, ended by a newline, and what of the derivations it cannot tell.

    JSON holds text only: what is not UTF-8 stands there with replacement characters (Nix 2.8 puts the bytes as they
    are, later ones refuse), and ``warnings`` name each such place.
    """

    text: str
    warnings: tuple[str, ...]


def show_derivations(derivations: Mapping[StorePath, Derivation]) -> ShownDerivations:
    """The derivations at their paths, in the order given."""
    warnings: list[str] = []
    value = {
        derivation.store_dir.join(path): _Texts(path, warnings).of(derivation)
        for path, derivation in derivations.items()
    }
    return ShownDerivations("".join(_written(value, "\n")) + "\n", tuple(warnings))


class _Texts:
    """The text of a derivation's bytes; a warning for each that is none."""

    def __init__(self, path: StorePath, warnings: list[str]) -> None:
        self._path = path
        self._warnings = warnings

    def of(self, derivation: Derivation) -> dict[str, Any]:
        join = derivation.store_dir.join
        return {
            "outputs": {
                name: ({} if output.path is None else {"path": join(output.path)}) | _details(output)
                for name, output in derivation.outputs.items()
            },
            "inputSrcs": [join(path) for path in derivation.input_sources],
            "inputDrvs": {join(path): list(names) for path, names in derivation.input_derivations.items()},
            "system": self._text("system", derivation.system),
            "builder": self._text("builder", derivation.builder),
            "args": [self._text(f"args[{index}]", data) for index, data in enumerate(derivation.args)],
            # A list of pairs: two names may become one, and Nix prints both.
            "env": _Pairs(
                (
                    self._text("the name of a variable", key),
                    self._text(f"variable {key.decode('utf-8', 'replace')}", value),
                )
                for key, value in derivation.env.items()
            ),
        }

    def _text(self, what: str, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            text = data.decode("utf-8", "replace")
            self._warnings.append(f"{self._path}: {what} is not UTF-8, shown with replacement characters")
            return text


class _Pairs(tuple[tuple[str, str], ...]):
    """An object of JSON as its members."""


def _details(output: Output) -> dict[str, Any]:
    match output:
        case Fixed():
            return {"hashAlgo": output.hash_algorithm, "hash": output.hash.base16}
        case Floating():
            return {"hashAlgo": output.hash_algorithm}
        case Impure():
            return {"hashAlgo": output.hash_algorithm, "impure": True}
        case _:
            return {}


def _written(value: Any, line: str) -> Iterator[str]:
    """The pieces of a value's text; ``line`` begins a line at its own depth."""
    match value:
        case str():
            yield _string(value)
        case bool():
            yield "true" if value else "false"
        case dict():
            yield from _block("{}", line, ((f"{_string(key)}: ", each) for key, each in value.items()))
        case _Pairs():
            yield from _block("{}", line, ((f"{_string(key)}: ", each) for key, each in value))
        case _:
            yield from _block("[]", line, (("", each) for each in value))


def _block(brackets: str, line: str, members: Iterable[tuple[str, Any]]) -> Iterator[str]:
    inner = line + _INDENT
    empty = True
    yield brackets[0]
    for before, value in members:
        yield f"{inner if empty else ',' + inner}{before}"
        yield from _written(value, inner)
        empty = False
    yield brackets[1] if empty else line + brackets[1]


def _string(text: str) -> str:
    return f'"{_TO_ESCAPE.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return _SHORT_ESCAPES.get(character) or f"\\u{ord(character):04x}"
