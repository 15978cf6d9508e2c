"""What every BuildService promises, over every implementation there is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from distributed import LocalCluster

from support.leftovers import Leftovers
from support.served import served
from tvixbuild_nb.build import (
    BuildContext,
    BuildPolicy,
    BuildResult,
    BuildService,
    CancelToken,
    DummyBuild,
    DummyBuildService,
    EndEvent,
    EventReader,
    OCIBuildService,
    ReplayBuildService,
    RunRecord,
    build_service_from_addr,
    host_system,
)
from tvixbuild_nb.build.records import write_record
from tvixbuild_nb.build.workers import WorkersBuildService
from tvixbuild_nb.build.workers.opening import pool_of
from tvixbuild_nb.castore import Castore, Node, open_castore
from tvixbuild_nb.request import BuildConstraints, BuildRequest

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

BUILDS = {"good": "echo said; echo made > nix/store/o", "bad": "echo said; exit 1", "long": "echo said; sleep 60"}


def _imitate(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    """The dummy's version of BUILDS."""
    build.print("said\n")
    if request.command_args[-1] == BUILDS["long"]:
        build.sleep(60)
    made = request.command_args[-1] == BUILDS["good"]
    return {"nix/store/o": build.castore.ingest_bytes(b"made\n")} if made else {}


def _replaying(directory: Path, castore: Castore) -> ReplayBuildService:
    """Records of BUILDS, made by the dummy; of the long one as it is when it was cancelled."""
    directory.mkdir()
    for build in BUILDS:
        cancel = CancelToken()
        context = BuildContext(RunRecord.create(), BuildPolicy(keep="never"), cancel)
        with contextlib.ExitStack() as stack:
            if build == "long":
                timer = threading.Timer(0.1, cancel.cancel)
                stack.callback(timer.join)
                timer.start()
            DummyBuildService(castore, _imitate).do_build(_request(build), context)
        write_record(directory / f"{build}.tvixrun", context.record, castore, outputs=True)
    return ReplayBuildService(directory, castore)


@contextlib.contextmanager
def _workers(kind: str, directory: Path, castore: Castore, scratch: Path) -> Iterator[WorkersBuildService]:
    """Workers that are processes of a pool, or behind the address of a Dask cluster."""
    with contextlib.ExitStack() as stack:
        if kind == "pool":
            pool = pool_of(stack.enter_context(ProcessPoolExecutor(2)))
            service: BuildService = WorkersBuildService(pool, castore, builder=f"oci:{directory}")
        else:
            settings = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": ":0"}
            cluster = stack.enter_context(LocalCluster(**settings, local_directory=str(scratch)))
            address = f"dask+{cluster.scheduler_address}"
            service = build_service_from_addr(address, castore, builder=f"oci:{directory}")
        assert isinstance(service, WorkersBuildService)
        stack.callback(service.close)
        yield service


@pytest.fixture(params=["dummy", "replay", "oci-runc", "oci-crun", "oci-without-namespaces", "grpc", "pool", "dask"])
def service(
    request: pytest.FixtureRequest, passable_tmp: Path, tmp_path: Path, no_leftovers: Leftovers
) -> Iterator[BuildService]:
    with contextlib.ExitStack() as stack:
        yield _service(request.param, passable_tmp, tmp_path, stack)


def _service(name: str, passable: Path, tmp_path: Path, stack: contextlib.ExitStack) -> BuildService:
    castore = open_castore(tmp_path / "store")
    bundles = passable / "bundles"
    if name == "dummy":
        return DummyBuildService(castore, _imitate)
    if name == "replay":
        return _replaying(tmp_path / "records", castore)
    if name in ("pool", "dask"):
        return stack.enter_context(_workers(name, bundles, castore, tmp_path / "dask"))
    if name == "grpc":
        server = stack.enter_context(served(tmp_path / "server", "--builder", f"oci:{bundles}"))
        return stack.enter_context(contextlib.closing(build_service_from_addr(server.address, castore)))
    if name == "oci-without-namespaces":
        return OCIBuildService(bundles, castore, namespaces=False)
    return OCIBuildService(bundles, castore, runtime=name.removeprefix("oci-"))


def _request(build: str) -> BuildRequest:
    return BuildRequest(
        command_args=["/bin/sh", "-c", BUILDS[build]],
        scratch_paths=["nix/store"],
        outputs=["nix/store/o"],
        constraints=BuildConstraints(system=host_system(), provide_bin_sh=True),
    )


def _build(service: BuildService, build: str, cancel: CancelToken | None = None) -> tuple[BuildResult, BuildContext]:
    context = BuildContext(RunRecord.create(), BuildPolicy(keep="never"), cancel or CancelToken())
    return service.do_build(_request(build), context), context


def _check_record(result: BuildResult, context: BuildContext) -> None:
    """The record holds the result, and its events end with it."""
    assert context.accepted.is_set()
    assert context.record.read_result() == result
    reader = EventReader(context.record)
    events = list(reader.read())
    reader.close()
    assert isinstance(events[-1], EndEvent) and events[-1].status == result.status
    assert [event.type for event in events].count("end") == 1


def test_a_build_that_succeeds(service: BuildService) -> None:
    assert isinstance(service, BuildService)
    result, context = _build(service, "good")
    assert (result.status, result.failed_at, result.exit_code) == ("succeeded", None, 0), result
    assert [output.path for output in result.outputs] == ["nix/store/o"]
    assert service.castore.tree(result.outputs[0].node).read_bytes() == b"made\n"
    assert result.request_digest == _request("good").digest and result.store == service.castore.address
    assert result.log_size == 5 and result.started <= result.finished
    _check_record(result, context)


def test_a_build_that_fails_is_a_result_without_outputs(service: BuildService) -> None:
    result, context = _build(service, "bad")
    assert result.status == "failed" and result.failed_at in ("build", "output")
    assert result.outputs == () and result.message
    _check_record(result, context)


def test_a_build_that_is_cancelled(service: BuildService) -> None:
    cancel = CancelToken()
    record = RunRecord.create()
    context = BuildContext(record, BuildPolicy(keep="never"), cancel)
    result: list[BuildResult] = []
    thread = threading.Thread(target=lambda: result.append(service.do_build(_request("long"), context)))
    thread.start()
    reader = EventReader(record)
    while not any(event.type == "log" for event in reader.read()):
        thread.join(0.01)
    reader.close()
    cancel.cancel()
    thread.join(30)
    assert result[0].status == "cancelled" and result[0].outputs == ()
    _check_record(result[0], context)


def test_cancelled_before_it_began(service: BuildService) -> None:
    cancel = CancelToken()
    cancel.cancel()
    result, context = _build(service, "long", cancel)
    assert result.status == "cancelled"
    _check_record(result, context)
