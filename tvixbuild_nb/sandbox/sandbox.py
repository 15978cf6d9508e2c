"""Sandbox: describe one build, see what it becomes, run it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from tvixbuild_nb.build import (
    BuildPolicy,
    BuildService,
    HostSide,
    Inputs,
    Isolation,
    Keep,
    isolation_of,
)
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.display import Presented, mimebundle, present
from tvixbuild_nb.oci import Deviation, MountTable, Preview, Spec, SpecOptions, deviations, mount_table, render_spec
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.sandbox.description import Description
from tvixbuild_nb.sandbox.history import RunHistory
from tvixbuild_nb.sandbox.printer import default_output
from tvixbuild_nb.sandbox.run import Run
from tvixbuild_nb.sandbox.services import shared_builder
from tvixbuild_nb.sandbox.trials import begin

if TYPE_CHECKING:
    from tvixbuild_nb.request import BuildRequest
    from tvixbuild_nb.sandbox.checking import Checked
    from tvixbuild_nb.sandbox.many import Many
    from tvixbuild_nb.sandbox.minimizing import Minimized


class Sandbox(Description):
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
    - ``builder_store``: the store of a builder elsewhere (``grpc+...``), a Castore or an address, where it is not at
      the builder's own address. Inputs that it lacks are uploaded, outputs are read from there.

    Nothing is checked before it is needed: :attr:`request` validates the whole and raises
    :class:`InvalidRequest` naming field and position. Rendering needs no store and no privilege.
    """

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

    # -- running ----------------------------------------------------------------------------------

    @property
    def builder(self) -> BuildService:
        """The build service, opened on first use; one of a derivation checks its outputs, whatever is set here."""
        service = self._builder
        if service is None or isinstance(service, str):
            service = shared_builder(service, self.store, self.runtime, self.builder_store)
        return service if self._checked is None else self._checked(service)

    @builder.setter
    def builder(self, builder: BuildService | str | None) -> None:
        self._builder = builder

    def start(
        self,
        *,
        timeout: float | None = None,
        silent_timeout: float | None = None,
        check: bool = False,
        keep: Keep = "failure",
        inputs: Inputs = "auto",
        strict: bool = False,
        observe: bool = False,
        trace: bool = True,
    ) -> Run:
        """Start the build and return its Run at once; see :class:`BuildPolicy` for the parameters.

        Raises what refuses the request on this host (:class:`HostRefused`, :class:`InvalidRequest`,
        :class:`InvalidSpec`); from then on failures are the run's. To bring inputs to a builder elsewhere is part of
        the run, and so is what that builder refuses afterwards. With ``check`` a wait for the run raises
        :class:`BuildFailed` when it did not succeed.
        """
        policy = BuildPolicy(
            timeout=timeout,
            silent_timeout=silent_timeout,
            keep=keep,
            inputs=inputs,
            strict=strict,
            observe=observe,
            trace=trace,
            options=self.options,
        )
        run = begin(self, self.request, policy, check=check)
        self.last_run = run
        self._runs.append(run)
        return run

    def run(
        self,
        *,
        timeout: float | None = None,
        silent_timeout: float | None = None,
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
            timeout=timeout,
            silent_timeout=silent_timeout,
            check=False,
            keep=keep,
            inputs=inputs,
            strict=strict,
            observe=observe,
            trace=trace,
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

    def map(self, requests: Iterable[BuildRequest | Sandbox], executor: Any = None, **how: Any) -> Many:
        """Build many requests with this sandbox's store, builder, runtime and options; see :func:`build_many`.

        ``executor``: who builds, None for this process; ``how``: ``timeout``, ``keep`` and the rest of its parameters.
        """
        from tvixbuild_nb.sandbox.many import build_many  # loaded when first asked

        here: dict[str, Any] = {"store": self.store, "runtime": self.runtime, "options": self.options}
        if "builder" not in how:
            here["builder"] = self._builder
            # One that is open has its store already, whatever is said here.
            here["builder_store"] = None if isinstance(self._builder, BuildService) else self.builder_store
        return build_many(requests, executor, **{**here, **how})

    def check(self, n: int = 3, vary: Iterable[str] | None = None, *, timeout: float | None = None) -> Checked:
        """Run the build ``n`` times in other surroundings, and tell whether its outputs are the same each time.

        Parameters: ``vary``, what is varied, None for all of ``hostname``, ``timezone``, ``locale``, ``order`` (in
        which directories are listed: inputs backwards, scratch directories as on a file system in memory, where there
        is room), ``cores`` (processors it may use, NIX_BUILD_CORES); ``timeout``, seconds for each run. The
        first run is as it is, the others begin two seconds of the clock later at most. When one differs, more runs
        find out what does it, and where in the scratch directories it began; diffoscope tells how, where it is on
        PATH. :class:`InvalidValue` for an unknown name, :class:`BuildFailed` when the first run fails.
        """
        from tvixbuild_nb.debug.variations import VARIATIONS, variations_named  # loaded when first asked
        from tvixbuild_nb.sandbox.checking import check_sandbox

        return check_sandbox(self, n, variations_named(VARIATIONS if vary is None else vary), timeout)

    def minimize(self, *, timeout: float | None = None) -> Minimized:
        """Find out which inputs the build does without: what it looks at in one run, proved by runs without the rest.

        ``timeout``: seconds for each run. Nothing is changed before :meth:`Minimized.apply`. :class:`BuildFailed` when
        the build fails as it is, :class:`HostRefused` where accesses cannot be recorded.
        """
        from tvixbuild_nb.sandbox.minimizing import minimize_sandbox  # loaded when first asked

        return minimize_sandbox(self, timeout)

    def history(self) -> RunHistory:
        """The runs this object started, in order, with what changed from one to the next; it grows with every run.

        Those of other processes and other sandboxes are in :func:`tvixbuild_nb.runs`. A copy has the runs until then.
        """
        return RunHistory(partial(tuple, self._runs), "runs of this sandbox")

    def __repr__(self) -> str:
        command = self.redactor.text(" ".join(self.command))
        shown = command if len(command) <= 60 else command[:59] + "…"
        inputs = f"{len(self.inputs)} input{'' if len(self.inputs) == 1 else 's'}"
        return f"<Sandbox {shown!r}: {inputs}, outputs {', '.join(self.outputs) or 'none'}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)
