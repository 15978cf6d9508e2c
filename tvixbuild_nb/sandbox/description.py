"""What a Sandbox says of a build: its fields, and the request they make."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tvixbuild_nb.build import BuildResult, BuildService, host_system
from tvixbuild_nb.castore import Castore, Node
from tvixbuild_nb.castore.nodes import check_name
from tvixbuild_nb.errors import DependencyFailed, InvalidNode, InvalidRequest
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.request import BuildConstraints, BuildRequest
from tvixbuild_nb.request.model import did_you_mean
from tvixbuild_nb.sandbox.arguments import mapping, shell_command, texts
from tvixbuild_nb.sandbox.hostprogram import add_to_inputs, program_files
from tvixbuild_nb.sandbox.inputs import InputValue, Origins, origin_of, stored
from tvixbuild_nb.sandbox.run import Run
from tvixbuild_nb.sandbox.secrets import Environment, check_secrets
from tvixbuild_nb.sandbox.services import shared_builder, shared_store
from tvixbuild_nb.sandbox.watching import Watchers

if TYPE_CHECKING:
    from tvixbuild_nb.nix.closurebuild import ClosureBuild
    from tvixbuild_nb.nix.sources import PathSource

_BIN = os.path.realpath("/bin")
_ELSEWHERE = {"command_args": "command", "environment_vars": "env", "files": "additional_files"}


class Description:
    """A build as somebody describes it, field by field; :class:`Sandbox` is this and what can be done with it."""

    def __init__(
        self,
        command: str | Iterable[str] = (),
        *,
        outputs: Iterable[str] = (),
        env: Mapping[str, str | bytes] | None = None,
        inputs: Mapping[str, InputValue] | None = None,
        additional_files: Mapping[str, str | bytes] | None = None,
        working_dir: str = "build",
        scratch_paths: Iterable[str] = ("build", "nix/store"),
        inputs_dir: str = "nix/store",
        refscan_needles: Iterable[str] = (),
        system: str | None = None,
        min_memory: int = 0,
        available_ro_paths: Iterable[str] = (),
        network_access: bool = False,
        provide_bin_sh: bool = True,
        secrets: Iterable[str] = (),
        options: SpecOptions | None = None,
        store: Castore | str | None = None,
        builder: BuildService | str | None = None,
        builder_store: Castore | str | None = None,
        runtime: str | None = None,
        **unknown: Any,
    ) -> None:
        for name in unknown:
            raise _unknown(name)
        # What is set later is looked at when it is asked for.
        self.command: tuple[str, ...] = shell_command(command) if isinstance(command, str) else tuple(command)
        self.outputs = texts(outputs, "outputs")
        self.secrets = texts(secrets, "secrets")
        self.env: dict[str, str | bytes] = mapping(env, "env")
        self.additional_files = mapping(additional_files, "additional_files")
        self.working_dir = working_dir
        self.scratch_paths = texts(scratch_paths, "scratch_paths")
        self.inputs_dir = inputs_dir
        self.refscan_needles = texts(refscan_needles, "refscan_needles")
        self.system = system if system is not None else host_system()
        self.min_memory = min_memory
        self.available_ro_paths = texts(available_ro_paths, "available_ro_paths")
        self.network_access = network_access
        self.provide_bin_sh = provide_bin_sh
        if options is not None and not isinstance(options, SpecOptions):
            raise InvalidRequest(
                f"expected SpecOptions, not {type(options).__name__}", path="options", hint="SpecOptions.for_host(...)"
            )
        self.options = options
        self.runtime = runtime
        self.inputs: dict[str, Node] = {}
        self._origins = Origins()
        self.last_run: Run | None = None
        self._runs: list[Run] = []
        self._has_constraints = True
        self._store = store
        self._builder = builder
        self.builder_store = builder_store
        # What makes a build service check the outputs of the derivation that this came from.
        self._checked: Callable[[BuildService], BuildService] | None = None
        self._watchers: Watchers | None = None
        for name, value in (inputs or {}).items():
            self.add_input(name, value)

    # -- describing -------------------------------------------------------------------------------

    def add_input(self, name: str, value: InputValue, *, origin: str | None = None) -> Node:
        """Give the build a read-only input: a path (text or Path), bytes, a Tree of any store, or a node.

        Contents are stored at once; a node is taken as it is. Returns the node. ``origin`` is what :meth:`origin` says
        of it; None says it from ``value``.
        """
        try:
            check_name(os.fsencode(name))
        except InvalidNode as error:
            raise InvalidRequest(error.message, path="inputs", hint="an input's name is one path component") from None
        node = stored(value, self.store)
        self.inputs[name] = node
        self._origins.note(name, node, origin_of(value) if origin is None else origin)
        return node

    def origin(self, name: str) -> str | None:
        """Where the input of this name came from, in words; None when it came as a node, or is not there."""
        return self._origins.of(name, self.inputs.get(name))

    def add_file(self, path: str, contents: str | bytes) -> None:
        """Give the build a file at ``path`` inside: writable below a scratch path, read-only elsewhere."""
        self.additional_files[path] = contents

    def add_host_program(self, program: str, data: Iterable[str | os.PathLike[str]] = ()) -> tuple[str, ...]:
        """Give the build a program of this host with all it needs to start; the host paths that were taken.

        ``program`` is a name on PATH or a path. Its ELF interpreter, shared libraries and the links on
        the way come along, for a script its interpreter; what it opens later is not known to anybody: name
        it in ``data`` (files or directories, programs and libraries in them are followed too). With
        ``provide_bin_sh`` a program of /bin brings the host's /bin/sh as a place to mount the shell. Everything
        stands where the host has it, so ``inputs_dir`` must be ``""``. :class:`InvalidRequest` otherwise.
        """
        if self.inputs_dir != "":
            raise InvalidRequest(
                f"a host program must stand where the host has it, not below /{self.inputs_dir}",
                path="inputs_dir",
                hint="Sandbox(inputs_dir='') puts inputs at the root",
            )
        wanted = [os.fspath(path) for path in data]
        paths = program_files(program, wanted)
        if self.provide_bin_sh and any(os.path.dirname(os.path.realpath(path)) == _BIN for path in paths):
            # The sandbox's shell is mounted over /bin/sh, which then lies in a read-only input and must be there.
            paths = program_files(program, [*wanted, "/bin/sh"])
        before = self.inputs
        self.inputs = add_to_inputs(self.store, before, paths)
        for name, node in self.inputs.items():
            if before.get(name) != node:
                said = self._origins.of(name, before.get(name))
                self._origins.note(name, node, f"{said + '; ' if said else 'of this host: '}what {program} needs")
        return paths

    @property
    def constraints(self) -> BuildConstraints | None:
        """What the builder must be and offer."""
        if not self._has_constraints:
            return None
        return BuildConstraints(
            system=self.system,
            min_memory=self.min_memory,
            available_ro_paths=self.available_ro_paths,
            network_access=self.network_access,
            provide_bin_sh=self.provide_bin_sh,
        )

    @constraints.setter
    def constraints(self, constraints: BuildConstraints | None) -> None:
        self._has_constraints = constraints is not None
        for name, value in () if constraints is None else constraints:
            setattr(self, name, value)

    @property
    def request(self) -> BuildRequest:
        """The validated request; :class:`InvalidRequest` names field and position."""
        return BuildRequest(
            inputs=self.inputs,
            command_args=self.command,
            working_dir=self.working_dir,
            scratch_paths=self.scratch_paths,
            inputs_dir=self.inputs_dir,
            outputs=self.outputs,
            environment_vars=self.env,
            constraints=self.constraints,
            additional_files=self.additional_files,
            refscan_needles=self.refscan_needles,
        )

    @classmethod
    def from_request(cls, request: BuildRequest, **surroundings: Any) -> Self:
        """A sandbox that makes exactly this request; ``surroundings``: options, store, builder and the like."""
        constraints = request.constraints
        sandbox = cls(
            request.command_args,
            outputs=request.outputs,
            env=dict(request.environment_vars),
            inputs=dict(request.inputs),
            additional_files=dict(request.additional_files),
            working_dir=request.working_dir,
            scratch_paths=request.scratch_paths,
            inputs_dir=request.inputs_dir,
            refscan_needles=request.refscan_needles,
            **({} if constraints is None else dict(constraints)),
            **surroundings,
        )
        sandbox.constraints = constraints
        return sandbox

    @classmethod
    def from_derivation(
        cls,
        derivation: str | os.PathLike[str] | bytes,
        inputs: str | os.PathLike[str] | PathSource = "local",
        *,
        keys: Iterable[str] | None = None,
        store: Castore | str | None = None,
        jobs: int | None = None,
        cores: int = 0,
        impure: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        **surroundings: Any,
    ) -> Self:
        """A sandbox that runs the builder of a Nix derivation as Nix would; its inputs are in the store then.

        What is missing of them is built first, each a run of its own: :class:`DependencyFailed` when that fails.

        Parameters: ``derivation``, the path of a .drv file or what is in one; ``inputs``, where the closure of its
        inputs comes from: ``local`` (this host's Nix store), ``local?root=DIR``, ``file:///CACHE``, ``http://...``;
        ``keys`` (``name:base64``), whose signatures a binary cache's paths need (None: as nix.conf says);
        ``jobs``, how many of them to build at once (None: as many as there are CPUs); ``cores``, NIX_BUILD_CORES of
        each (0: all there are, as Nix has it); ``impure``, the values of impureEnvVars of fixed outputs; ``secrets`` as
        of any sandbox, hidden also in the runs of what is built first; ``surroundings`` as in :meth:`from_request`.
        What is not done here is refused by name.

        Outputs are checked as Nix does: a refused one makes the run fail, and is in ``run.rejected``. So it stays with
        another ``builder`` or ``runtime``; of a changed request the record does not name the derivation.
        """
        from tvixbuild_nb.nix.building import BuilderOptions
        from tvixbuild_nb.nix.opening import opened_derivation

        castore = store if isinstance(store, Castore) else shared_store(store)
        options = BuilderOptions(cores=cores, impure=impure or {})
        hidden = texts(secrets, "secrets")
        check_secrets(options.impure, [name for name in hidden if name in options.impure])
        with opened_derivation(derivation, castore, inputs, keys=keys, options=options) as opened:
            builder, runtime = surroundings.get("builder"), surroundings.get("runtime")
            if not isinstance(builder, BuildService):
                builder = shared_builder(builder, castore, runtime, surroundings.get("builder_store"))
            service = builder
            plan = opened.plan()
            if plan.steps:
                _built_first(opened.closure_build(plan, service, jobs=jobs, secrets=hidden))
            prepared = opened.prepare()
            request = prepared.request
            special = opened.service(service)
            checks = None if special is not None else opened.checked(service, prepared)
        own = [name for name in hidden if name in request.environment_vars or name not in options.impure]
        sandbox = cls.from_request(request, store=castore, secrets=own, **surroundings)
        if checks is not None:
            sandbox._checked = checks.checking(request)
        else:
            sandbox._builder = special
        return sandbox

    @property
    def checks(self) -> Callable[[BuildService], BuildService] | None:
        """What makes a build service check the outputs, of the sandbox of a derivation; None otherwise."""
        return self._checked

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the request as protobuf-JSON; contents of inputs stay in the store.

        A request knows of no derivation: what is loaded from it has its outputs unchecked, ``from_derivation`` does it.
        """
        Path(path).write_text(self.request.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str], **surroundings: Any) -> Self:
        """The sandbox of a request saved as protobuf-JSON; :class:`InvalidRequest` when it is none."""
        return cls.from_request(BuildRequest.from_json(Path(path).read_bytes()), **surroundings)

    @property
    def store(self) -> Castore:
        """The store of inputs and outputs; opened on first use."""
        if not isinstance(self._store, Castore):
            self._store = shared_store(self._store)
        return self._store

    @store.setter
    def store(self, store: Castore | str | None) -> None:
        self._store = store

    def watch(self, callback: Callable[[frozenset[str]], object]) -> Callable[[], None]:
        """Call ``callback(names)`` from another thread whenever fields changed, in place too; returns what cancels it.

        A bound method is held weakly. Changes within a fifth of a second come as one.
        """
        if self._watchers is None:
            self._watchers = Watchers(self, _ATTRIBUTES | {"_has_constraints"})
        return self._watchers.add(callback)

    def __getstate__(self) -> dict[str, Any]:
        # A copy is watched by nobody, and its next run is not this one's.
        return {**self.__dict__, "_watchers": None, "_runs": list(self._runs)}

    def __setattr__(self, name: str, value: object) -> None:
        if not (name.startswith("_") or name in _ATTRIBUTES):
            raise _unknown(name)
        if name == "env" and isinstance(value, Mapping):
            value = Environment(value, self.secrets)
        if name == "command" and isinstance(value, str):
            value = shell_command(value)
        super().__setattr__(name, value)
        if name == "secrets" and isinstance(env := self.__dict__.get("env"), Environment):
            env.secrets = self.secrets


_FIELDS = tuple(name for name in inspect.signature(Description).parameters if name != "unknown")
_ATTRIBUTES = frozenset(_FIELDS) | {"last_run", "constraints"}


def _unknown(name: str) -> InvalidRequest:
    known = _ELSEWHERE.get(name)
    hint = f"it is called {known!r} here" if known else did_you_mean(name, _FIELDS)
    return InvalidRequest("is no field of a sandbox", path=name, hint=hint)


def _built_first(build: ClosureBuild) -> None:
    """Build it; what :class:`DependencyFailed` has as its run can be asked as any other."""
    from tvixbuild_nb.sandbox.run import Run  # loaded when it has to be asked

    try:
        build.run()
    except DependencyFailed as error:
        if isinstance(error.run, BuildResult):
            error.run = Run.open(error.run.id)
        raise
