"""What checks are made of: an answer is looked at, and where it is not right yet, it is said what helps."""

from __future__ import annotations

from tvixbuild_nb.castore import Tree
from tvixbuild_nb.errors import CheckFailed
from tvixbuild_nb.sandbox import Run, Sandbox

_SHOWN = 200


def wrong(
    what: str, *, expected: str | None = None, seen: str | None = None, look_at: str | None = None
) -> CheckFailed:
    """The error to raise: ``what`` is not right yet, what was ``expected`` and ``seen``, where to look next."""
    return CheckFailed(what, expected=expected, seen=seen, hint=look_at)


def a_run(answer: object) -> Run:
    """The answer as a run that is over."""
    if isinstance(answer, Run):
        return answer.wait() if answer.running else answer
    if isinstance(answer, Sandbox):
        raise wrong(
            "this is a sandbox, which describes a build; a run is what came of one",
            expected="a Run",
            look_at="run = sandbox.run(), then check the run",
        )
    raise wrong("this is no run", expected="a Run, as sandbox.run() returns it", seen=short(repr(answer)))


def a_success(answer: object) -> Run:
    """The answer as a run that succeeded."""
    run = a_run(answer)
    if not run.ok:
        raise wrong(
            "the run did not succeed", seen=str(run), look_at="run.explain() says why it failed, run.log what it wrote"
        )
    return run


def output(run: Run, path: str) -> Tree:
    """One output of a run that succeeded."""
    if path not in run.outputs:
        raise wrong(
            "the output is missing",
            expected=f"an output at {path}",
            seen=", ".join(run.outputs) or "no outputs at all",
            look_at=f"Sandbox(..., outputs=[{path!r}]): what is not named there is thrown away with the sandbox",
        )
    return run.outputs[path]


def short(text: str) -> str:
    """The beginning of a text, to be shown."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"
