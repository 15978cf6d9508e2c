"""The magics, put into a shell and taken out of it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.error import UsageError

from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.lab.magics.cell import run_cell
from tvixbuild_nb.lab.magics.completion import matcher
from tvixbuild_nb.lab.magics.session import Session
from tvixbuild_nb.lab.magics.verbs import act

NAME = "sandbox"
_matchers: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext tvixbuild_nb``: the shell has %sandbox and %%sandbox, with completion. Again is harmless."""
    unload_ipython_extension(shell)
    session = Session(shell)

    def sandbox_line(line: str) -> Any:
        """Describe a sandbox, run it, look at what came out; `%sandbox help` lists the verbs."""
        with _told():
            # In a notebook a semicolon keeps quiet what a line would show.
            return act(session, line.rstrip().removesuffix(";"))

    def sandbox_cell(line: str, cell: str) -> None:
        """Run the rest of the cell as a script in a sandbox."""
        with _told():
            run_cell(session, line, cell)

    shell.register_magic_function(sandbox_line, "line", NAME)
    shell.register_magic_function(sandbox_cell, "cell", NAME)
    if shell.Completer is not None:
        _matchers[shell] = matcher(session)
        shell.Completer.custom_matchers.append(_matchers[shell])


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext``: nothing of it is left in the shell; the sandboxes and runs are the notebook's."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop(NAME, None)
    known = _matchers.pop(shell, None)
    if known is not None:
        shell.Completer.custom_matchers.remove(known)


@contextmanager
def _told() -> Iterator[None]:
    """What is refused is a message for who wrote the line, not a traceback through this package."""
    try:
        yield
    except (TvixBuildError, OSError) as error:
        raise UsageError(str(error)) from None
