"""Lines of magics, as arguments; what is wrong with them is a message, never a traceback."""

from __future__ import annotations

import argparse
import shlex
from typing import Any, NoReturn

from IPython.core.error import UsageError


class Words(argparse.ArgumentParser):
    """A parser that neither prints nor exits: :class:`UsageError` says what is wrong and how it is meant."""

    def __init__(self, usage: str) -> None:
        super().__init__(usage=usage, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\nusage: {self.usage}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        self.error(message or "cannot be read")

    def read(self, line: str) -> Any:
        return self.parse_args(split(line))


def split(line: str) -> list[str]:
    """The words of a line, quoted as for a shell."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{line.strip()}: {str(error).lower()}") from None


def pair(text: str) -> tuple[str, str]:
    """``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value
