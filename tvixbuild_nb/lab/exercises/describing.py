"""Exercises about describing builds: commands, outputs, scratch paths, and options of the rendering."""

from __future__ import annotations

from tvixbuild_nb.lab.exercises.exercise import Exercise
from tvixbuild_nb.lab.exercises.looking import a_run, a_success, output, short, wrong

_NUMBERED = "nix/store/numbered"
_NAME = "nix/store/name"
_RESULT = "opt/result"


def _numbered(run: object) -> str:
    done = a_success(run)
    found = output(done, _NUMBERED).read_text()
    poem = next((tree.read_text() for tree in done.inputs.values()), "")
    lines = found.splitlines()
    if len(poem.split()) < 4:
        raise wrong("the poem is gone", expected="the input poem", seen=short(repr(poem)), look_at="add_input()")
    if found.upper() != found:
        raise wrong("not all of it is in upper case", seen=short(found), look_at="`tr a-z A-Z`")
    if [line.split(maxsplit=1) for line in lines] != [
        [str(number), line] for number, line in enumerate(poem.upper().splitlines(), start=1)
    ]:
        raise wrong(
            "the lines are not those of the poem, each with its number before it",
            expected="     1\tSO MUCH DEPENDS ...",
            seen=short(found),
            look_at="a pipe: what `tr` writes is what `cat -n` reads",
        )
    return "Two programs of one shell, and nothing else inside: a sandbox needs no more than the build does."


def _hostname(run: object) -> str:
    done = a_success(run)
    name = output(done, _NAME).read_text().strip()
    spec = done.spec
    if spec is None or spec.hostname != "mars":
        raise wrong(
            "the sandbox is not called mars",
            expected='"hostname": "mars" in its config.json',
            seen="no configuration" if spec is None else f'"hostname": "{spec.hostname}"',
            look_at="the options of the sandbox, which say how it is rendered: one is called hostname",
        )
    if not any("hostname" in word for word in done.request.command_args):
        raise wrong(
            "the sandbox is called mars, but the build does not ask",
            expected="the program hostname in the command",
            seen=short(" ".join(done.request.command_args)),
            look_at="what the command writes into the output",
        )
    if name != "mars":
        raise wrong("the output says something else", expected="mars", seen=short(repr(name)))
    return "The host name belongs to the UTS namespace: the host's own has not changed."


def _scratch(run: object) -> str:
    done = a_run(run)
    if not done.request.command_args[-1].endswith(f"> /{_RESULT}"):
        raise wrong(
            "the command was changed",
            expected=f"a command that still writes to /{_RESULT}",
            seen=short(done.request.command_args[-1]),
            look_at="the sandbox is what is broken: scratch_paths= and outputs=",
        )
    if not any(_RESULT.startswith(f"{path}/") for path in done.request.scratch_paths):
        raise wrong(
            "the build may not write to /opt",
            expected="a scratch path above the file",
            seen=", ".join(done.request.scratch_paths),
            look_at='scratch_paths=["build", "opt"]',
        )
    found = output(a_success(done), _RESULT)
    if found.read_text() != "42\n":
        raise wrong("the output does not hold the answer", expected="42", seen=short(repr(found.read_bytes())))
    return "A scratch path is an empty directory on the host, mounted where the build wants to write."


EXERCISES = (
    Exercise(
        name="numbered",
        question=f"Make a run whose output {_NUMBERED} holds the poem in upper case, each line with its number.",
        hint=f"`tr a-z A-Z < /nix/store/poem | cat -n > /{_NUMBERED}`: a pipe joins two programs.",
        checks=(_numbered,),
        solution=f"""
from tvixbuild_nb import Sandbox

mine = Sandbox("tr a-z A-Z < /nix/store/poem | cat -n > /{_NUMBERED}", outputs=["{_NUMBERED}"])
mine.add_input("poem", b"so much depends\\nupon\\n")
run = mine.run()
""",
    ),
    Exercise(
        name="hostname",
        question=f"Make a sandbox that believes to be called mars, and whose output {_NAME} proves it.",
        hint=f'options=SpecOptions.for_host(hostname="mars") names it; `hostname > /{_NAME}` asks.',
        checks=(_hostname,),
        solution=f"""
from tvixbuild_nb import Sandbox, SpecOptions

mars = Sandbox("hostname > /{_NAME}", outputs=["{_NAME}"], options=SpecOptions.for_host(hostname="mars"))
run = mars.run()
""",
    ),
    Exercise(
        name="scratch",
        question=f"Repair a sandbox whose command writes to /{_RESULT}, without changing the command.",
        hint="scratch_paths= names the directories in which a build may write, without the slash in front; an output "
        "lies below one of them.",
        checks=(_scratch,),
        solution=f"""
from tvixbuild_nb import Sandbox

mended = Sandbox("echo 42 > /{_RESULT}", scratch_paths=["build", "opt"], outputs=["{_RESULT}"])
run = mended.run()
""",
    ),
)
