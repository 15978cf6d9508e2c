"""Questions: what can be asked about a run beyond what its record says; the answers are made in debug/ and nix/."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from tvixbuild_nb.castore import Castore, Node, Tree
from tvixbuild_nb.errors import InvalidValue, TvixBuildError
from tvixbuild_nb.request import BuildRequest, Redactor

if TYPE_CHECKING:
    from tvixbuild_nb.build import BuildOutput, BuildResult, RunRecord
    from tvixbuild_nb.build.records import RecordSize
    from tvixbuild_nb.debug import Explanation, Why
    from tvixbuild_nb.debug.processes import ProcessTree
    from tvixbuild_nb.debug.script import Script
    from tvixbuild_nb.fs import AccessTrace
    from tvixbuild_nb.nix import NixHash, StorePath
    from tvixbuild_nb.nix.nar import NarSum
    from tvixbuild_nb.nix.narinfo import NarInfo
    from tvixbuild_nb.oci import Spec
    from tvixbuild_nb.sandbox.answers import Answers, RecordedShell
    from tvixbuild_nb.sandbox.executing import Executed
    from tvixbuild_nb.sandbox.log import RunLog
    from tvixbuild_nb.sandbox.run import Run
    from tvixbuild_nb.sandbox.rundiff import RunDiff
    from tvixbuild_nb.sandbox.saving import SavedSize
    from tvixbuild_nb.sandbox.shell import Shell
    from tvixbuild_nb.sandbox.trees import Origin, RunTree


class Questions:
    """What :class:`Run` inherits; it has the attributes."""

    if TYPE_CHECKING:

        @property
        def result(self) -> BuildResult | None: ...

        @property
        def id(self) -> str: ...

        @property
        def record(self) -> RunRecord: ...

        @property
        def castore(self) -> Castore: ...

        @property
        def request(self) -> BuildRequest: ...

        @property
        def redactor(self) -> Redactor: ...

        @property
        def log(self) -> RunLog: ...

        @property
        def spec(self) -> Spec | None: ...

        @property
        def bundle(self) -> Path | None: ...

        @property
        def accesses(self) -> AccessTrace | None: ...

        def _origin(self, output: str, needles: tuple[str, ...]) -> Origin: ...

        def _tree(self, node: Node, name: str, origin: Origin) -> RunTree: ...

    def explain(self) -> Explanation:
        """Why it failed: causes with evidence, a cure and how sure that is; empty when nothing is wrong.

        Looks into the sandbox as it was mounted (inputs, host paths, kept scratch directories), at the verdict and the
        end of the log. ``str()`` is the full text, and says so where the cause is not known.
        """
        from tvixbuild_nb.debug import Explanation

        if self.result is None:
            return Explanation(otherwise="the run still goes on")
        return Explanation() if self.result.ok else self._explained

    def save(self, path: str | os.PathLike[str], *, outputs: bool = False, inputs: bool = False) -> SavedSize:
        """Keep this run as one portable file, which :meth:`Run.load` opens anywhere; how large it has become.

        Parameters: ``outputs``, ``inputs``: with their contents, so that they can be walked through there
        (:meth:`save_size` tells beforehand how much that is). The values of ``sb.secrets`` are not in it: they are
        replaced in the request, config.json, log, messages and answers, and contents that hold one are refused. The
        request's digest is kept, by which who guesses a value can tell that it is right. Raises :class:`InvalidValue`
        for that, and while the run goes on; :class:`NotFound` for contents that the store has no more.
        """
        from tvixbuild_nb.sandbox.saving import save_run  # loaded when first asked

        return save_run(cast("Run", self), path, outputs=outputs, inputs=inputs)

    def save_size(self) -> RecordSize:
        """How large a record of this run would be, before compression: its own files, outputs, inputs."""
        from tvixbuild_nb.build.records import record_size

        return record_size(self.record, self.castore)

    def replay(self, speed: float = 1.0, *, max_pause: float | None = None, output: TextIO | None = None) -> None:
        """Write the log as it came, at its own speed, to ``output`` (None: where live logs go).

        Parameters: ``speed``: 2 is twice as fast; ``max_pause``: no pause is longer than so many seconds. Harmless to
        terminals, without secrets.
        """
        from tvixbuild_nb.sandbox.replaying import replay_log

        replay_log(cast("Run", self), speed, max_pause, output)

    @cached_property
    def _explained(self) -> Explanation:
        from tvixbuild_nb.debug.explaining import MAX_CHARACTERS, MAX_LINES, explain_run
        from tvixbuild_nb.sandbox.saving import saved_explanation

        result = self.result
        saved = saved_explanation(self.record)
        if saved is not None:
            return saved
        castore, accesses, unseen = None, None, []
        # Of a run whose process died it is not known which store it had.
        if result is not None and result.status != "cancelled":
            try:
                castore = self.castore
            except (TvixBuildError, OSError) as error:
                unseen.append(f"the inputs, for the store {result.store} cannot be opened: {error}")
        try:
            accesses = self.accesses
        except (InvalidValue, OSError) as error:
            unseen.append(f"what the build looked for: {error}")
        log = [(line.number, line.text[:MAX_CHARACTERS]) for line in self.log.tail(MAX_LINES)]
        return explain_run(
            result, self.request, castore, spec=self.spec, bundle=self.bundle, log=log, redactor=self.redactor,
            searches=() if accesses is None else accesses.searches, processes=self.processes(),
            derivation=self.record.read_origin().get("deriver"), unseen=tuple(unseen),
        )  # fmt: skip

    def _advice(self, result: BuildResult) -> str | None:
        """What to say below the verdict: the first finding where one is likely, else what the verdict advises."""
        first = None if result.ok else self._explained.first
        if first is None:
            return result.hint and self.redactor.text(result.hint)
        return first.brief

    def exec(
        self,
        command: Sequence[str] | str,
        *,
        fresh: bool = False,
        timeout: float | None = None,
        tools: Sequence[str] = (),
        output: TextIO | None = None,
    ) -> Executed:
        """Execute a command in the sandbox of this run: into it while it goes on, else in the same one again.

        Same mounts, ids and variables. Parameters: ``command``, program and arguments, or a text for a shell inside;
        ``fresh``, with the scratch directories as at the start instead of as they were left (by the run, or by who
        entered last); ``timeout`` in seconds; ``tools``, programs of this host that the sandbox lacks; ``output`` is
        shown what is written as it comes. What the command changes stays. Raises what
        :func:`~tvixbuild_nb.sandbox.entering.entrance` raises. A recorded run answers what was asked of it before it
        was saved, the same question in the same order; anything else is :class:`NotRecorded`.
        """
        from tvixbuild_nb.sandbox.answers import Asked, note
        from tvixbuild_nb.sandbox.entering import entrance  # loaded when first asked
        from tvixbuild_nb.sandbox.executing import execute
        from tvixbuild_nb.sandbox.shells import words_of

        asked = Asked("exec", command if isinstance(command, str) else tuple(command), tuple(tools), fresh)
        if self.result is not None and self.result.recorded is not None:
            return self._answers.answer(asked, output)
        began = time.monotonic()
        with entrance(cast("Run", self), fresh=fresh, tools=tools) as sandbox:
            done = execute(sandbox, words_of(sandbox, command), timeout=timeout, output=output)
        note(asked, done, time.monotonic() - began)
        return done

    @cached_property
    def _answers(self) -> Answers:
        from tvixbuild_nb.sandbox.answers import Answers

        return Answers(cast("Run", self))

    def shell(
        self, *, fresh: bool | None = None, phase: str | None = None, tools: Sequence[str] = ()
    ) -> Shell | RecordedShell:
        """A shell in the sandbox of this run, as :meth:`exec`; ``sh("command")`` executes one after the other in it.

        Parameters: ``phase``, of stdenv: from the start, all phases before it are run, and the shell has their
        variables and functions; the rest as for :meth:`exec`. ``tvixbuild-nb shell`` is the same on a terminal. Close
        it, or use it as a context manager. Raises what :func:`~tvixbuild_nb.sandbox.entering.entrance` and
        :func:`~tvixbuild_nb.sandbox.shells.shell_for` raise. In a recorded run the shell answers what it was told then.
        """
        from tvixbuild_nb.sandbox.shell import Shell, begins_anew  # loaded when first asked

        if self.result is not None and self.result.recorded is not None:
            from tvixbuild_nb.sandbox.answers import RecordedShell

            return RecordedShell(cast("Run", self), self._answers, begins_anew(fresh, phase), phase, tuple(tools))
        return Shell.begin(cast("Run", self), fresh=fresh, phase=phase, tools=tools)

    def processes(self) -> ProcessTree | None:
        """Who waits for what in the sandbox: now, or when time was up; None for a run that was not ended for that.

        :class:`HostRefused` while a run that goes on has no sandbox (yet, or any more).
        """
        from tvixbuild_nb.debug.processes import process_tree  # loaded when first asked
        from tvixbuild_nb.keeper.visiting import look
        from tvixbuild_nb.sandbox.entering import door_of

        if self.result is None:
            facts = look(door_of(cast("Run", self)))
            return process_tree(facts, "now", time.time(), self.redactor)
        noted = self.record.read_processes()
        return None if noted is None else process_tree(noted[1], "when time was up", noted[0], self.redactor)

    def why(self, needle_or_input: str | bytes | Node) -> Why:
        """Where in the outputs a reference stands: file, offset and context, targets of symlinks and names too.

        An input is given by its name, its path inside or its node: then it is looked for as its needle. Nothing is
        found where there are no outputs, since the run failed or goes on. Raises :class:`InvalidValue` for an empty
        needle and a node that is no input, :class:`NotFound` for what the store has no more.
        """
        from tvixbuild_nb.debug import needle_of, why  # loaded when first asked

        outputs = {path: output.node for path, output in self._produced().items()}
        return why(self.castore, outputs, needle_of(self.request, needle_or_input), self.redactor)

    def diff(self, other: Run) -> RunDiff:
        """What changed from this run to ``other``: verdict, request, config.json, log, outputs; smallest changes first.

        :class:`InvalidValue` while one of them goes on.
        """
        from tvixbuild_nb.sandbox.rundiff import run_diff  # loaded when first asked

        return run_diff(cast("Run", self), other)

    def script(self, path: str | os.PathLike[str] | None = None) -> Script:
        """A shell script that reproduces the run with plain runc, its bundle included; written to ``path`` if given.

        Values of secrets are not in it: it asks for them. :class:`InvalidValue` for a run that never had a
        configuration, :class:`NotFound` for inputs that the store has no more.
        """
        from tvixbuild_nb.debug.script import script_of  # loaded when first asked

        spec = self.spec
        if spec is None:
            raise InvalidValue("the run never had a configuration", path="run", hint="it was refused before that")
        script = script_of(self.id, self.request, spec, self.castore, self.redactor)
        if path is not None:
            script.write(path)
        return script

    @property
    def rejected(self) -> Mapping[str, Tree]:
        """Output path -> its tree, of outputs that were made and not taken since a check refused one; else empty."""
        from tvixbuild_nb.sandbox.trees import Rejected

        outputs = () if self.result is None else self.result.rejected
        names = self.request.refscan_needles if outputs else ()
        found = {}
        for output in outputs:
            origin = self._origin(output.path, tuple(names[index] for index in output.needles))
            found[output.path] = self._tree(output.node, os.path.basename(output.path), origin)
        return Rejected(found, str(self))

    @property
    def references(self) -> Mapping[str, tuple[StorePath, ...]]:
        """Output path -> the store paths among outputs and inputs whose hash part was found in it, sorted."""
        from tvixbuild_nb.nix.produced import references_of

        return {path: references_of(self.request, output) for path, output in self._produced().items()}

    @property
    def nar_hash(self) -> Mapping[str, NixHash]:
        """Output path -> the SHA-256 of its NAR, by which Nix knows it; computed once, which reads all of it."""
        return {path: self._nar_sum(output).hash for path, output in self._produced().items()}

    @property
    def nar_size(self) -> Mapping[str, int]:
        """Output path -> the bytes of its NAR; as :attr:`nar_hash`."""
        return {path: self._nar_sum(output).size for path, output in self._produced().items()}

    def narinfo(self, output: str | None = None) -> NarInfo:
        """What a binary cache would say of an output: store path, NAR hash and size, references; ``str()`` is the file.

        ``output`` is its path as in the request; None will do where there is only one. :class:`InvalidValue` for
        another, and while there is none; :class:`InvalidStorePath` where it is not called as a store path is.
        """
        from tvixbuild_nb.nix.produced import narinfo_of

        found = self._produced()
        if output is None and len(found) == 1:
            [output] = found
        if output not in found:
            known = f"outputs: {', '.join(found)}" if found else "only a run that succeeded has outputs"
            raise InvalidValue(
                "which output is not said" if output is None else f"no output {output!r}", path="output", hint=known
            )
        return narinfo_of(self.request, found[output], self._nar_sum(found[output]), self.record.read_origin())

    def _produced(self) -> dict[str, BuildOutput]:
        if self.result is None:
            return {}
        # What was refused is asked about most of all.
        return {output.path: output for output in self.result.outputs or self.result.rejected}

    @cached_property
    def _sums(self) -> dict[str, NarSum]:
        return {}

    def _nar_sum(self, output: BuildOutput) -> NarSum:
        from tvixbuild_nb.nix.nar import sum_of_node

        known = self._sums.get(output.path)
        if known is None:
            known = self._sums[output.path] = sum_of_node(self.castore, output.node)
        return known
