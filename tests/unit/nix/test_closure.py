"""What has to be built first: planned from made-up derivations, and built by a service that runs nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from tvixbuild_nb.build import BuildContext, BuildResult, DummyBuildService, RunRecord
from tvixbuild_nb.build.dummy import DummyBuild
from tvixbuild_nb.castore import Castore, Node, open_castore
from tvixbuild_nb.errors import (
    Cancelled,
    DependencyFailed,
    InvalidDerivation,
    InvalidValue,
    NotFound,
    UnsupportedDerivation,
)
from tvixbuild_nb.nix import BuilderOptions, Derivation, Fixed, InputAddressed, NixHash, StorePath
from tvixbuild_nb.nix.closure import ClosurePlan, plan_closure
from tvixbuild_nb.nix.closurebuild import ClosureBuild
from tvixbuild_nb.nix.realise import Realiser
from tvixbuild_nb.nix.sources import BuiltPaths, KnownPaths
from tvixbuild_nb.request import BuildRequest

DIAMOND = {"top": ["left", "right"], "left": ["base"], "right": ["base"], "base": []}


def drv(name: str) -> StorePath:
    return StorePath(name.encode().ljust(20, b"\1"), f"{name}.drv")


def out(name: str) -> StorePath:
    return StorePath(name.encode().ljust(20, b"\2"), name)


def made(name: str, needs: list[str], **more: object) -> Derivation:
    fields: dict[str, object] = {
        "name": name,
        "outputs": {"out": InputAddressed(out(name))},
        "system": b"x86_64-linux",
        "builder": b"/bin/sh",
        "input_derivations": {drv(each): ("out",) for each in needs},
    }
    return Derivation(**(fields | more))  # type: ignore[arg-type]


def graph(needs: Mapping[str, list[str]]) -> dict[StorePath, Derivation]:
    return {drv(name): made(name, each) for name, each in needs.items()}


def planned(needs: Mapping[str, list[str]], *there: str, itself: bool = True) -> ClosurePlan:
    derivations = graph(needs)
    present = set(map(out, there))
    return plan_closure(
        drv("top"), derivations[drv("top")], derivations.__getitem__, present.__contains__, itself=itself
    )


def names(plan: ClosurePlan) -> list[str]:
    return [path.name.removesuffix(".drv") for path in plan.steps]


def test_inputs_come_before_what_needs_them() -> None:
    plan = planned(DIAMOND)
    assert names(plan) == ["base", "left", "right", "top"]
    assert plan.steps[drv("top")].needs == (drv("left"), drv("right"))
    assert names(planned(DIAMOND, itself=False)) == ["base", "left", "right"]
    assert plan.way_to(drv("base"))[0] == drv("top") and len(plan.way_to(drv("base"))) == 3
    assert plan.describe().splitlines()[0] == f"{drv('top')}: 4 to be built, 0 there already"


def test_what_is_there_is_not_built_and_neither_is_what_only_it_needs() -> None:
    plan = planned(DIAMOND, "left")
    assert names(plan) == ["base", "right", "top"] and plan.there == (drv("left"),)
    assert names(planned(DIAMOND, "left", "right")) == ["top"]
    nothing = planned(DIAMOND, "top")
    assert not nothing.steps and "nothing has to be built" in nothing.describe()


def test_a_long_chain_is_planned() -> None:
    chain = {f"d{number}": [f"d{number + 1}"] for number in range(3000)} | {"d3000": [], "top": ["d0"]}
    assert len(planned(chain).steps) == 3002


def test_what_cannot_be_planned_says_the_way_to_it() -> None:
    with pytest.raises(InvalidDerivation, match=r"needs itself: .*-top.drv, which .*-left.drv, which .*top"):
        planned({"top": ["left"], "left": ["top"]})
    derivations = graph({"top": ["left"], "left": []})
    for wrong, kind, text in (
        (made("left", [], builder=b"builtin:buildenv"), UnsupportedDerivation, "part of Nix.*-top.drv, which needs"),
        (made("left", [], input_sources=(out("src"),)), NotFound, "a source of .*-left.drv.*-top.drv, which needs"),
        (made("left", [], outputs={"lib": InputAddressed(out("left"))}), InvalidDerivation, "has no output out"),
    ):
        known = derivations | {drv("left"): wrong}
        with pytest.raises(kind, match=text):
            plan_closure(drv("top"), known[drv("top")], known.__getitem__, lambda path: False)


@pytest.fixture
def castore() -> Iterator[Castore]:
    with open_castore("memory:") as castore:
        yield castore


class Site:
    """A dummy service that notes what is built, and how many at once."""

    def __init__(self, castore: Castore, act: Callable[[str, DummyBuild], None] = lambda name, build: None) -> None:
        self.castore, self._act = castore, act
        self.order: list[str] = []
        self.most = self._now = 0
        self._lock = threading.Lock()
        self.service: DummyBuildService = DummyBuildService(castore, self._script)
        self.known = KnownPaths()
        self.built = BuiltPaths(castore, self.known)

    def _script(self, request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        [path] = request.outputs
        name = path.partition("-")[2]
        with self._lock:
            self.order.append(name)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            self._act(name, build)
        finally:
            with self._lock:
                self._now -= 1
        if name == "fails":
            return {}
        return {path: self.castore.ingest_bytes(f"made {name}".encode())}

    def going(self, needs: Mapping[str, list[str]], jobs: int = 2) -> ClosureBuild:
        derivations = graph(needs)
        target = drv("top")
        plan = plan_closure(
            target, derivations[target], derivations.__getitem__, lambda path: bool(self.built.info(path)), itself=True
        )
        steps = Realiser(self.service, self.castore, self.built, self.built, read=derivations.__getitem__)
        return ClosureBuild(plan, steps.build, jobs)


def test_a_diamond_is_built_in_order_and_remembered(castore: Castore) -> None:
    both = threading.Barrier(2, timeout=30)

    def meet(name: str, build: DummyBuild) -> None:
        if name in ("left", "right"):
            both.wait()

    site = Site(castore, meet)
    going = site.going(DIAMOND).run(show=False)
    assert site.order[0] == "base" and site.order[-1] == "top" and site.most == 2
    assert {node.state for node in going.nodes} == {"done"} and going.over
    assert all(RunRecord.open(node.run or "").read_result() for node in going.nodes)
    info = site.built.info(out("top"))
    assert info is not None and info.deriver == drv("top")
    way = [node.path.name for node in going.longest_way()]
    assert way[0] == "base.drv" and way[-1] == "top.drv" and len(way) == 3
    assert "4 done" in str(going) and "(above)" in str(going) and "the longest way" in str(going)
    assert not site.going(DIAMOND).run(show=False).nodes, "a second time nothing is to be done"


def test_no_more_at_once_than_jobs(castore: Castore) -> None:
    site = Site(castore)
    site.going({"top": ["a", "b", "c"], "a": [], "b": [], "c": []}, jobs=1).run(show=False)
    assert site.most == 1 and site.order == ["a", "b", "c", "top"]
    with pytest.raises(InvalidValue, match="at least one"):
        site.going(DIAMOND, jobs=0)


def test_a_failure_names_the_way_to_it_and_what_was_not_built(castore: Castore) -> None:
    needs = {"top": ["mid", "other"], "mid": ["fails"], "fails": [], "other": ["fails"]}
    going = Site(castore).going(needs)
    with pytest.raises(DependencyFailed) as failed:
        going.run(show=False)
    assert failed.value.way == (str(drv("top")), str(drv("mid")), str(drv("fails")))
    text = str(failed.value)
    assert "missing outputs" in text and f"{drv('mid')}, which needs {drv('fails')}" in text
    assert f"not built either: {drv('other')}" in text and going.node(drv("fails")).run in text  # type: ignore[operator]
    assert [node.state for node in going.nodes] == ["failed", "skipped", "skipped", "skipped"]


def test_cancelling_ends_what_is_being_built(castore: Castore) -> None:
    going: list[ClosureBuild] = []

    def stop(name: str, build: DummyBuild) -> None:
        going[0].cancel()
        build.sleep(60)

    going.append(Site(castore, stop).going(DIAMOND))
    with pytest.raises(Cancelled):
        going[0].run(show=False)
    assert [node.state for node in going[0].nodes] == ["failed", "skipped", "skipped", "skipped"]


class InLine(DummyBuildService):
    """Another build of the service is going on: whoever comes waits for a turn until ``free``."""

    def __init__(self, castore: Castore, script: Callable[[BuildRequest, DummyBuild], Mapping[str, Node]]) -> None:
        super().__init__(castore, script)
        self.free = threading.Event()
        self.came = threading.Event()

    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        with context.stage("queue"):
            self.came.set()
            self.free.wait(30)
        return super().do_build(request, context)


def test_waiting_for_a_turn_is_no_building(castore: Castore) -> None:
    site = Site(castore)
    site.service = service = InLine(castore, site._script)
    going = site.going({"top": []})
    states = []

    def look() -> None:
        service.came.wait(30)
        time.sleep(0.3)
        states.append((going.nodes[0].state, going.nodes[0].seconds < 0.25, going.counts()))
        service.free.set()

    watcher = threading.Thread(target=look)
    watcher.start()
    going.run(show=False)
    watcher.join()
    [node] = going.nodes
    assert states == [("waiting", True, "1 waiting")]
    assert node.state == "done" and node.waited >= 0.3 and node.seconds < 0.25 and node.queued is None
    assert f"waited {node.waited:.2f} s for its turn" in str(going)


def test_secrets_are_noted_in_the_runs_of_what_is_built_first(castore: Castore) -> None:
    site = Site(castore, lambda name, build: build.print(f"{name} knows s3cret\n"))
    fixed = Fixed(out("fetched"), NixHash.of("sha256", b"made fetched"), "flat")
    derivations = {
        drv("fetched"): made("fetched", [], outputs={"out": fixed}, env={b"impureEnvVars": b"TOKEN other"}),
        drv("top"): made("top", ["fetched"]),
    }
    plan = plan_closure(drv("top"), derivations[drv("top")], derivations.__getitem__, lambda path: False, itself=True)
    options = BuilderOptions(impure={"TOKEN": "s3cret"})
    steps = Realiser(
        site.service, castore, site.built, site.built, read=derivations.__getitem__, options=options, secrets=["TOKEN"]
    )
    going = ClosureBuild(plan, steps.build, 2).run(show=False)
    fetched, top = (RunRecord.open(node.run or "") for node in going.nodes)
    assert fetched.read_request().environment_vars["TOKEN"] == b"s3cret"
    assert fetched.redactor().text("knows s3cret") != "knows s3cret"
    assert not top.redactor(), "it has no such variable"


def test_what_a_gc_took_is_built_again(castore: Castore) -> None:
    site = Site(castore)
    site.going(DIAMOND).run(show=False)
    with open_castore("memory:") as empty:
        gone = BuiltPaths(empty, site.known)
        assert gone.info(out("top")) is None
        with pytest.raises(NotFound):
            gone.node(out("top"), empty)
        assert empty.has(site.built.node(out("top"), empty)), "from one castore into another"
