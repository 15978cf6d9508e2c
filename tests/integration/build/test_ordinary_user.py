"""The same builds as somebody who is not root: rootless runc and crun, outputs of closed modes, kept bundles."""

from __future__ import annotations

import json
import textwrap

import pytest

from support.users import AsUser

pytestmark = pytest.mark.integration

_PRELUDE = """
import json, os, sys
from tvixbuild_nb import Sandbox, SpecOptions
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.errors import TvixBuildError

def sandbox(command, service=None, **fields):
    found = Sandbox(command, builder=service, **fields)
    found.add_input("src", b"input")
    return found

def tell(run, **more):
    print(json.dumps({
        "status": run.status, "failed_at": run.failed_at, "message": run.message, "log": run.log.text(),
        "degraded": run.degraded, "inputs": run.result.inputs, "usage": run.usage.source,
        "bundle": None if run.bundle is None else str(run.bundle), **more,
    }))
"""

CLOSED = (
    "umask 077; mkdir -p /nix/store/o/d; echo secret > /nix/store/o/d/f; chmod 500 /nix/store/o/d; cat /nix/store/src"
)


def _told(as_user: AsUser, code: str) -> list[dict[str, object]]:
    done = as_user(_PRELUDE + textwrap.dedent(code))
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("runtime", ["runc", "crun"])
@pytest.mark.parametrize("inputs", ["auto", "checkout"])
def test_a_user_builds_and_reads_what_only_the_subordinate_id_could(as_user: AsUser, runtime: str, inputs: str) -> None:
    (told,) = _told(
        as_user,
        f"""
        run = sandbox({CLOSED!r}, outputs=["nix/store/o"], runtime={runtime!r}).run(show=False, inputs={inputs!r})
        tree = run.outputs["nix/store/o"] if run.ok else None
        tell(run, read=tree and (tree / "d" / "f").read_text())
        """,
    )
    assert told["status"] == "succeeded", told
    assert told["log"] == "input" and told["read"] == "secret\n"
    assert told["inputs"] == {"auto": "fuse", "checkout": "checkout"}[inputs]
    degraded = told["degraded"]
    assert isinstance(degraded, list)
    # The only thing an ordinary user goes without here is a cgroup, and that is said with its consequence.
    assert all("cgroups" in text for text in degraded)
    assert ("rusage" in str(told["usage"])) == bool(degraded)


def test_a_kept_bundle_is_read_and_deleted_without_sudo(as_user: AsUser) -> None:
    (told,) = _told(
        as_user,
        """
        made = "umask 077; mkdir -p /nix/store/o/d; echo x > /nix/store/o/d/f"
        run = sandbox(made + "; chmod 0 /nix/store/o/d/f /nix/store/o/d; exit 1").run(show=False)
        bundle = run.bundle
        read = [open(os.path.join(d, f)).read() for d, _, fs in os.walk(bundle / "scratch") for f in fs if f == "f"]
        bundle_text = str(bundle)
        run.delete()
        from pathlib import Path
        print(json.dumps({"read": read, "there": Path(bundle_text).exists()}))
        """,
    )
    assert told == {"read": ["x\n"], "there": False}


def test_without_namespaces_of_its_own_a_user_still_builds_and_is_told(as_user: AsUser) -> None:
    first, second = _told(
        as_user,
        f"""
        service = OCIBuildService(namespaces=False)
        run = sandbox({CLOSED!r}, service, outputs=["nix/store/o"]).run(show=False)
        tree = run.outputs["nix/store/o"] if run.ok else None
        tell(run, read=tree and (tree / "d" / "f").read_text())
        tell(sandbox("exit 1", service).run(show=False, keep="never"))
        """,
    )
    assert first["status"] == "succeeded" and first["read"] == "secret\n", first
    assert any("namespaces for the keeper" in text for text in first["degraded"])
    assert (second["status"], second["failed_at"], second["bundle"]) == ("failed", "build", None)


def test_limits_without_a_cgroup_are_refused_with_the_reason(as_user: AsUser) -> None:
    (told,) = _told(
        as_user,
        """
        try:
            run = sandbox("true", options=SpecOptions.for_host(limits={"pids": 5})).run(show=False)
            print(json.dumps({"limits": "hold", "ok": run.ok}))
        except TvixBuildError as error:
            print(json.dumps({"refused": str(error)}))
        """,
    )
    assert told == {"limits": "hold", "ok": True} or "cgroup" in str(told["refused"])


def test_strict_refuses_what_a_user_would_go_without(as_user: AsUser) -> None:
    (told,) = _told(
        as_user,
        """
        run = sandbox("true").run(show=False)
        try:
            sandbox("true").run(show=False, strict=True)
            print(json.dumps([run.degraded, None]))
        except TvixBuildError as error:
            print(json.dumps([run.degraded, str(error)]))
        """,
    )
    degraded, refused = told
    assert bool(degraded) == bool(refused)


def test_no_subordinate_ids_is_a_clear_error_with_the_command_that_mends_it(as_user: AsUser) -> None:
    (told,) = _told(
        as_user,
        """
        from tvixbuild_nb.keeper.ids import subordinate_range
        from tvixbuild_nb.errors import KeeperError
        import tvixbuild_nb.keeper.client as client
        try:
            client.own_ranges("/nonexistent")
        except KeeperError as error:
            print(json.dumps({"text": str(error)}))
        """,
    )
    assert "usermod --add-subuids" in str(told["text"])


def test_without_namespaces_but_with_user_allow_other_the_view_comes_and_goes(as_user: AsUser) -> None:
    code = """
    service = OCIBuildService(namespaces=False)
    run = sandbox("cat /nix/store/src", service).run(show=False, keep="never")
    mounts = [line for line in open("/proc/self/mountinfo") if "tvixbuild-nb/bundles" in line]
    tell(run, mounts=mounts, read=run.accesses and run.accesses.inputs["src"].bytes_read)
    """
    own = "/run/fuse.conf.$$"
    before = f"printf 'user_allow_other\\n' > {own}; mount --bind {own} /etc/fuse.conf; rm {own}"
    done = as_user(_PRELUDE + textwrap.dedent(code), before=before)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert (told["status"], told["inputs"], told["log"]) == ("succeeded", "fuse", "input"), told
    assert told["mounts"] == [] and told["read"] == 5
    assert not [text for text in told["degraded"] if "trace" in text or "file system process" in text]
