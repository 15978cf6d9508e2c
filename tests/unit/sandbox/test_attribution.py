"""To what a check attributes a difference; a script in place of the builds says which outputs each run has."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import DummyBuild, DummyBuildService
from tvixbuild_nb.castore import Node
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox.checking import CLOCK_STEP, Checked


def _checked(outputs: str, n: int = 2, vary: tuple[str, ...] = ("hostname", "timezone")) -> tuple[Checked, int]:
    """The check of a build whose runs have these outputs, one letter each; and how many of them there were."""
    left: Iterator[str] = iter(outputs)

    def script(request: BuildRequest, build: DummyBuild) -> dict[str, Node]:
        return {"build/out": build.castore.ingest_bytes(next(left).encode())}

    service = DummyBuildService(script=script)
    sandbox = Sandbox("true", outputs=["build/out"], scratch_paths=["build"], builder=service, store=service.castore)
    checked = sandbox.check(n, vary)
    assert next(left, None) is None
    return checked, len(checked.runs)


@pytest.mark.parametrize(
    ("outputs", "blamed", "steady"),
    [
        ("aa", [], []),
        # All varied, as it is, hostname alone and again, time zone alone, as it is.
        ("ab" "a" "bb" "a" "a", ["hostname"], [True]),
        ("ab" "a" "bc" "bb" "a", ["hostname", "timezone"], [True, True]),
        ("ab" "b", [None], [True]),
        # It was the hour, which went by after the runs as they are.
        ("ab" "a" "bb" "b" "b" "b", [None], [True]),
        # It was chance.
        ("ab" "a" "ba" "a" "a", ["hostname"], [False]),
        ("ab" "a" "a" "a" "b" "a", ["hostname + timezone"], [True]),
        ("ab" "a" "a" "a" "a" "a", ["hostname + timezone"], [False]),
    ],
)  # fmt: skip
def test_a_variation_is_blamed_when_it_differs_again_and_the_build_is_the_same_without(
    outputs: str, blamed: list[str | None], steady: list[bool]
) -> None:
    checked, runs = _checked(outputs)
    assert [None if each.variation is None else each.variation.name for each in checked.causes] == blamed
    assert [each.steady for each in checked.causes] == steady and runs == len(outputs)
    assert checked.together == (blamed == ["hostname + timezone"])
    assert ("by chance" in str(checked)) == (False in steady)
    assert [each["steady"] for each in checked.to_dict()["causes"]] == steady


def test_the_second_run_begins_in_another_step_of_the_clock() -> None:
    begun: list[float] = []

    def script(request: BuildRequest, build: DummyBuild) -> dict[str, Node]:
        begun.append(time.time())
        return {"build/out": build.castore.ingest_bytes(b"")}

    service = DummyBuildService(script=script)
    sandbox = Sandbox("true", outputs=["build/out"], scratch_paths=["build"], builder=service, store=service.castore)
    assert sandbox.check(3, [])
    assert begun[0] // CLOCK_STEP < begun[1] // CLOCK_STEP
