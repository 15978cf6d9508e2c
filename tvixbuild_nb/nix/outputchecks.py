"""What Nix 2.8 checks of a derivation's outputs before it registers them, in Nix's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from posixpath import basename
from typing import Any

from tvixbuild_nb.build.result import BuildOutput
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.errors import InvalidDerivation, InvalidStorePath, OutputError
from tvixbuild_nb.nix.attributes import Attributes, text, words
from tvixbuild_nb.nix.derivation import Derivation, Fixed
from tvixbuild_nb.nix.fixedoutput import check_fixed
from tvixbuild_nb.nix.modulo import derivation_path
from tvixbuild_nb.nix.nar import sum_of_node
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.produced import references_of
from tvixbuild_nb.nix.storepath import StorePath
from tvixbuild_nb.request import BuildRequest

_LISTS = ("allowedReferences", "allowedRequisites", "disallowedReferences", "disallowedRequisites")


@dataclass(frozen=True, slots=True)
class OutputRules:
    """What one output may be: lists of :data:`_LISTS` that are set, and sizes of its NAR and its closure in bytes."""

    lists: Mapping[str, tuple[str, ...]]
    ignore_self: bool
    max_size: int | None = None
    max_closure_size: int | None = None


def rules_of(derivation: Derivation) -> dict[str, OutputRules]:
    """Output name -> its rules; :class:`InvalidDerivation` for structured attributes of another shape."""
    attributes = Attributes.of(derivation)
    if attributes.structured is None:
        env = derivation.env
        lists = {name: tuple(words(text(env[name.encode()], name))) for name in _LISTS if name.encode() in env}
        return dict.fromkeys(derivation.outputs, OutputRules(lists, ignore_self=True))
    checks = _mapping(attributes.structured.get("outputChecks", {}), "outputChecks")
    return {name: _structured_rules(_mapping(checks.get(name, {}), name)) for name in derivation.outputs}


def _structured_rules(checks: Mapping[str, Any]) -> OutputRules:
    for name in _LISTS:
        value = checks.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise InvalidDerivation("this attribute is a list of strings", path=f"outputChecks.{name}")
    sizes = {name: checks.get(name) for name in ("maxSize", "maxClosureSize")}
    for name, size in sizes.items():
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
            raise InvalidDerivation("this attribute is a number of bytes", path=f"outputChecks.{name}")
    lists = {name: tuple(checks[name]) for name in _LISTS if name in checks}
    return OutputRules(lists, checks.get("ignoreSelfRefs") is True, sizes["maxSize"], sizes["maxClosureSize"])


def _mapping(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidDerivation("this attribute is an object", path=path)
    return value


class OutputChecks:
    """The checks of one derivation's outputs, to be called with the request and its outputs.

    Parameters: ``inputs``, what is known of the closure of its inputs; ``castore``, where the outputs are.
    """

    def __init__(self, derivation: Derivation, inputs: Mapping[StorePath, PathInfo], castore: Castore) -> None:
        self._derivation = derivation
        self._inputs = inputs
        self._castore = castore
        self._place = derivation.store_dir.join(derivation_path(derivation))
        self._rules = rules_of(derivation)

    def __call__(self, request: BuildRequest, outputs: Sequence[BuildOutput]) -> None:
        """:class:`OutputError` says in Nix's words what of an output is not as it must be."""
        found = {StorePath.parse(basename(output.path)): output for output in outputs}
        names = {output.path: name for name, output in self._derivation.outputs.items() if output.path in found}
        references = {path: references_of(request, output) for path, output in found.items()}
        self._check_cycles(names, references)
        for path, output in found.items():
            if path not in names:
                continue
            described = self._derivation.outputs[names[path]]
            if isinstance(described, Fixed):
                check_fixed(described, output.node, self._castore, self._place)
                if references[path]:
                    # Nix 2.8 registers it at another path than the derivation says; later versions refuse it so.
                    raise _refused(
                        path, f"illegal path references in fixed-output derivation '{self._place}'", references[path]
                    )
            _Closure(self, found, references, names).check(path, self._rules[names[path]])

    def _check_cycles(
        self, names: Mapping[StorePath, str], references: Mapping[StorePath, Sequence[StorePath]]
    ) -> None:
        graph = {
            path: [each for each in refers if each in names and each != path] for path, refers in references.items()
        }
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            here, there = (names[path] for path in error.args[1][:2])
            raise OutputError(
                f"cycle detected in build of '{self._place}' in the references of output '{here}' from output "
                f"'{there}'",
                path=here,
                hint="what both need belongs into one of them, or into a third output",
            ) from None


class _Closure:
    """One output beside the others and the inputs: what it reaches."""

    def __init__(
        self,
        checks: OutputChecks,
        outputs: Mapping[StorePath, BuildOutput],
        references: Mapping[StorePath, Sequence[StorePath]],
        names: Mapping[StorePath, str],
    ) -> None:
        self._inputs = checks._inputs
        self._castore = checks._castore
        self._store = checks._derivation.store_dir
        self._outputs = outputs
        self._references = references
        self._paths = {name: path for path, name in names.items()}

    def check(self, path: StorePath, rules: OutputRules) -> None:
        place = self._store.join(path)
        if rules.max_size is not None and (size := self._nar_size(path)) > rules.max_size:
            raise _refused(path, f"path '{place}' is too large at {size} bytes; limit is {rules.max_size} bytes")
        if rules.max_closure_size is not None:
            size = sum(map(self._nar_size, self._reached(path)))
            if size > rules.max_closure_size:
                limit = f"limit is {rules.max_closure_size} bytes"
                raise _refused(path, f"closure of path '{place}' is too large at {size} bytes; {limit}")
        for name in _LISTS:
            if name not in rules.lists:
                continue
            meant = {self._meant(word) for word in rules.lists[name]}
            recursive = name.endswith("Requisites")
            used = set(self._reached(path) if recursive else self._references[path])
            if recursive and rules.ignore_self:
                used.discard(path)
            bad = sorted(used - meant if name.startswith("allowed") else used & meant)
            if bad:
                lines = "".join(f"\n  {self._store.join(each)}" for each in bad)
                raise _refused(path, f"output '{place}' is not allowed to refer to the following paths:{lines}", bad)

    def _meant(self, word: str) -> StorePath:
        try:
            return self._store.parse(word)
        except InvalidStorePath:
            if word not in self._paths:
                message = f"derivation contains an illegal reference specifier '{word}'"
                raise OutputError(message, path=word, hint="a store path, or the name of an output") from None
            return self._paths[word]

    def _reached(self, path: StorePath) -> set[StorePath]:
        found, todo = {path}, [path]
        while todo:
            for each in self._refers(todo.pop()):
                if each not in found:
                    found.add(each)
                    todo.append(each)
        return found

    def _refers(self, path: StorePath) -> Iterable[StorePath]:
        return self._references[path] if path in self._references else self._input(path).references

    def _nar_size(self, path: StorePath) -> int:
        output = self._outputs.get(path)
        return self._input(path).nar_size if output is None else sum_of_node(self._castore, output.node).size

    def _input(self, path: StorePath) -> PathInfo:
        found = self._inputs.get(path)
        if found is None:  # somebody gave the sandbox another input
            message = f"{self._store.join(path)} is no input of the derivation: what it refers to is not known"
            raise OutputError(message, path=path.basename, hint="add it to the derivation, or give its rules up")
        return found


def _refused(path: StorePath, message: str, bad: Sequence[StorePath] = ()) -> OutputError:
    hint = f"run.why({bad[0].hash_part!r}) tells where the first of them stands" if bad else None
    return OutputError(message, path=path.basename, hint=hint)
