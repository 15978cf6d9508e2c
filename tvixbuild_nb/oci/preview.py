"""Preview: what a request becomes, as one value that explains itself and can be compared."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci import facts
from tvixbuild_nb.oci.compare import Diff, Difference, differences, with_reason
from tvixbuild_nb.oci.deviations import Deviation, deviations
from tvixbuild_nb.oci.drawing import draw_config, one_line
from tvixbuild_nb.oci.explain import explain
from tvixbuild_nb.oci.explanation import Explanation, parts
from tvixbuild_nb.oci.hiding import hidden
from tvixbuild_nb.oci.options import SpecOptions
from tvixbuild_nb.oci.reasons import reason_against_run, reason_against_tvix
from tvixbuild_nb.oci.render import render_spec
from tvixbuild_nb.oci.runcspec import runc_spec
from tvixbuild_nb.oci.spec import Spec
from tvixbuild_nb.oci.table import MountTable, mount_table
from tvixbuild_nb.oci.validity import Validity, check_config
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.request.redactor import NOTHING_SECRET, Redactor

if TYPE_CHECKING:
    from rich.tree import Tree

Named = Literal["tvix", "runc", "last run"]
# Of what is printed: columns, lines, and of a command in a repr the characters.
_WIDTH, _LINES, _COMMAND = 120, 300, 60


class Described(Protocol):
    """What describes a build and changes: a Sandbox."""

    def preview(self) -> Preview: ...

    def watch(self, callback: Callable[[frozenset[str]], object]) -> Callable[[], None]: ...


class Configured(Protocol):
    """What has a config.json: a Run."""

    @property
    def config(self) -> Mapping[str, Any] | None: ...


Other: TypeAlias = "Named | Preview | Spec | Mapping[str, Any] | Described | Configured"


@dataclass(frozen=True)
class Preview:
    """A request rendered with options; shows itself as a tree in which every part is explained.

    ``redactor`` hides values of secret variables in everything but ``spec``, ``request`` and ``options``; ``origin``
    gives what it was made from while that exists, ``last_run`` the configuration that was run last, or None.
    """

    request: BuildRequest
    options: SpecOptions
    redactor: Redactor = field(default=NOTHING_SECRET, compare=False, repr=False)
    origin: Callable[[], Described | None] = field(default=lambda: None, compare=False, repr=False)
    last_run: Callable[[], Mapping[str, Any] | None] = field(default=lambda: None, compare=False, repr=False)

    @cached_property
    def spec(self) -> Spec:
        return render_spec(self.request, self.options)

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json as JSON data, fit to be shown."""
        shown: dict[str, Any] = self.hidden(self._config)
        return shown

    @cached_property
    def _config(self) -> dict[str, Any]:
        return self.spec.to_dict()

    @cached_property
    def explanations(self) -> dict[str, Explanation]:
        """What is to be said about every part, by JSON pointer."""
        return explain(self.request, self.options, self._config)

    @cached_property
    def deviations(self) -> tuple[Deviation, ...]:
        """Where this differs from Tvix, and why."""
        return deviations(self.options, self.request)

    @cached_property
    def deviating(self) -> dict[str, tuple[Deviation, ...]]:
        """The deviations that show in each part, by JSON pointer."""
        found: dict[str, tuple[Deviation, ...]] = {}
        for row in self._against_tvix:
            deviation = reason_against_tvix(row, self.deviations, self.options)
            if deviation is not None and deviation not in found.get(row.path, ()):
                found[row.path] = (*found.get(row.path, ()), deviation)
        return found

    def explained(self) -> Iterator[dict[str, Any]]:
        """Every part as JSON data, the outer ones first: ``path``, ``value``, what is to be said, ``deviations``."""
        for path, value in parts(self.config):
            explanation = self.explanations[path].to_dict()
            said = {key: self.redactor.text(text) for key, text in explanation.items() if key != "path"}
            yield {"path": path, "value": value, **said, "deviations": self.marks.get(path, [])}

    @cached_property
    def marks(self) -> dict[str, list[str]]:
        """The names of the deviations that show in each part, by JSON pointer."""
        return {path: [deviation.name for deviation in known] for path, known in self.deviating.items()}

    @cached_property
    def mounts(self) -> MountTable:
        return mount_table(self.request, self.options)

    @cached_property
    def validity(self) -> Validity:
        """Whether it is a valid configuration, and by what that was found out."""
        found = check_config(self._config)
        return replace(found, problems=tuple(map(self.redactor.text, found.problems)))

    @property
    def tvix(self) -> Preview:
        """The same request as Tvix renders it."""
        shell = self.options.sandbox_shell or facts.SANDBOX_SHELL
        return replace(self, options=SpecOptions.tvix(rootless=self.options.rootless, sandbox_shell=shell))

    def diff(self, other: Other = "tvix") -> Diff:
        """Where this differs from ``other``.

        ``other``: ``"tvix"`` (Tvix's rendering of the same request), ``"runc"`` (what ``runc spec`` writes), ``"last
        run"``, a Sandbox or a Preview, a Run, a Spec or a configuration as JSON data. :class:`InvalidSpec` when there
        is no such configuration, :class:`HostRefused` when runc is not there.
        """
        name, config, theirs = self._other(other)
        rows = self._against_tvix if other == "tvix" else differences(self._config, config)
        return Diff(name, tuple(self._explained(row, name, theirs) for row in rows))

    def _other(self, other: Other) -> tuple[str, Mapping[str, Any], Preview | None]:
        match other:
            case "tvix":
                return "Tvix's rendering", self.tvix._config, self.tvix
            case "runc":
                return "runc spec", runc_spec(), None
            case "last run":
                return "the last run", _existing(self.last_run()), None
            case Preview():
                return "the other sandbox", other._config, other
            case Spec():
                return "the other configuration", other.to_dict(), None
            case Mapping():
                return "the other configuration", other, None
        if isinstance(other, str):
            raise InvalidSpec(f"nothing to compare with is called {other!r}", hint="'tvix', 'runc' or 'last run'")
        make = getattr(other, "preview", None)
        if make is not None:
            return self._other(make())
        return "the run", _existing(getattr(other, "config", None)), None

    def _explained(self, row: Difference, other: str, theirs: Preview | None) -> Difference:
        reason = None
        if other == "Tvix's rendering":
            deviation = reason_against_tvix(row, self.deviations, self.options)
            reason = None if deviation is None else deviation.reason
        elif other in ("the last run", "the run"):
            reason = reason_against_run(row)
        ours = self.explanations.get(row.path) if row.kind != "theirs only" else None
        asked_by = None if ours is None else self.redactor.text(ours.asked_by)
        both = self._both_redacted(row, theirs)
        return with_reason(both, reason, asked_by)

    def _both_redacted(self, row: Difference, theirs: Preview | None) -> Difference:
        redactors = [self] if theirs is None else [self, theirs]
        ours, other = row.ours, row.theirs
        env = row.where.startswith("process.env[")
        for preview in redactors:
            ours, other = preview.hidden(ours, env), preview.hidden(other, env)
        return replace(row, ours=ours, theirs=other, where=self.redactor.text(row.where))

    @cached_property
    def _against_tvix(self) -> list[Difference]:
        return differences(self._config, self.tvix._config)

    def hidden(self, value: Any, env: bool = False) -> Any:
        """``value`` (JSON data) without the values of secret variables; ``env``: its texts are ``NAME=value``."""
        return hidden(value, self.redactor, env)

    def __str__(self) -> str:
        """The tree as text, at most 300 lines of it."""
        from rich.console import Console

        screen = Console(file=io.StringIO(), width=_WIDTH, color_system=None)
        with screen.capture() as capture:
            screen.print(self.__rich__())
        lines = [line.rstrip() for line in capture.get().splitlines()]
        more = [f"({len(lines) - _LINES:,} more lines not shown)"] if len(lines) > _LINES else []
        return "\n".join([*lines[:_LINES], *more])

    def __repr__(self) -> str:
        command = one_line(self.redactor.text(shlex.join(self.request.command_args)))
        return f"<Preview of {command if len(command) <= _COMMAND else f'{command[: _COMMAND - 1]}…'}>"

    def __rich__(self) -> Tree:
        from rich.text import Text
        from rich.tree import Tree

        tree = Tree(Text(f"config.json: {self.validity}"))
        return draw_config(tree, self.config, self.marks)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


def _existing(config: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if config is None:
        raise InvalidSpec("there is no configuration to compare with", hint="run the sandbox first")
    return config


register(Preview, plain)
