"""What travels of policies, results and files, and what of it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvixbuild_nb.build import BuildOutput, BuildPolicy, BuildResult, Usage
from tvixbuild_nb.build.remote.answers import outputs_of, result_message, result_of, snix_answer, tvix_answer
from tvixbuild_nb.build.remote.policies import not_told, policy_message, policy_of
from tvixbuild_nb.build.remote.taken import TakenDown
from tvixbuild_nb.castore import Digest, DirectoryNode, FileNode, SymlinkNode
from tvixbuild_nb.errors import InvalidNode, InvalidValue
from tvixbuild_nb.oci import Limits, SpecOptions
from tvixbuild_nb.proto import build_pb2, watched_pb2
from tvixbuild_nb.request import BuildRequest

REQUEST = BuildRequest(
    command_args=["x"], scratch_paths=["s"], outputs=["s/a/out", "s/b/out", "s/link"], refscan_needles=["n", "m"]
)
OUTPUTS = (
    BuildOutput(path="s/a/out", node=FileNode(Digest(b"1" * 32), 3, True), needles=(0, 1)),
    BuildOutput(path="s/b/out", node=DirectoryNode(Digest(b"2" * 32), 0)),
    BuildOutput(path="s/link", node=SymlinkNode(b"t"), needles=(1,)),
)
OURS = {"id": "i", "request_digest": REQUEST.digest, "service": "s", "store": "st", "log_size": 9}


def result(**changes: object) -> BuildResult:
    values = {
        **OURS, "status": "succeeded", "exit_code": 0, "outputs": OUTPUTS, "started": 1.5, "finished": 2.5,
        "timings": {"run": 0.5}, "usage": Usage(wall=1.0, peak_memory=1 << 40, source="cgroup"), "runtime": "runc",
    }  # fmt: skip
    return BuildResult.model_validate({**values, **changes})


def test_results_there_and_back() -> None:
    for one in (
        result(),
        result(status="failed", failed_at="output", outputs=(), written=("/a", "/\udcff"), message="m", hint="h"),
        result(status="timed-out", outputs=(), exit_code=None, signal=9, timings={}, degraded=("a", "b")),
    ):
        data = result_message(one).SerializeToString()
        back = result_of(watched_pb2.Result.FromString(data), REQUEST, **OURS)
        if one.written:
            assert back.written == ("/a", "/\\udcff"), "texts are UTF-8"
            back = back.model_copy(update={"written": one.written})
        assert back == one


def test_results_that_are_none() -> None:
    for change in (
        {"status": "fine"},
        {"outputs": OUTPUTS[:1]},
        {"outputs": OUTPUTS[::-1]},
        {"outputs": ()},
        {"outputs": (OUTPUTS[0].model_copy(update={"needles": (7,)}), *OUTPUTS[1:])},
    ):
        message = result_message(result().model_copy(update=change))
        with pytest.raises(ValueError):
            result_of(message, REQUEST, **OURS)


def test_answers_of_both() -> None:
    assert outputs_of("snix", snix_answer(OUTPUTS), REQUEST) == OUTPUTS
    tvix = tvix_answer(REQUEST.to_bytes(), OUTPUTS)
    assert outputs_of("tvix", tvix, REQUEST) == OUTPUTS
    build = build_pb2.Build.FromString(tvix)
    assert [getattr(node, node.WhichOneof("node")).name for node in build.outputs] == [b"out", b"out", b"link"]
    assert build.build_request.SerializeToString(deterministic=True) == REQUEST.to_bytes()
    # The first Tvix: names are empty, needles not there.
    for node in build.outputs:
        getattr(node, node.WhichOneof("node")).name = b""
    del build.outputs_needles[:]
    found = outputs_of("tvix", build.SerializeToString(), REQUEST)
    assert [output.node for output in found] == [output.node for output in OUTPUTS]
    build.outputs[0].file.name = b"other"
    with pytest.raises(InvalidNode, match="other"):
        outputs_of("tvix", build.SerializeToString(), REQUEST)
    with pytest.raises(InvalidNode, match="1 outputs"):
        outputs_of("snix", snix_answer(OUTPUTS[:1]), REQUEST)


def test_policies_there_and_back() -> None:
    for policy in (
        BuildPolicy(keep="never"),
        BuildPolicy(timeout=1.5, silent_timeout=2, grace=0.0, strict=True, observe=True, trace=False, keep="never"),
        BuildPolicy(listing="backwards", processors=3, keep="never"),
    ):
        assert policy_of(policy_message(policy)) == policy
    limits = Limits(memory=1 << 30, cpu=1.5)
    options = SpecOptions.for_host(hostname="h", limits=limits, capabilities=("CAP_SYS_ADMIN",))
    back = policy_of(policy_message(BuildPolicy(options=options)))
    assert back.options == SpecOptions.for_host(hostname="h", limits=limits), "nothing that weakens a sandbox travels"
    assert policy_of(watched_pb2.BuildPolicy(grace=1e9)).grace <= 60, "who went away waits for nothing"
    assert policy_of(watched_pb2.BuildPolicy()) == BuildPolicy(keep="never", trace=False)


def test_policies_that_are_none() -> None:
    for message in (
        watched_pb2.BuildPolicy(timeout=-1),
        watched_pb2.BuildPolicy(timeout=float("nan")),
        watched_pb2.BuildPolicy(listing="sideways"),
        watched_pb2.BuildPolicy(processors=0),
        watched_pb2.BuildPolicy(limits={"cpu": -1.0}),
    ):
        with pytest.raises(InvalidValue):
            policy_of(message)


def test_what_is_not_told_is_said() -> None:
    assert not_told(BuildPolicy(), watched=True) == not_told(BuildPolicy(), watched=False) == ()
    everything = BuildPolicy(
        silent_timeout=1, observe=True, listing="backwards", processors=1, keep="always", inputs="fuse", room=1,
        options=SpecOptions.for_host(hostname="h"),
    )  # fmt: skip
    assert len(not_told(everything, watched=True)) == 3
    assert len(not_told(everything, watched=False)) == 7


def test_files_that_are_taken_down(tmp_path: Path) -> None:
    taken = TakenDown(tmp_path)
    for name in ("../x", "result.json", "request.json", "lock", ""):
        with pytest.raises(InvalidValue):
            taken.add(name, b"x")
    taken.add("config.json", b"[" * 100_000)
    taken.add("host.json", b'{"kernel": "Linux 6.1", "machi')
    taken.add("host.json", b'ne": "x86_64"}')
    taken.add("accesses.json", b"{}")
    taken.add("inside.json", b"\xff")
    taken.add("processes.json", b'{"time": "x"}')
    faults = taken.store()
    assert [path.name for path in tmp_path.iterdir()] == ["host.json"] and len(faults) == 4
