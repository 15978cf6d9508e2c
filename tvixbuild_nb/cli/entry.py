"""main(): from the command line to an exit status, without a traceback for anything foreseen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper

from tvixbuild_nb.cli.parsers import make_parser
from tvixbuild_nb.errors import InvalidAddress, InvalidValue, TvixBuildError

FAILED = 1
REFUSED = 2
# As a shell reports death by SIGINT and SIGPIPE.
INTERRUPTED = 130
BROKEN_PIPE = 141

Command = Callable[..., int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; ``argv`` without the program's name, None: this process's.

    0: it succeeded; 1: it failed; 2: the command line, or a value in it, was refused; 130: Ctrl-C;
    141: nobody reads the output any more.
    """
    _prepare_streams()
    args = make_parser().parse_args(argv)
    try:
        status = _command(args.command)(args)
        sys.stdout.flush()
        return status
    except TvixBuildError as error:
        return _failed(error, REFUSED if isinstance(error, InvalidValue | InvalidAddress) else FAILED)
    except BrokenPipeError:
        _forget_output()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        return _failed(error, FAILED)


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this process
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    for stream in (sys.stdout, sys.stderr):
        # Names need not be text in this terminal's encoding; they are shown escaped, not answered with an error.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _command(place: str) -> Command:
    module, _, name = place.partition(":")
    command: Command = getattr(import_module(f"tvixbuild_nb.cli.{module}"), name)
    return command


def _failed(error: Exception, status: int) -> int:
    from tvixbuild_nb.cli.screen import complain

    with suppress(BrokenPipeError):
        complain(error)
    return status


def _forget_output() -> None:
    """Let what is still buffered go nowhere: the interpreter would try to write it once more, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError, ValueError, OSError):
            stream.flush()
            continue
        with suppress(ValueError, OSError):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
