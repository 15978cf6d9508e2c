"""The sandboxes of one notebook: which there are, which is meant, which run was the last."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError

from tvixbuild_nb.request.model import did_you_mean
from tvixbuild_nb.sandbox import Run, Sandbox

DEFAULT = "sandbox"
RUN = "_run"


class Session:
    """Looks at the names of a shell; ``current`` is the name of the sandbox that magics mean."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.current: str | None = None

    @property
    def names(self) -> dict[str, Any]:
        found: dict[str, Any] = self.shell.user_ns
        return found

    def sandboxes(self) -> dict[str, Sandbox]:
        """Those that somebody gave a name; what IPython keeps of its own begins with an underscore."""
        return {
            name: value
            for name, value in list(self.names.items())
            if isinstance(value, Sandbox) and not name.startswith("_")
        }

    def use(self, name: str) -> Sandbox:
        """The sandbox called ``name`` is meant from now on."""
        found = self.named(name)
        self.current = name
        return found

    def named(self, name: str) -> Sandbox:
        value = self.names.get(name)
        if isinstance(value, Sandbox):
            return value
        there = self.sandboxes()
        hint = did_you_mean(name, there) if there else "%sandbox new makes one"
        what = "is no Sandbox" if name in self.names else "is not defined"
        raise UsageError(f"{name} {what}; {hint}")

    def sandbox(self) -> Sandbox:
        """The one that is meant; without a choice, the only one there is."""
        if self.current is not None and isinstance(self.names.get(self.current), Sandbox):
            return self.named(self.current)
        there = self.sandboxes()
        if len(there) == 1:
            return self.use(next(iter(there)))
        if not there:
            raise UsageError("there is no sandbox yet: %sandbox new --input NAME=PATH --output nix/store/out")
        raise UsageError(f"which sandbox? %sandbox use {'|'.join(sorted(there))}")

    def add(self, name: str, sandbox: Sandbox) -> None:
        """Call it ``name`` and mean it."""
        self.names[name] = sandbox
        self.current = name

    def run(self) -> Run:
        """The last run of the sandbox that is meant."""
        run = self.sandbox().last_run
        if run is None:
            raise UsageError("this sandbox has not run yet: %sandbox run, or a cell that begins with %%sandbox")
        return run

    def keep(self, run: Run, name: str | None = None) -> Run:
        """The notebook has the run as ``_run``, and under ``name``."""
        self.names[RUN] = run
        if name is not None:
            if not name.isidentifier():
                raise UsageError(f"{name!r} cannot be a variable's name")
            self.names[name] = run
        return run
