"""Sandbox: describe one build, see what it becomes, run it."""

from __future__ import annotations

import inspect
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from tvixbuild_nb.build import (
    BuildContext,
    BuildPolicy,
    BuildService,
    HostSide,
    Inputs,
    Isolation,
    Keep,
    RunRecord,
    host_system,
    isolation_of,
)
from tvixbuild_nb.castore import Castore, DirectoryNode, FileNode, Node, SymlinkNode, Tree, copy_closure
from tvixbuild_nb.castore.nodes import check_name
from tvixbuild_nb.display import Presented, mimebundle, present
from tvixbuild_nb.errors import IngestError, InvalidNode, InvalidRequest
from tvixbuild_nb.oci import Deviation, MountTable, Preview, Spec, SpecOptions, deviations, mount_table, render_spec
from tvixbuild_nb.request import BuildConstraints, BuildRequest, Redactor
from tvixbuild_nb.request.model import did_you_mean
from tvixbuild_nb.sandbox.history import RunHistory
from tvixbuild_nb.sandbox.hostprogram import add_to_inputs, program_files
from tvixbuild_nb.sandbox.printer import default_output
from tvixbuild_nb.sandbox.run import Run
from tvixbuild_nb.sandbox.secrets import Environment, check_secrets
from tvixbuild_nb.sandbox.services import shared_builder, shared_store
from tvixbuild_nb.sandbox.watching import Watchers

InputValue = str | os.PathLike[str] | bytes | Tree | Node

_BIN = os.path.realpath("/bin")
_ELSEWHERE = {"command_args": "command", "environment_vars": "env", "files": "additional_files"}


class Sandbox:
    """One build, described step by step; every field is a keyword here and an attribute afterwards.

    Parameters:

    - ``command``: program and arguments; a string is run by ``/bin/sh -c``.
    - ``outputs``: paths (relative to the root inside, below a scratch path) to ingest afterwards.
    - ``env``: variables, text or UTF-8 bytes. ``inputs``: name -> path, bytes, Tree or node.
    - ``additional_files``: path -> text or bytes, there when the build starts.
    - ``working_dir``, ``scratch_paths``, ``inputs_dir``, ``refscan_needles``: as in BuildRequest.
    - ``system``, ``min_memory`` (bytes), ``available_ro_paths``, ``network_access``, ``provide_bin_sh``.
    - ``secrets``: names of variables whose values are never shown: not in printed logs, views, ``repr``, saved
      notebooks. They are found by value, so these must have 4 characters at least. What code asks for is the truth
      (``sb.env["TOKEN"]``, ``sb.request``, ``run.log.text()``), and so are the run's files on disk.
    - ``options``: a SpecOptions; None is what this host needs.
    - ``store``: a Castore or an address; ``builder``: a BuildService or an address; ``runtime``: runc or crun.

    Nothing is checked before it is needed: :attr:`request` validates the whole and raises
    :class:`InvalidRequest` naming field and position. Rendering needs no store and no privilege.
    """

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
        runtime: str | None = None,
        **unknown: Any,
    ) -> None:
        for name in unknown:
            raise _unknown(name)
        self.command = ("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command)
        self.outputs = _texts(outputs, "outputs")
        self.secrets = _texts(secrets, "secrets")
        self.env: dict[str, str | bytes] = _mapping(env, "env")
        self.additional_files = _mapping(additional_files, "additional_files")
        self.working_dir = working_dir
        self.scratch_paths = _texts(scratch_paths, "scratch_paths")
        self.inputs_dir = inputs_dir
        self.refscan_needles = _texts(refscan_needles, "refscan_needles")
        self.system = system if system is not None else host_system()
        self.min_memory = min_memory
        self.available_ro_paths = _texts(available_ro_paths, "available_ro_paths")
        self.network_access = network_access
        self.provide_bin_sh = provide_bin_sh
        if options is not None and not isinstance(options, SpecOptions):
            raise InvalidRequest(
                f"expected SpecOptions, not {type(options).__name__}", path="options", hint="SpecOptions.for_host(...)"
            )
        self.options = options
        self.runtime = runtime
        self.inputs: dict[str, Node] = {}
        self._origins: dict[str, tuple[Node, str]] = {}
        self.last_run: Run | None = None
        self._runs: list[Run] = []
        self._has_constraints = True
        self._store = store
        self._builder = builder
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
        node = self._ingest(value)
        self.inputs[name] = node
        said = _origin(value) if origin is None else origin
        if said is not None:
            self._origins[name] = (node, said)
        return node

    def origin(self, name: str) -> str | None:
        """Where the input of this name came from, in words; None when it came as a node, or is not there."""
        node, origin = self._origins.get(name, (None, None))
        return origin if node is not None and self.inputs.get(name) == node else None

    def _ingest(self, value: InputValue) -> Node:
        match value:
            case FileNode() | DirectoryNode() | SymlinkNode():
                return value
            case bytes():
                return self.store.ingest_bytes(value)
            case Tree():
                if value.castore.address != self.store.address or value.castore.local_path is None:
                    copy_closure(value.castore, self.store, value.node)
                return value.node
            case str() | os.PathLike():
                if isinstance(value, str) and not os.path.lexists(value):
                    raise IngestError(
                        "No such file or directory", path=value, hint="a text is a path; contents are bytes: b'...'"
                    )
                return self.store.ingest(value)
            case _:
                raise InvalidRequest(
                    f"an input is a path, bytes, a Tree or a node, not {type(value).__name__}", path="inputs"
                )

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
                known, said = self._origins.get(name, (None, ""))
                more = f"{said}; " if name in before and before[name] == known else "of this host: "
                self._origins[name] = (node, f"{more}what {program} needs")
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
        """A sandbox that makes exactly this request; ``surroundings`` are options, store, builder, runtime."""
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the request as protobuf-JSON; contents of inputs stay in the store."""
        Path(path).write_text(self.request.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str], **surroundings: Any) -> Self:
        """The sandbox of a request saved as protobuf-JSON; :class:`InvalidRequest` when it is none."""
        return cls.from_request(BuildRequest.from_json(Path(path).read_bytes()), **surroundings)

    def edit(self) -> Self:
        """This sandbox: as a cell's last line it shows itself as a form, where every field can be changed.

        What is valid there is written into the sandbox at once, and what Python changes appears there.
        """
        return self

    # -- seeing what it becomes -------------------------------------------------------------------

    @property
    def spec_options(self) -> SpecOptions:
        """How it is rendered here: ``options``, or what this host needs."""
        return self.options if self.options is not None else SpecOptions.for_host()

    @property
    def redactor(self) -> Redactor:
        """What takes the values of ``secrets`` out of text that somebody will see."""
        return Redactor.of(self.env, self.secrets)

    @property
    def spec(self) -> Spec:
        """The OCI runtime configuration this request becomes; needs no store and no privilege."""
        return render_spec(self.request, self.spec_options).hiding(self.redactor)

    def config_json(self) -> str:
        """The rendered config.json, indented."""
        return self.spec.to_json()

    def deviations(self) -> tuple[Deviation, ...]:
        """Where this rendering differs from Tvix's, and why; what ``options`` asked for is marked as the user's."""
        return deviations(self.spec_options, self.request)

    def mount_table(self) -> MountTable:
        """The mounts in order, each with where it comes from and what asked for it, and the tree of ``/`` they make."""
        lookup = self._store.directories.get if isinstance(self._store, Castore) else None
        return mount_table(self.request, self.spec_options, lookup=lookup)

    def preview(self) -> Preview:
        """What this becomes: config.json with every part explained, and its differences from Tvix's or another one.

        Displayed in a notebook it follows this sandbox. :class:`InvalidRequest` while there is nothing to render.
        """
        itself = weakref.ref(self)

        def last_config() -> Mapping[str, Any] | None:
            sandbox = itself()
            return None if sandbox is None or sandbox.last_run is None else sandbox.last_run.config

        return Preview(
            self.request,
            self.spec_options,
            redactor=self.redactor,
            origin=itself,
            last_run=last_config,
        )

    def isolation(self) -> Isolation:
        """What will keep the build's process apart, seen from the host and from inside; needs no store."""
        return isolation_of(self.spec, "isolation as planned", host=HostSide.here())

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

    # -- running ----------------------------------------------------------------------------------

    @property
    def store(self) -> Castore:
        """The store of inputs and outputs; opened on first use."""
        if not isinstance(self._store, Castore):
            self._store = shared_store(self._store)
        return self._store

    @store.setter
    def store(self, store: Castore | str | None) -> None:
        self._store = store

    @property
    def builder(self) -> BuildService:
        """The build service; opened on first use."""
        if self._builder is None or isinstance(self._builder, str):
            self._builder = shared_builder(self._builder, self.store, self.runtime)
        return self._builder

    @builder.setter
    def builder(self, builder: BuildService | str | None) -> None:
        self._builder = builder

    def start(
        self,
        *,
        timeout: float | None = None,
        check: bool = False,
        keep: Keep = "failure",
        inputs: Inputs = "auto",
        strict: bool = False,
        observe: bool = False,
        trace: bool = True,
    ) -> Run:
        """Start the build and return its Run at once; see :class:`BuildPolicy` for the parameters.

        Raises what refuses the request on this host (:class:`HostRefused`, :class:`InvalidRequest`,
        :class:`InvalidSpec`); from then on failures are the run's. With ``check`` a wait for the run raises
        :class:`BuildFailed` when it did not succeed.
        """
        policy = BuildPolicy(
            timeout=timeout,
            keep=keep,
            inputs=inputs,
            strict=strict,
            observe=observe,
            trace=trace,
            options=self.options,
        )
        request = self.request
        builder = self.builder
        check_secrets(request.environment_vars, self.secrets)
        record = RunRecord.create()
        if self.secrets:
            record.write_secrets(self.secrets)
        run = Run.begin(builder, request, BuildContext(record, policy), check=check)
        self.last_run = run
        self._runs.append(run)
        return run

    def run(
        self,
        *,
        timeout: float | None = None,
        check: bool = False,
        keep: Keep = "failure",
        inputs: Inputs = "auto",
        strict: bool = False,
        observe: bool = False,
        trace: bool = True,
        show: bool = True,
    ) -> Run:
        """Build, show it live, and return the Run when it is over, whether it succeeded or not.

        In a terminal that is the log as it comes; in a notebook a view of the run with stages, log and Cancel, which
        in the end is replaced by the verdict's form, also where nobody looks (nbclient, papermill).

        Parameters as for :meth:`start`; ``check`` raises :class:`BuildFailed` instead of returning a run
        that did not succeed; ``show`` False prints nothing. Ctrl-C or the notebook's stop button cancels
        the build and returns its (cancelled) run; a second one interrupts the waiting itself.
        """
        run = self.start(
            timeout=timeout, check=False, keep=keep, inputs=inputs, strict=strict, observe=observe, trace=trace
        )
        shown: Presented | None = None
        try:
            # Within the block: the first display loads the views, and who presses stop then means the build.
            shown = present(run) if show else None
            run.follow(default_output() if show and shown is None else None)
        except KeyboardInterrupt:
            run.cancel()
            run.follow(None)
            if show and shown is None:
                default_output().write(f"\nrun {run.id} was cancelled\n")
        finally:
            if shown is not None:
                shown.finish()
        if check:
            run.raise_for_status()
        return run

    def history(self) -> RunHistory:
        """The runs this object started, in order, with what changed from one to the next; it grows with every run.

        Those of other processes and other sandboxes are in :func:`tvixbuild_nb.runs`. A copy has the runs until then.
        """
        return RunHistory(partial(tuple, self._runs), "runs of this sandbox")

    def __setattr__(self, name: str, value: object) -> None:
        if not (name.startswith("_") or name in _ATTRIBUTES):
            raise _unknown(name)
        if name == "env" and isinstance(value, Mapping):
            value = Environment(value, self.secrets)
        super().__setattr__(name, value)
        if name == "secrets" and isinstance(env := self.__dict__.get("env"), Environment):
            env.secrets = self.secrets

    def __repr__(self) -> str:
        command = self.redactor.text(" ".join(self.command))
        shown = command if len(command) <= 60 else command[:59] + "…"
        inputs = f"{len(self.inputs)} input{'' if len(self.inputs) == 1 else 's'}"
        return f"<Sandbox {shown!r}: {inputs}, outputs {', '.join(self.outputs) or 'none'}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


def _texts(values: Iterable[str], field: str) -> tuple[str, ...]:
    if isinstance(values, str):
        raise InvalidRequest("expected several texts, not one", path=field, hint=f"{field}=[{values!r}]")
    return tuple(values)


def _mapping(values: Mapping[str, str | bytes] | None, field: str) -> dict[str, str | bytes]:
    if values is not None and not isinstance(values, Mapping):
        raise InvalidRequest("expected a mapping of names to values", path=field, hint=f"{field}={{'NAME': 'value'}}")
    return dict(values or {})


def _origin(value: InputValue) -> str | None:
    match value:
        case bytes():
            return f"{len(value)} bytes given in Python"
        case Tree():
            return f"{value} of {value.castore.address}"
        case str() | os.PathLike():
            return os.path.abspath(os.fsdecode(value))
        case _:
            return None


_FIELDS = tuple(name for name in inspect.signature(Sandbox).parameters if name != "unknown")
_ATTRIBUTES = frozenset(_FIELDS) | {"last_run", "constraints"}


def _unknown(name: str) -> InvalidRequest:
    known = _ELSEWHERE.get(name)
    hint = f"it is called {known!r} here" if known else did_you_mean(name, _FIELDS)
    return InvalidRequest("is no field of a sandbox", path=name, hint=hint)
