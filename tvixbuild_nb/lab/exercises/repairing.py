"""Exercises about builds that fail, or differ: to be repaired, or to be looked into."""

from __future__ import annotations

from tvixbuild_nb.lab.exercises.exercise import Exercise
from tvixbuild_nb.lab.exercises.looking import a_run, output, short, wrong
from tvixbuild_nb.sandbox import Run
from tvixbuild_nb.sandbox.checking import Checked

_REPORT = "nix/store/report"
_WORDS = "nix/store/words"


def _repaired(run: object) -> str:
    done = a_run(run)
    log = done.log.text()
    # In the order in which they show.
    steps = (
        ("can't create directory '/output'", "it still wants to make a directory where nobody may write"),
        ("Read-only file system", "it still writes where nobody may write"),
        ("not found", "it still calls what is not there"),
    )
    for words, said in steps:
        if words in log:
            raise wrong(said, seen=short(log), look_at=f"run.explain(), and then the next of {len(steps)} things")
    if done.failed_at == "output":
        raise wrong(
            "it runs, and does not leave what it promised",
            expected=f"a file at /{_REPORT}",
            seen=done.message,
            look_at="what was written instead: one of the two names is wrong",
        )
    if not done.ok:
        raise wrong("it still fails", seen=str(done), look_at="run.explain()")
    report = output(done, _REPORT)
    if not report.is_file():
        raise wrong("the report is no file", expected=f"a file at /{_REPORT}", seen=f"a {report.kind}")
    if report.read_bytes() != b"fine\n":
        raise wrong("the report says something else", expected="fine", seen=short(repr(report.read_bytes())))
    if "build.sh" not in done.inputs:
        raise wrong(
            "the report is there, but the script is gone",
            expected="the input build.sh, mended",
            look_at='patient.add_input("build.sh", b"...") again, with another text',
        )
    return "Three causes, one after the other: a build shows the next one only when the last one is gone."


def _reference(path: object, offset: object, run: object) -> str:
    done = a_run(run)
    outputs = done.rejected or done.outputs
    if not outputs:
        raise wrong("this run has no output", seen=str(done), look_at="a run whose output refers to an input")
    places = {
        (reference.path.removeprefix(f"{output}/"), reference.offset)
        for output in outputs
        for name in done.request.inputs
        for reference in done.why(name)
    }
    if (path, offset) in places:
        return "So it is known what to change: this one line of this one file."
    if any(path == known for known, _ in places):
        raise wrong(f"the file is right, the byte is not {offset}", look_at="what run.why() gives has an offset")
    raise wrong(
        f"{path!r} does not hold it",
        expected="a path below the output, such as share/doc",
        look_at="run.why(NAME OF THE INPUT)",
    )


def _reproducible(checked: object) -> str:
    if not isinstance(checked, Checked):
        raise wrong("this is no check", expected="what sandbox.check() returns", seen=short(repr(checked)))
    if not checked:
        raise wrong(
            "the outputs still differ",
            seen=short(str(checked)),
            look_at="what the check names: a date is left out, an order is made with `sort`",
        )
    done = Run.open(checked.runs[0])
    verses = done.inputs.get("verses")
    if verses is None:
        raise wrong("the verses are gone", expected="the input verses", look_at="what the build reads")
    words = output(done, _WORDS)
    expected = sorted(line for verse in verses for line in verse.read_bytes().splitlines())
    if not words.is_file() or sorted(words.read_bytes().splitlines()) != expected:
        raise wrong(
            "it is the same each time, but not all verses are there (or more than these)",
            expected=f"{len(expected)} lines, one of each verse",
            seen=short(repr(words.read_bytes())) if words.is_file() else f"a {words.kind}",
            look_at="only the date goes; the verses stay, in an order that is always the same",
        )
    if not checked.vary:
        raise wrong(
            "nothing was varied",
            expected="check(n=3), which varies all it can",
            look_at="without vary=[]",
        )
    if len(checked.runs) < 3:
        raise wrong("one run too few to be sure of", expected="check(n=3) at least", seen=f"{len(checked.runs)} runs")
    return "The same each time, here: what was varied does not matter to it. What was not varied, nobody knows."


EXERCISES = (
    Exercise(
        name="repair",
        question=f"Repair a sandbox until its output {_REPORT} says fine.",
        hint="Run it, read the explanation, mend what it says, run it again: a directory, a place, a name.",
        checks=(_repaired,),
        solution=f"""
from tvixbuild_nb import Sandbox

patient = Sandbox("sh /nix/store/build.sh", outputs=["{_REPORT}"])
patient.add_input("build.sh", b"#!/bin/sh\\nset -e\\necho fine > /{_REPORT}\\n")
run = patient.run()
""",
    ),
    Exercise(
        name="reference",
        question="In which file of an output, and at which byte, does the name of an input stand?",
        hint="run.why(...) of the input's name gives references, each with a path and an offset.",
        checks=(_reference,),
        solution="""
from tvixbuild_nb import Sandbox

sandbox = Sandbox(
    "mkdir /nix/store/out; echo needs /nix/store/words-1 > /nix/store/out/note",
    outputs=["nix/store/out"],
    refscan_needles=["words-1"],
)
sandbox.add_input("words-1", b"hello\\n")
run = sandbox.run()
[reference] = run.why("words-1")
path, offset = reference.path.removeprefix("nix/store/out/"), reference.offset
""",
    ),
    Exercise(
        name="reproducible",
        question="Make a build reproducible that writes a date, and files in the order in which they are listed.",
        hint="sandbox.check() tells what does it. What nobody needs is left out, what has no order is sorted.",
        checks=(_reproducible,),
        solution="""
import tempfile
from pathlib import Path

from tvixbuild_nb import Sandbox

verses = Path(tempfile.mkdtemp())
for name in ("first", "second", "third"):
    (verses / name).write_text(f"the {name} verse\\n")
mine = Sandbox(
    "cd /nix/store/verses; find . -type f | sort | while read name; do cat $name; done > /nix/store/words",
    outputs=["nix/store/words"],
)
mine.add_input("verses", verses)
checked = mine.check(n=3)
""",
    ),
)
