"""Minimized: the inputs that a build does without, proposed by what it looked at and proved by runs without them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tvixbuild_nb.build import BuildPolicy
from tvixbuild_nb.castore import Castore, Digest, DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import HostRefused, InvalidValue
from tvixbuild_nb.escaping import visible
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox.run import Run
from tvixbuild_nb.sandbox.trials import same_outputs, tried

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Minimized:
    """Which inputs can go; nothing is changed before :meth:`apply`.

    ``removable``: names; ``needed``: those of which nothing was seen to be looked at (of a symlink that is never seen),
    and without which the outputs are others or the build fails; all others were looked at. ``base`` and ``proof``: ids
    of the run with all inputs and of the one without the removable ones (None: none can go); ``size``: bytes of the
    removable ones' contents, what occurs twice counted once; ``deterministic`` False: the outputs differ from run to
    run, so that nothing can be proved.
    """

    removable: tuple[str, ...]
    needed: tuple[str, ...]
    base: str
    proof: str | None
    deterministic: bool = True
    size: int = 0
    inputs: Mapping[str, Node] = field(default_factory=dict, repr=False)
    sandbox: Sandbox | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        return bool(self.removable)

    def apply(self) -> None:
        """Take the removable inputs out of the sandbox; :class:`InvalidValue` when its inputs are others by now."""
        sandbox = self.sandbox
        if sandbox is None or any(sandbox.inputs.get(name) != self.inputs[name] for name in self.removable):
            raise InvalidValue("the sandbox's inputs have changed since", path="inputs", hint="minimize it again")
        sandbox.inputs = {name: node for name, node in sandbox.inputs.items() if name not in self.removable}

    def __str__(self) -> str:
        text = "\n".join(self._lines())
        return text if self.sandbox is None else self.sandbox.redactor.text(text)

    def _lines(self) -> Iterator[str]:
        if not self.deterministic:
            yield f"outputs differ from run to run, so nothing can be proved (run {self.base}); sb.check() tells more"
            return
        if self.removable:
            entries = sum(_entries(self.inputs[name]) for name in self.removable)
            saved = f"{entries:,} {'entry' if entries == 1 else 'entries'}, {human(self.size)}"
            yield f"{len(self.removable)} of {len(self.inputs)} inputs can go ({saved}):"
            yield from (f"  {visible(name)}" for name in self.removable)
            yield f"proof: run {self.proof} without them has the outputs of run {self.base}"
            yield "apply() takes them out of the sandbox"
        elif self.inputs:
            looked = len(self.inputs) - len(self.needed)
            told = "all were looked at" if not self.needed else f"{looked} were looked at, the others are needed"
            yield f"none of the {len(self.inputs)} inputs can go: {told} (run {self.base})"
        else:
            yield f"there are no inputs (run {self.base})"
        for name in self.needed:
            seen = (
                "a symlink" if isinstance(self.inputs.get(name), SymlinkNode) else "though nothing of it was looked at"
            )
            yield f"needed, {seen}: {visible(name)}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        names = ("removable", "needed", "base", "proof", "deterministic", "size")
        return {name: list(value) if isinstance(value := getattr(self, name), tuple) else value for name in names}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(Minimized, plain)


def minimize_sandbox(sandbox: Sandbox, timeout: float | None = None) -> Minimized:
    """Find the inputs that the build of ``sandbox`` does without.

    :class:`BuildFailed` when it fails with all of them; :class:`HostRefused` where accesses cannot be recorded.
    """
    return _Minimizing(sandbox, sandbox.request, timeout).live()


class _Minimizing:
    def __init__(self, sandbox: Sandbox, request: BuildRequest, timeout: float | None) -> None:
        self._sandbox = sandbox
        self._request = request
        self._timeout = timeout
        self._base: Run | None = None
        self._proof: str | None = None
        self._needed: list[str] = []

    def live(self) -> Minimized:
        base = self._base = self._run(self._request, trace=True).raise_for_status()
        links = {name for name, node in self._request.inputs.items() if isinstance(node, SymlinkNode)}
        trace = base.accesses
        if trace is None and self._request.inputs.keys() - links:
            raise HostRefused("what the build looked at was not recorded", path="inputs", hint="it takes FUSE")
        # A symlink lies beside the view, where nobody sees who follows it: it is tried without.
        unseen = links if trace is None else links.union(trace.unused)
        removed = self._removable((), [name for name in self._request.inputs if name in unseen])
        if self._needed and not self._same(self._run(self._request)):
            return Minimized((), (), base.id, None, deterministic=False, inputs=self._request.inputs)
        inputs = self._request.inputs
        size = _contents(self._sandbox.store, [inputs[name] for name in removed])
        return Minimized(
            removed, tuple(self._needed), base.id, self._proof, size=size, inputs=inputs, sandbox=self._sandbox
        )

    def _removable(self, removed: tuple[str, ...], candidates: Sequence[str]) -> tuple[str, ...]:
        """``removed`` and those of the candidates that can go as well, by halving: most of them mostly can."""
        if not candidates:
            return removed
        tried = (*removed, *candidates)
        run = self._run(self._without(tried))
        if self._same(run):
            self._proof = run.id
            return tried
        if len(candidates) == 1:
            self._needed.extend(candidates)
            return removed
        middle = len(candidates) // 2
        return self._removable(self._removable(removed, candidates[:middle]), candidates[middle:])

    def _without(self, names: Sequence[str]) -> BuildRequest:
        inputs = {name: node for name, node in self._request.inputs.items() if name not in names}
        return self._request.replace(inputs=inputs)

    def _same(self, run: Run) -> bool:
        assert self._base is not None
        return same_outputs(self._base, run)

    def _run(self, request: BuildRequest, *, trace: bool = False) -> Run:
        policy = BuildPolicy(timeout=self._timeout, keep="never", trace=trace, options=self._sandbox.options)
        return tried(self._sandbox, request, policy)


def _contents(castore: Castore, nodes: Iterable[Node]) -> int:
    """Bytes of all files of these trees, each contents once."""
    sizes: dict[Digest, int] = {}
    for node in nodes:
        found: Iterable[Node] = [node]
        if isinstance(node, DirectoryNode):
            closure = castore.directories.get_closure(node.digest)
            found = (entry for directory in closure for entry in directory.entries.values())
        sizes.update((each.digest, each.size) for each in found if isinstance(each, FileNode))
    return sum(sizes.values())


def _entries(node: Node) -> int:
    return 1 + node.entry_count if isinstance(node, DirectoryNode) else 1
