"""Shared fixtures, and the rule that in CI a skipped integration test is a failure.

Fixtures: ``as_user`` and ``ordinary_user`` (somebody who is not root), ``root`` (skips without it), ``passable_tmp`` (a
directory every mapped id can walk to), ``no_leftovers`` (fails when a build left something behind). Every test has a
store, a state and a cache directory of its own.
"""

from __future__ import annotations

import os
import pwd
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.leftovers import VARIABLE, Leftovers
from support.users import AsUser, OrdinaryUser, passable_directory
from support.users import ordinary_user as ordinary_account

IN_CI = os.environ.get("CI", "").lower() in ("true", "1")

# Slow shared machines: a deadline would measure the neighbours. In CI the examples are the same each time.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "dev"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("integration"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which counts as a failure in CI: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if IN_CI and report.skipped and "integration" in collector.path.parts:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, which counts as a failure in CI: {_reason(report)}"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's real store, runs or settings are touched."""
    for variable in ("TVIXBUILD_NB_STORE", "TVIXBUILD_NB_STATE", "TVIXBUILD_NB_BUILDER", "TVIXBUILD_NB_SANDBOX_SHELL"):
        monkeypatch.delenv(variable, raising=False)
    for kind in ("DATA", "STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / f"xdg-{kind.lower()}"))


@pytest.fixture
def root() -> None:
    """Skips where the tests do not run as root."""
    if os.geteuid() != 0:
        pytest.skip("needs root: run make test as root or with sudo")


@pytest.fixture
def passable_tmp() -> Iterator[Path]:
    """A fresh directory that every user and every mapped id can walk to (tmp_path is closed to them)."""
    with passable_directory() as path:
        yield path


@pytest.fixture(scope="session")
def ordinary_user() -> Iterator[OrdinaryUser]:
    """Somebody who is not root, with subordinate ids; whoever runs the tests, when that is not root."""
    if os.geteuid() != 0:
        entry = pwd.getpwuid(os.getuid())
        yield OrdinaryUser(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))
        return
    with ordinary_account() as user:
        yield user


@pytest.fixture(scope="session")
def _user_runner(ordinary_user: OrdinaryUser) -> Iterator[AsUser]:
    with passable_directory() as work:
        yield AsUser(ordinary_user, work)


@pytest.fixture
def as_user(_user_runner: AsUser, passable_tmp: Path) -> AsUser:
    """Runs commands as the ordinary user, with a home of its own for this test: see ``support.users.AsUser``."""
    home = passable_tmp / "home"
    home.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(home, _user_runner.user.uid, _user_runner.user.gid)
    return _user_runner.at(home)


@pytest.fixture
def no_leftovers(tmp_path: Path, passable_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Leftovers]:
    """Fails a test that leaves a process, a mount or a bundle behind; ``.watch(dir)`` adds a place to look at."""
    leftovers = Leftovers(uuid.uuid4().hex, [tmp_path, passable_tmp])
    monkeypatch.setenv(VARIABLE, leftovers.mark)
    yield leftovers
    found = leftovers.wait()
    if found:
        pytest.fail("left behind:\n" + "\n".join(found))
