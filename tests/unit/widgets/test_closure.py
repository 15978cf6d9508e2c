"""The builds of a closure in their forms, without a browser: waiting, failed, over, with hostile messages."""

from __future__ import annotations

import pytest

from tvixbuild_nb.build import BuildContext, BuildResult, CancelToken, DummyBuildService, RunRecord, StageHeard
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import DependencyFailed
from tvixbuild_nb.nix import Derivation, InputAddressed, StorePath
from tvixbuild_nb.nix.closure import ClosurePlan, ClosureStep, plan_closure
from tvixbuild_nb.nix.closurebuild import ClosureBuild
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.widgets.closure import closure_forms, present_closure
from tvixbuild_nb.widgets.closure.data import closure_data
from tvixbuild_nb.widgets.kit.forms import plain_text

HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e"
NEEDS = {"top": ["left", "right"], "left": ["base"], "right": ["base"], "base": []}


def path(name: str, suffix: str = "") -> StorePath:
    return StorePath(name.encode().ljust(20, b"\1"), name + suffix)


def diamond() -> ClosurePlan:
    derivations = {
        path(name, ".drv"): Derivation(
            name=name,
            outputs={"out": InputAddressed(path(name))},
            system=b"x",
            builder=b"/bin/sh",
            input_derivations={path(each, ".drv"): ("out",) for each in needs},
        )
        for name, needs in NEEDS.items()
    }
    target = path("top", ".drv")
    return plan_closure(target, derivations[target], derivations.__getitem__, lambda path: False, itself=True)


def build_step(step: ClosureStep, cancel: CancelToken, heard: StageHeard) -> BuildResult:
    castore = open_castore("memory:")
    request = BuildRequest(command_args=["/bin/sh"], outputs=["s/out"], scratch_paths=["s"], working_dir="s")
    wrong = step.path.name == "left.drv"
    service = DummyBuildService(castore, lambda request, build: {} if wrong else {"s/out": castore.ingest_bytes(b"x")})
    result = service.do_build(request, BuildContext(RunRecord.create(), cancel=cancel))
    return result.model_copy(update={"message": HOSTILE}) if wrong else result


def test_the_graph_shows_each_derivation_once_with_its_state() -> None:
    build = ClosureBuild(diamond(), build_step, 1)
    data = closure_data(build)
    assert [(row["depth"], row["name"], row["state"]) for row in data["rows"]] == [
        (0, "top.drv", "waiting"),
        (1, "left.drv", "waiting"),
        (2, "base.drv", "waiting"),
        (1, "right.drv", "waiting"),
        (2, "base.drv", "above"),
    ]
    assert data["counts"] == "4 waiting, 0 there already" and not data["longest"]

    with pytest.raises(DependencyFailed):
        build.run(show=False)
    forms = closure_forms(build)
    html, text = str(forms.html()), plain_text(forms.text())
    assert "1 done, 1 failed, 2 skipped" in html and "1 done, 1 failed, 2 skipped" in text
    assert "✗ failed" in html and "– skipped" in html and "base.drv" in html
    assert "&lt;img src=x" in html and not any(bad in html + text for bad in ("<img", "\x1b", "\u202e"))
    assert "the longest way" in html and "the longest way" in text


def test_outside_of_a_notebook_nothing_is_presented() -> None:
    assert present_closure(ClosureBuild(diamond(), build_step, 1)) is None
