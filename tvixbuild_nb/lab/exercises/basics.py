"""Exercises about a first sandbox."""

from __future__ import annotations

from tvixbuild_nb.lab.exercises.exercise import Exercise
from tvixbuild_nb.lab.exercises.looking import a_success, output, short, wrong

_LOUD = "nix/store/loud"


def _upper(run: object) -> str:
    done = a_success(run)
    if not done.inputs:
        raise wrong(
            "the run had no input",
            expected="an input that the command reads",
            look_at='sandbox.add_input("src", b"so much depends\\n")',
        )
    texts = {name: tree.read_bytes() for name, tree in done.inputs.items() if tree.is_file()}
    found = output(done, _LOUD)
    if not found.is_file():
        raise wrong(
            "the output is no file", expected="a file", seen=f"a {found.kind}", look_at="tr writes where > says"
        )
    loud = found.read_bytes()
    if loud and any(loud == text.upper() and text != text.upper() for text in texts.values()):
        return "What the command wrote below a scratch path and is named in outputs= is all that outlives the sandbox."
    expected = next((text.upper() for text in texts.values()), b"")
    raise wrong(
        "the output is not the input in upper case",
        expected=short(repr(expected)),
        seen=short(repr(loud)),
        look_at="run.request.command_args: which file is read, and where does the result go?",
    )


EXERCISES = (
    Exercise(
        name="first-upper",
        question=f"Make a run whose output {_LOUD} holds its input, a text with small letters, in upper case.",
        hint="An input called src stands at /nix/store/src inside. `tr a-z A-Z` turns what it reads into upper case; "
        f"what it writes has to go to /{_LOUD}, and the sandbox has to be told that this is an output.",
        checks=(_upper,),
        solution=f"""
from tvixbuild_nb import Sandbox

sandbox = Sandbox("tr a-z A-Z < /nix/store/src > /{_LOUD}", outputs=["{_LOUD}"])
sandbox.add_input("src", b"so much depends\\n")
run = sandbox.run()
""",
    ),
)
