"""The ways in which an input comes into a build: from this host, the store, another run, or as text."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tvixbuild_nb.castore import Digest, FileNode, Node
from tvixbuild_nb.castore.lookup import find_node
from tvixbuild_nb.castore.progress import Silent, human
from tvixbuild_nb.errors import InvalidRequest, TvixBuildError
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Run, runs
from tvixbuild_nb.sandbox.inputs import stored
from tvixbuild_nb.widgets.form.data import redactor_of
from tvixbuild_nb.widgets.form.draft import Given
from tvixbuild_nb.widgets.form.drafting import DraftView
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.kit.live import callable_from_front
from tvixbuild_nb.widgets.kit.pace import Updates

# Outputs that are offered, and how many of the newest runs they are looked for in.
MAX_OUTPUTS = 200
MAX_RUNS = 50
_PROGRESS = 0.2


class InputCalls(DraftView):
    """Inputs are stored in the background; what becomes of each is told under ``input``."""

    @callable_from_front
    def add_path(self, path: str, name: str = "") -> None:
        """What is at a path of this host."""
        path = os.path.expanduser(path)
        name = name or os.path.basename(os.path.abspath(path))
        if not path:
            raise InvalidRequest("a path of this host is needed", path="path")
        if not os.path.lexists(path):
            raise InvalidRequest(f"there is nothing at {path!r}", path="path", hint="a path of this host")
        done = Silent()
        self._store(
            name,
            os.path.abspath(path),
            lambda: self._sandbox.store.ingest(path, progress=done),
            lambda: f"storing {path}: {done.files:,} files, {human(done.bytes)}",
        )

    @callable_from_front
    def add_digest(self, digest: str, name: str = "", executable: bool = False) -> None:
        """A file or directory of the store, by its digest or the beginning of it."""
        store = self._sandbox.store

        def found() -> Node:
            node = find_node(store, digest.strip())
            return replace(node, executable=True) if executable and isinstance(node, FileNode) else node

        self._store(name, f"the store {store.address}, by its digest", found, lambda: "looking it up")

    @callable_from_front
    def add_text(self, text: str, name: str = "", executable: bool = False) -> None:
        """A file of this text."""
        data = text.encode("utf-8")
        origin = f"{len(data)} bytes typed into the form"
        self._store(name, origin, lambda: self._sandbox.store.ingest_bytes(data, executable), lambda: "storing it")

    @callable_from_front
    def add_output(self, run: str, index: int, name: str = "") -> None:
        """An output of a recorded run: the one with this index there."""
        there = self._run(run)
        path, tree = list(there.outputs.items())[index]
        shown = there.redactor.text(path)
        name = name or shown.rpartition("/")[2]
        origin = f"output {shown} of run {there.id}"
        self._store(name, origin, lambda: stored(tree, self._sandbox.store), lambda: f"copying {shown}")

    @callable_from_front
    def run_outputs(self) -> list[dict[str, Any]]:
        """The outputs of the newest runs, the newest first: of this sandbox and of any other that is recorded."""
        here = self._sandbox.history()
        known = {run.id for run in here}
        newest = [*reversed(here), *(run for run in reversed(runs()) if run.id not in known)][:MAX_RUNS]
        redactor = redactor_of(self._draft)
        found = []
        for run in newest:
            try:
                outputs = list(run.outputs) if run.record.path.exists() else []
                hide = run.redactor
            except (OSError, ValueError, TvixBuildError):
                continue  # a damaged record has nothing to offer
            for index, path in enumerate(outputs):
                shown = visible(redactor.text(hide.text(path)))
                found.append({"run": run.id, "index": index, "path": shown})
        return found[:MAX_OUTPUTS]

    def _run(self, id: str) -> Run:
        return self._sandbox.history().find(id) or Run.open(id)

    def _store(self, name: str, origin: str, make: Callable[[], Node], going: Callable[[], str]) -> None:
        """Check the name, then ``make`` the node in the background."""
        if not name:
            raise InvalidRequest("a name in the build is needed", path="name")
        BuildRequest(command_args=("x",), inputs={name: FileNode(Digest.of(b""), 0)})
        with self._lock:
            self._draft.take(self._sandbox)
            self._refuse_double(name)
        threading.Thread(
            target=self._make, args=(name, origin, make, going), name="adding an input", daemon=True
        ).start()

    def _refuse_double(self, name: str) -> None:
        if any(given.name == name for given in self._draft.inputs):
            raise InvalidRequest(
                f"there is an input {name!r} already", path="name", hint="remove that one, or choose another name"
            )

    def _make(self, name: str, origin: str, make: Callable[[], Node], going: Callable[[], str]) -> None:
        shown = Updates(lambda: self._tell_input(going()), _PROGRESS)
        wrong: str | None = None
        try:
            node = make()
            with self._lock:
                self._draft.take(self._sandbox)
                self._refuse_double(name)
                self._draft.add("inputs", Given(name, node, origin))
                self._settle()
        except (TvixBuildError, OSError) as error:
            wrong = str(error)
        # The last word is how it ended.
        shown.stop()
        shown.join()
        self._tell_input(wrong or f"added {name}", wrong=wrong is not None)

    def _tell_input(self, text: str, *, wrong: bool = False) -> bool:
        shown = visible(redactor_of(self._draft).text(text), keep="\n")
        self.tell("input", {"text": shown, "wrong": wrong})
        return True
