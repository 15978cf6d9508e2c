"""Records of real builds: made as root, looked at and replayed by somebody who can build nothing."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from support.users import AsUser
from tvixbuild_nb import Run, Sandbox, open_castore
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.errors import NotRecorded
from tvixbuild_nb.nix import Derivation, Fixed, NixHash, StoreDir
from tvixbuild_nb.nix.aterm import write_aterm
from tvixbuild_nb.nix.modulo import derivation_path
from tvixbuild_nb.sandbox.saving import SavedSize, save_all

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

SECRET = "correct-horse-battery"


@pytest.fixture
def place(passable_tmp: Path) -> tuple[Castore, OCIBuildService]:
    castore = open_castore(f"file:{passable_tmp / 'store'}")
    return castore, OCIBuildService(passable_tmp / "bundles", castore)


def _sandbox(place: tuple[Castore, OCIBuildService], command: str, **fields: object) -> Sandbox:
    sandbox = Sandbox(command, outputs=["nix/store/x"], store=place[0], builder=place[1], **fields)  # type: ignore[arg-type]
    sandbox.add_input("src", b"some\n")
    return sandbox


def test_everything_of_a_run_is_seen_where_nothing_can_be_built(
    place: tuple[Castore, OCIBuildService], as_user: AsUser, passable_tmp: Path
) -> None:
    run = _sandbox(place, "cat /nix/store/src > /nix/store/x; echo done").run(show=False, observe=True)
    path = passable_tmp / "x.tvixrun"
    run.save(path, outputs=True, inputs=True)
    path.chmod(0o644)
    assert path.stat().st_size < 30_000
    code = f"""
import sys, json
from tvixbuild_nb import Run
run = Run.load({str(path)!r})
table, isolation, inside = run.mount_table(), run.isolation(), run.inside
from tvixbuild_nb.widgets.registry import register_views
register_views()
shown = [value._repr_mimebundle_() for value in (run, run.log, run.outputs, run.inputs, table, isolation)]
print(json.dumps({{
    "text": str(run), "log": run.log.text(), "output": run.outputs["nix/store/x"].read_text(),
    "input": run.inputs["src"].read_text(), "accesses": run.accesses.inputs["src"].bytes_read,
    "namespaces": {{row.type: row.host for row in isolation.namespaces}}, "inside": len(inside.mountinfo),
    "observed": table.observed, "why": len(run.why("some")),
    "marked": [all("recorded 20" in form[kind] for kind in ("text/plain", "text/html")) for form in shown],
    "script": str(run.script())[:11], "nar": str(run.nar_hash["nix/store/x"]),
}}))
"""
    hidden = "mount --bind /dev/null /dev/fuse; mount --bind /dev/null $(command -v runc)"
    done = as_user(code, before=hidden, check=True)
    seen = json.loads(done.stdout)
    assert "recorded 20" in seen["text"] and "runc" in seen["text"] and "Linux" in seen["text"]
    assert (seen["log"], seen["output"], seen["input"], seen["accesses"]) == ("done\n", "some\n", "some\n", 5)
    isolation = run.isolation()
    assert isolation is not None and seen["observed"]
    assert seen["namespaces"] == {row.type: row.host for row in isolation.namespaces}
    assert seen["inside"] > 5 and seen["marked"] == [True] * 6 and seen["nar"] == str(run.nar_hash["nix/store/x"])
    assert seen["script"].startswith("#!")


def test_no_secret_gets_into_a_record_of_a_real_run(place: tuple[Castore, OCIBuildService], tmp_path: Path) -> None:
    run = _sandbox(
        place, "echo t=$TOKEN; printf %s correct-ho; sleep 0.2; printf %s rse-battery; sleep 30",
        env={"TOKEN": SECRET}, secrets=["TOKEN"],
    ).run(show=False, observe=True, timeout=1.5)  # fmt: skip
    run.exec("env; echo again $TOKEN")
    run.save(tmp_path / "x.tvixrun", inputs=True)
    with zipfile.ZipFile(tmp_path / "x.tvixrun") as archive:
        assert {"config.json", "inside.json", "processes.json", "visits.jsonl"} < set(archive.namelist())
        for name in archive.namelist():
            assert b"correct-horse" not in archive.read(name), name
    loaded = Run.load(tmp_path / "x.tvixrun")
    assert loaded.log.text() == "t=[secret TOKEN]\n[secret TOKEN]"
    assert "again [secret TOKEN]" in loaded.exec("env; echo again $TOKEN").output
    tree = loaded.processes()
    assert tree is not None and str(tree) == str(run.processes())


def test_what_was_asked_of_a_run_is_answered_by_its_record(
    place: tuple[Castore, OCIBuildService], tmp_path: Path
) -> None:
    run = _sandbox(place, "exit 3").run(show=False, check=False)
    count = "echo x >> /build/n; wc -l < /build/n"
    assert [run.exec(count).output for _ in range(2)] == ["1\n", "2\n"]
    run.exec(["/bin/sh", "-c", "exit 7"], fresh=True)
    with run.shell() as shell:
        shell("cd /nix/store")
        assert shell("pwd").output == "/nix/store\n"
    run.save(tmp_path / "x.tvixrun")
    loaded = Run.load(tmp_path / "x.tvixrun")
    assert [loaded.exec(count).output for _ in range(3)] == ["1\n", "2\n", "2\n"]
    again = loaded.exec("exit 7", fresh=True)
    assert again.exit_code == 7 and again.recorded == loaded.recorded and "[recorded 20" in str(again)
    shown = io.StringIO()
    loaded.exec(count, output=shown)
    assert shown.getvalue() == "2\n"
    with loaded.shell() as recorded:
        assert recorded("pwd").output == "/nix/store\n" and "cd /nix/store" in str(recorded)
    with pytest.raises(NotRecorded, match="reboot") as refused:
        loaded.exec("reboot")
    assert count in str(refused.value)
    for refusal in (loaded.cancel, loaded.delete, lambda: loaded.shell(phase="buildPhase")):
        with pytest.raises(NotRecorded, match="record"):
            refusal()


def test_the_explanation_is_the_recorded_one(place: tuple[Castore, OCIBuildService], tmp_path: Path) -> None:
    run = _sandbox(place, "nosuch").run(show=False)
    said = str(run.explain())
    run.save(tmp_path / "x.tvixrun")
    run.delete()
    shutil.rmtree(place[1]._root_path, ignore_errors=True)
    assert str(Run.load(tmp_path / "x.tvixrun").explain()) == said != ""


def test_check_and_minimize_are_replayed(
    place: tuple[Castore, OCIBuildService], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sandbox(**more: object) -> Sandbox:
        fields = {"store": place[0], "builder": place[1], **more}
        made = Sandbox("cat /nix/store/a > /nix/store/x; hostname >> /nix/store/x", outputs=["nix/store/x"], **fields)  # type: ignore[arg-type]
        made.add_input("a", b"a")
        made.add_input("b", b"b")
        return made

    vary = ["hostname", "timezone", "order"]
    checked, smaller = sandbox().check(3, vary=vary), sandbox().minimize()
    saved = list(save_all(tmp_path / "records"))
    assert saved and all(isinstance(each, SavedSize) for each in saved)
    monkeypatch.setenv("TVIXBUILD_NB_BUILDER", f"replay:{tmp_path / 'records'}")
    again = sandbox(store=open_castore("memory:"), builder=None).check(3, vary=vary)
    assert [cause.variation and cause.variation.name for cause in again.causes] == ["hostname"]
    assert [cause.variation for cause in checked.causes] == [cause.variation for cause in again.causes]
    found = sandbox(store=open_castore("memory:"), builder=None).minimize()
    assert str(found).partition("run ")[0] == str(smaller).partition("run ")[0]
    run = sandbox(store=open_castore("memory:"), builder=None).start().wait()
    assert run.recorded is not None and run.recorded.host is not None and run.recorded.host.runtime == "runc"


def test_the_log_is_played_at_its_own_speed(place: tuple[Castore, OCIBuildService], tmp_path: Path) -> None:
    run = _sandbox(place, "echo a; sleep 0.6; echo b").run(show=False)
    run.save(tmp_path / "x.tvixrun")
    loaded = Run.load(tmp_path / "x.tvixrun")
    for speed, most, least, longest in ((1.0, None, 0.5, 5.0), (4.0, None, 0.1, 0.5), (1.0, 0.1, 0.05, 0.5)):
        shown, began = io.StringIO(), time.monotonic()
        loaded.replay(speed, max_pause=most, output=shown)
        assert shown.getvalue() == "a\nb\n" and least <= time.monotonic() - began <= longest


def test_who_dies_while_looking_keeps_nothing_from_gc(place: tuple[Castore, OCIBuildService], tmp_path: Path) -> None:
    _sandbox(place, "echo x").run(show=False).save(tmp_path / "x.tvixrun")
    code = f"from tvixbuild_nb import Run; r = Run.load({str(tmp_path / 'x.tvixrun')!r}); print(1, flush=True); input()"
    looking = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert looking.stdout is not None and looking.stdout.readline() == "1\n"
    from tvixbuild_nb.build.records import sweep_opened

    assert sweep_opened() == []
    looking.send_signal(signal.SIGKILL)
    looking.communicate()
    assert len(sweep_opened()) == 1


def test_a_derivation_that_is_fetched_is_replayed(
    place: tuple[Castore, OCIBuildService], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By builtin:fetchurl, where nothing runs: then neither the file nor a runtime has to be there."""
    fetched = tmp_path / "fetched"
    fetched.write_bytes(b"contents\n")
    hash = NixHash.of("sha256", b"contents\n")
    path = StoreDir().fixed_output_path("fetched", "flat", hash)
    first = Derivation(
        name="fetched", outputs={"out": Fixed(path, hash, "flat")}, system=b"builtin", builder=b"builtin:fetchurl",
        env={b"url": fetched.as_uri().encode(), b"out": StoreDir().join(path).encode()},
    )  # fmt: skip
    for folder in ("drvs", "nix/store"):
        (tmp_path / folder).mkdir(parents=True)
    written = tmp_path / "drvs" / derivation_path(first).basename
    written.write_bytes(write_aterm(first))
    inputs = f"local?root={tmp_path}"
    run = Sandbox.from_derivation(written, inputs, store=place[0], builder=place[1]).run(show=False)
    assert run.ok, str(run)
    run.save(tmp_path / "fetched.tvixrun", outputs=True)
    fetched.unlink()
    monkeypatch.setenv("TVIXBUILD_NB_BUILDER", f"replay:{tmp_path}")
    again = Sandbox.from_derivation(written, inputs, store="memory:").run(show=False)
    assert again.ok and again.recorded is not None, str(again)
    [output] = again.outputs.values()
    assert output.read_bytes() == b"contents\n"


def test_where_an_ordinary_user_is_at_home_is_in_no_record(as_user: AsUser) -> None:
    code = """
import os, zipfile
from tvixbuild_nb import Run, Sandbox
run = Sandbox("nosuch; pwd", outputs=["nix/store/x"]).run(show=False, observe=True)
run.save("x.tvixrun")
with zipfile.ZipFile("x.tvixrun") as archive:
    found = [name for name in archive.namelist() if os.environ["HOME"].encode() in archive.read(name)]
print(run.status, found, Run.load("x.tvixrun").inside is not None, os.path.exists(str(run.bundle)))
"""
    assert as_user(code, check=True).stdout == "failed [] True True\n"
