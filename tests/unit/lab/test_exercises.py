"""Exercises: right answers are praised, others get feedback that helps, as an error that autograders count."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tvixbuild_nb import Run, Sandbox, lab, open_castore
from tvixbuild_nb.build import DummyBuild, DummyBuildService
from tvixbuild_nb.castore import Node
from tvixbuild_nb.errors import CheckFailed, InvalidValue
from tvixbuild_nb.lab.exercises import Exercise
from tvixbuild_nb.lab.exercises.registry import known
from tvixbuild_nb.request import BuildRequest


def run(output: bytes, *, inputs: bool = True, outputs: tuple[str, ...] = ("nix/store/loud",)) -> Run:
    def script(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        return {path: build.castore.ingest_bytes(output) for path in request.outputs}

    castore = open_castore("memory:")
    sandbox = Sandbox("true", outputs=outputs, store=castore, builder=DummyBuildService(castore, script))
    if inputs:
        sandbox.add_input("src", b"so much depends\n")
    return sandbox.run(show=False)


def test_a_right_answer() -> None:
    feedback = lab.check("first-upper", run(b"SO MUCH DEPENDS\n"))
    assert isinstance(feedback, lab.Feedback) and str(feedback).startswith("✓ first-upper: right\n")
    bundle = feedback._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"} and "outlives the sandbox" in bundle["text/html"]


ANSWERS: dict[str, tuple[Callable[[], object], list[str]]] = {
    "not upper": (
        lambda: run(b"so much depends\n"),
        ["not the input in upper case", "expected: b'SO MUCH", "seen: b'so much", "look at"],
    ),
    "no input": (lambda: run(b"", inputs=False), ["no input", "add_input"]),
    "no output": (lambda: run(b"", outputs=()), ["output is missing", "an output at nix/store/loud", "no outputs"]),
    "no run": (lambda: Sandbox("true"), ["is a sandbox", "run = sandbox.run()"]),
    "nothing": (lambda: 3, ["is no run", "seen: 3"]),
    "no success": (
        lambda: Sandbox("true", store="memory:", builder="dummy:").run(show=False),
        ["did not succeed", "run.explain()"],
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_feedback_helps(name: str) -> None:
    answer, said = ANSWERS[name]
    with pytest.raises(CheckFailed) as raised:
        lab.check("first-upper", answer())
    text = str(raised.value)
    assert text.startswith("first-upper: not yet: ") and all(part in text for part in said), text
    assert isinstance(raised.value, AssertionError)
    assert raised.value._render_traceback_() == text.split("\n")
    copied = pickle.loads(pickle.dumps(raised.value))
    assert str(copied) == text and copied.seen == raised.value.seen


def test_a_limit_that_was_not_asked_for() -> None:
    with pytest.raises(CheckFailed, match="nothing limits this run's memory"):
        lab.check("limits-memory", run(b""))


def test_another_number_of_answers() -> None:
    with pytest.raises(CheckFailed, match=r"2 answers(.|\n)*lab.check\('first-upper', run\)"):
        lab.check("first-upper", 1, 2)


def test_hints_solutions_and_questions_show_themselves() -> None:
    assert (
        "tr a-z A-Z" in str(lab.hint("first-upper"))
        and "<b>hint for" in lab.hint("first-upper")._repr_mimebundle_()["text/html"]
    )
    told = lab.solution("first-upper")
    assert "sandbox.run()" in told.code and "<pre" in told._repr_mimebundle_()["text/html"]
    assert "upper case" in lab.exercise("first-upper")._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize("ask", [lab.check, lab.hint, lab.solution, lab.exercise])
def test_unknown_names_get_the_nearest_one(ask: Any) -> None:
    with pytest.raises(InvalidValue, match="did you mean 'first-upper'"):
        ask("first-uper")


def test_every_exercise_is_complete_and_its_solution_is_python() -> None:
    for name, exercise in known().items():
        assert exercise.name == name
        compile(exercise.solution, name, "exec")


def test_exercises_of_ones_own() -> None:
    def small(number: int) -> str | None:
        if number > 9:
            raise CheckFailed("too large", seen=str(number))
        return None

    def even(number: int) -> str:
        assert number % 2 == 0
        return "even, too"

    lab.register(Exercise("my-number", "A small even number?", "Count.", (small, even), "2"))
    assert str(lab.check("my-number", 2)) == "✓ my-number: right\neven, too"
    with pytest.raises(CheckFailed, match="my-number: not yet: too large"):
        lab.check("my-number", 10)
    with pytest.raises(AssertionError):
        lab.check("my-number", 3)


@pytest.mark.parametrize("field", ["name", "question", "hint", "solution"])
def test_exercises_are_complete(field: str) -> None:
    fields = {"name": "a", "question": "b", "hint": "c", "solution": "d", field: " "}
    with pytest.raises(InvalidValue, match=field):
        Exercise(checks=(lambda: None,), **fields)
    with pytest.raises(InvalidValue, match="checks"):
        Exercise(**{**fields, field: "e"}, checks=())
