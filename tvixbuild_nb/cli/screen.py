"""How the commands write: rich for people, JSON for machines, and nothing in a name that could do harm."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from tvixbuild_nb.errors import TvixBuildError

# What a pipe or a file gets; a terminal has a width of its own.
PIPE_WIDTH = 160


def console(*, stderr: bool = False) -> Console:
    """A console for standard output (or error): colours only on a terminal, nothing guessed from the text."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)


def safe(text: str) -> str:
    """``text`` as one line that a terminal can take: whatever is not printable stands escaped."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode()


def write_json(value: Any) -> None:
    """One JSON value on standard output; ASCII only, bytes that are no UTF-8 as os.fsdecode has them."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=True)
    sys.stdout.write("\n")


def write_lines(lines: Iterable[Text]) -> None:
    """Line after line on standard output, never wrapped."""
    screen = console()
    if screen.is_terminal:
        for line in lines:
            screen.print(line, soft_wrap=True)
        return
    for line in lines:
        sys.stdout.write(f"{line.plain}\n")


def write_bytes(data: bytes | memoryview) -> None:
    """All of ``data`` on standard output, now; an unbuffered one (python -u) may take it in parts."""
    rest = memoryview(data)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) or 0 :]
    sys.stdout.buffer.flush()


def complain(error: Exception) -> None:
    """One message about ``error`` on standard error: where, what, and what to do about it."""
    text = Text("tvixbuild-nb: ", style="bold red")
    hint = None
    if isinstance(error, TvixBuildError):
        before = "".join(f"{safe(part)}: " for part in (error.stage, error.where) if part is not None)
        text.append(before + _lines(error.message), style="not bold default")
        hint = error.hint
    elif isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{safe(str(error.filename))}: "
        text.append(place + error.strerror, style="not bold default")
    else:
        text.append(_lines(str(error) or type(error).__name__), style="not bold default")
    if hint is not None:
        text.append(f"\n  hint: {_lines(hint)}", style="not bold default")
    screen = console(stderr=True)
    screen.print(text, soft_wrap=True)


def warn(message: str) -> None:
    """One line on standard error about something that is not as expected, and does not stop the command."""
    text = Text("tvixbuild-nb: ", style="bold yellow")
    text.append(f"warning: {safe(message)}", style="not bold default")
    console(stderr=True).print(text, soft_wrap=True)


def _lines(text: str) -> str:
    return "\n".join(map(safe, text.split("\n")))


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 file``, ``2 files``; ``many`` where an s is not enough."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def entries(count: int) -> str:
    """``1 entry``, ``2 entries``."""
    return counted(count, "entry", "entries")


def directories(count: int) -> str:
    """``1 directory``, ``2 directories``."""
    return counted(count, "directory", "directories")


def amount(count: int) -> str:
    """Bytes for people, exact below 10 kB."""
    from tvixbuild_nb.castore.progress import human

    return f"{count} B" if count < 10_000 else human(count)
