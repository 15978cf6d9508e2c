"""The command demo: a real compiler in one sandbox, what it made in another."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from argparse import Namespace
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from tvixbuild_nb.build import BuildService
from tvixbuild_nb.castore import Castore, FileNode, Node, Tree, open_castore
from tvixbuild_nb.cli import program
from tvixbuild_nb.cli.compiler import Compiler, find_compiler
from tvixbuild_nb.cli.entry import FAILED, INTERRUPTED
from tvixbuild_nb.cli.screen import amount, complain, console, counted, safe
from tvixbuild_nb.cli.summary import show_result
from tvixbuild_nb.cli.trees import draw
from tvixbuild_nb.errors import BuildError, FuseError, KeeperError
from tvixbuild_nb.sandbox import Run, Sandbox
from tvixbuild_nb.sandbox.hostprogram import add_to_inputs, program_files
from tvixbuild_nb.sandbox.services import shared_builder

OUT, REPORT = "nix/store/hello", "nix/store/report"


def demo(args: Namespace) -> int:
    """Compile a C program in one sandbox, run it in another with nothing else inside; 0 when all of it was right."""
    with (
        open_castore(args.store) as castore,
        closing(shared_builder(args.builder, castore, None, args.builder_store)) as builder,
    ):
        story = Demo(console(), castore, builder)
        try:
            return story.tell()
        except (BuildError, FuseError, KeeperError) as error:
            complain(error)
            return story.give_up()


@dataclass(frozen=True, slots=True)
class Demo:
    """The two builds and the words around them; ``static`` as in :func:`find_compiler`."""

    screen: Console
    castore: Castore
    builder: BuildService
    static: bool | None = None

    def tell(self) -> int:
        with tempfile.TemporaryDirectory(prefix="tvixbuild-nb-demo-") as directory:
            compiler = find_compiler(program.write_sources(Path(directory)), static=self.static)
            first = self._compile(compiler, Path(directory))
        if not first.ok:
            return self.give_up(first)
        hello = first.outputs[OUT]
        self._say("What it made, by contents; the same contents have the same digest everywhere:")
        for line in draw(hello):
            self.screen.print(Text("  ") + line, soft_wrap=True)
        second = self._run(compiler, hello)
        if not second.ok:
            return self.give_up(second)
        wrong = list(self._mistakes(second))
        for mistake in wrong:
            self.screen.print(Text(f"wrong: {safe(mistake)}", style="bold red"), soft_wrap=True)
        if wrong:
            return FAILED
        return self._well(first, second)

    # -- the first sandbox ------------------------------------------------------------------------

    def _compile(self, compiler: Compiler, sources: Path) -> Run:
        self._title("1  a compiler in a sandbox")
        script = program.BUILD.format(out=f"/{OUT}", flags=" ".join(compiler.flags))
        sandbox = Sandbox(
            ["/bin/sh", "-exc", script],
            inputs_dir="",
            outputs=[OUT],
            env={"PATH": compiler.path},
            store=self.castore,
            builder=self.builder,
        )
        sandbox.add_input("src", sources)
        taken = sandbox.add_host_program(compiler.program, data=compiler.data)
        needed = counted(len(taken), "file or link", "files and links")
        self._say(
            f"{compiler.program} of this machine with the {needed} it needs here "
            f"({amount(_bytes(self.castore, sandbox.inputs))} with the source), and nothing else, become inputs. "
            f"{'It links statically' if compiler.static else 'There is no static C library, so it links dynamically'}."
        )
        run = self._watch(sandbox)
        trace = run.accesses
        if trace is not None:
            given = sum(1 for node in sandbox.inputs.values() for _ in _files(self.castore.tree(node)))
            opened = sum(len(access.opened) for access in trace.inputs.values())
            missed = sum(len(access.missing) for access in trace.inputs.values())
            self._say(
                f"Of {counted(given, 'file')} it opened {opened}; it looked in vain for {counted(missed, 'name')}."
            )
        return run

    # -- the second sandbox -----------------------------------------------------------------------

    def _run(self, compiler: Compiler, hello: Tree) -> Run:
        self._title("2  what came out, in a sandbox of its own")
        # At the root, where a loader and libraries could stand beside it.
        sandbox = Sandbox(
            ["/hello/bin/count", "/hello/share/text.txt", f"/{REPORT}"],
            inputs_dir="",
            outputs=[REPORT],
            provide_bin_sh=False,
            store=self.castore,
            builder=self.builder,
        )
        if compiler.static:
            self._say("The output is the only input: no shell, no library, no compiler inside.")
        else:
            self._say("The output, its loader and its libraries are the only inputs: no shell, no compiler inside.")
            sandbox.inputs = self._libraries(hello / "bin" / "count")
        sandbox.add_input("hello", hello)
        return self._watch(sandbox)

    def _libraries(self, binary: Tree) -> dict[str, Node]:
        """What a dynamically linked program of the store needs of this host to start, as inputs at the root."""
        with tempfile.TemporaryDirectory(prefix="tvixbuild-nb-demo-") as directory:
            path = f"{directory}/{binary.name}"
            binary.export(path)
            return add_to_inputs(self.castore, {}, [needed for needed in program_files(path) if needed != path])

    def _mistakes(self, second: Run) -> list[str]:
        found = []
        report = second.outputs[REPORT].read_text()
        if report != program.expected_report():
            found.append(f"the report says {report!r}, not {program.expected_report()!r}")
        allowed = ("/etc/", *(f"/{second.request.input_path(name)}" for name in second.request.inputs))
        seen = program.files_seen(second.log.text())
        found += [f"{path} is inside" for path in seen if not path.startswith(allowed)]
        if "/hello/bin/count" not in seen:
            found.append("the program did not see itself")
        return found

    # -- telling ----------------------------------------------------------------------------------

    def _watch(self, sandbox: Sandbox) -> Run:
        self._say("The sandbox's mounts, in order:")
        self.screen.print(sandbox.mount_table())
        self._say("The log, while it happens:")
        run = sandbox.start()
        try:
            run.follow(sys.stdout)
        except KeyboardInterrupt:
            run.cancel()
            run.follow(None)
        assert run.result is not None
        self.screen.print()
        show_result(self.screen, run.result, run.record.log_path)
        return run

    def _well(self, first: Run, second: Run) -> int:
        self._title("all of it was right")
        seconds = sum(run.result.finished - run.result.started for run in (first, second) if run.result)
        self._say(
            f"Two sandboxed builds in {seconds:.2f} s: the program counted as Python does, and saw no file "
            "but those of its inputs and /etc."
        )
        for sentence in dict.fromkeys((*first.degraded, *second.degraded)):
            self._say(f"Done without: {sentence}")
        hello = first.outputs[OUT]
        self._say("Go on from here:")
        for command in (f"log {first.id}", f"tree {hello.digest}", f"cat {hello.digest}/share/text.txt", "runs"):
            self.screen.print(Text(f"  {safe(_called())} {command}", style="bold"), soft_wrap=True)
        return 0

    def give_up(self, run: Run | None = None) -> int:
        """Say where to go from a failure; the exit status."""
        if run is not None and run.status == "cancelled":
            return INTERRUPTED
        self._say(f"Whether this machine can build, and what would mend it, is told by: {_called()} doctor")
        return FAILED

    def _title(self, text: str) -> None:
        self.screen.print()
        self.screen.print(Rule(Text(text, style="bold"), align="left", characters="-"))

    def _say(self, text: str) -> None:
        self.screen.print(Text(safe(text), style="italic"))


def _called() -> str:
    """How this command can be called again: by its name where that is on PATH."""
    name = "tvixbuild-nb"
    return sys.argv[0] if shutil.which(name) is None and os.path.basename(sys.argv[0]) == name else name


def _files(tree: Tree) -> list[FileNode]:
    if not tree.is_dir():
        return [tree.node] if isinstance(tree.node, FileNode) else []
    entries = (directory / name for directory, _, names in tree.walk() for name in names)
    return [entry.node for entry in entries if isinstance(entry.node, FileNode)]


def _bytes(castore: Castore, inputs: dict[str, Node]) -> int:
    return sum(file.size for node in inputs.values() for file in _files(castore.tree(node)))
