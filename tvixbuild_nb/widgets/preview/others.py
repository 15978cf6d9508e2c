"""What a preview can be compared with: Tvix, runc, the last run, and the notebook's other sandboxes by name."""

from __future__ import annotations

import sys
from typing import Any

from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci import Preview

FIXED = {"tvix": "Tvix's rendering", "runc": "runc spec", "last run": "the last run", "before": "the state before"}
PREFIX = "variable "


def choices(preview: Preview) -> list[tuple[str, str]]:
    """(key, what it is called) of everything that can be chosen now."""
    return [*FIXED.items(), *((PREFIX + name, name) for name in _sandboxes(preview))]


def chosen(preview: Preview, key: str, before: Preview | None) -> Any:
    """What :meth:`Preview.diff` compares with for a key of :func:`choices`."""
    if key == "before":
        if before is None:
            raise InvalidSpec("nothing has changed since this view was opened", hint="change the sandbox")
        return before
    if not key.startswith(PREFIX):
        return key
    name = key.removeprefix(PREFIX)
    found = _sandboxes(preview).get(name)
    if found is None:
        raise InvalidSpec(f"there is no sandbox called {name} any more")
    return found


def _sandboxes(preview: Preview) -> dict[str, Any]:
    """The notebook's variables that are what this preview was made from, but other ones."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    itself = preview.origin()
    if shell is None or itself is None:
        return {}
    return {
        name: value
        for name, value in dict(shell.user_ns).items()
        if not name.startswith("_") and isinstance(value, type(itself)) and value is not itself
    }
