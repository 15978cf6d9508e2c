"""run.explain(): what it says to do is pasted, and the build that failed goes well; looks, ends, and healthy runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.cli import start_command
from support.elves import elf_file
from tvixbuild_nb import Run, Sandbox, SpecOptions
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.debug import Explanation
from tvixbuild_nb.debug.elf import read_elf
from tvixbuild_nb.sandbox.hostprogram import program_files

pytestmark = pytest.mark.integration
MEMORY = {"memory": 32 << 20}
FORKS = "for i in 1 2 3 4 5 6 7 8; do sleep 0.3 & done; wait"
HUNGRY = "dd if=/dev/zero of=/dev/null bs=48M count=1"
BASH = os.path.realpath(shutil.which("bash") or "/bin/bash")
OPENS = 'i=3; while [ $i -lt 1500 ]; do eval "exec $i</dev/null" || exit 5; i=$((i+1)); done'


def _sandbox(command: object, **fields: Any) -> Sandbox:
    return Sandbox(command, store=open_castore("memory:"), **fields)  # type: ignore[arg-type]


def _explained(sandbox: Sandbox, **how: Any) -> Explanation:
    run = sandbox.run(show=False, check=False, **how)
    found = run.explain()
    if found.first is not None:
        assert f"hint: {found.first.cause}: " in str(run)
    run.delete()
    return found


def _pasted(sandbox: Sandbox, cure: str) -> Run:
    """The run after ``cure`` was pasted into a notebook where the sandbox is called sb."""
    scope: dict[str, Any] = {"sb": sandbox}
    exec(cure, scope)
    run = scope.get("run") or sandbox.run(show=False, check=False)
    assert isinstance(run, Run)
    return run


def _tool(place: Path, contents: str = "#!/bin/sh\necho hello\n", mode: int = 0o755) -> Path:
    (place / "tool").mkdir()
    (place / "tool" / "hello").write_text(contents)
    (place / "tool" / "hello").chmod(mode)
    return place / "tool"


@pytest.mark.parametrize(
    ("command", "fields", "cause", "told"),
    [
        ("mkdir -p /opt/x", {}, "/opt is not below a scratch path", "writable are"),
        ("mkdir -p $HOME/.cache", {"env": {"HOME": "/homeless-shelter"}}, "no home directory", "homeless"),
        (OPENS, {}, "1024 files open", "RLIMIT_NOFILE is 1024"),
        (f"exec {HUNGRY}", {"limits": MEMORY}, "out of memory: the command", "ended 1 of its processes"),
        (f"({HUNGRY}) || exit 3", {"limits": MEMORY}, "out of memory: a child", "ended 1 of its processes"),
        (FORKS, {"limits": {"pids": 6}}, "as many processes and threads run as may", "can't fork"),
        ("dd if=/dev/zero of=${TMPDIR:-/dev/shm}/x bs=1M count=66", {}, "on /dev/shm (a tmpfs, size=", "/dev/shm/x is"),
        (["/bin/sh", "-c", "true"], {"provide_bin_sh": False}, "/bin/sh is not inside", "stat /bin/sh"),
        ("echo > /nix/store/uot", {"outputs": ["nix/store/out"]}, "did not write /nix/store/out", "uot was written"),
        (["/opt/run"], {"additional_files": {"opt/run": "#!/bin/sh\n"}}, "/opt/run is not executable", "run: file"),
        ("echo 'x.c:1:1: fatal error: z.h: No such file or directory'; [ $CPATH ]", {"inputs": {"z": {}}},
         "z.h is there, but not where", "/nix/store/z/include/z.h is there"),
    ],
    ids=["erofs", "home", "files", "memory", "memory-child", "processes", "shm", "no-shell", "output", "file", "h"],
)  # fmt: skip
def test_a_pasted_cure_mends_it(tmp_path: Path, command: object, fields: dict[str, Any], cause: str, told: str) -> None:
    if "inputs" in fields:
        (tmp_path / "include").mkdir()
        (tmp_path / "include" / "z.h").write_text("")
        fields = {"inputs": {"z": tmp_path}}
    if "limits" in fields:
        fields = {"options": SpecOptions.for_host(**fields)}
    sandbox = _sandbox(command, **fields)
    found = _explained(sandbox)
    first = found.findings[0]
    assert cause in first.cause and any(told in one.text for one in first.evidence), str(found)
    assert first.confidence in ("certain", "likely") and len(found) == 1, str(found)
    run = _pasted(sandbox, first.cure)
    assert run.ok, f"{first.cure}\n{run}"
    run.delete()


@pytest.mark.parametrize("runtime", ["runc", "crun"])
@pytest.mark.parametrize(
    ("command", "contents", "mode", "env", "cause"),
    [
        (["/nix/store/tool"], "#!/bin/sh\n", 0o755, {}, "is a directory, no program"),
        (["/nix/store/tool/hello"], "echo\n", 0o755, {}, "neither an ELF file nor a script"),
        (["/nix/store/hello"], "#!/bin/sh\n", 0o755, {}, "but there is /nix/store/tool/hello"),
        (["hello"], "#!/bin/sh\n", 0o755, {"PATH": "/nix/store/none"}, "hello is in no directory of PATH"),
        ("hello", "#!/bin/sh\n", 0o755, {"PATH": "/nix/store/none"}, "hello is in no directory of PATH"),
        (["/nix/store/tool/hello"], "#!/bin/sh\n", 0o644, {}, "is not executable"),
        ("/nix/store/tool/hello", "#!/bin/sh\n", 0o644, {}, "is not executable"),
        ("/nix/store/tool", "#!/bin/sh\n", 0o755, {}, "is a directory, no program"),
    ],
    ids=["directory", "no-shebang", "elsewhere", "path", "shell-path", "no-x", "shell-no-x", "shell-directory"],
)  # fmt: skip
def test_commands_that_are_there_under_both_runtimes(
    tmp_path: Path, runtime: str, command: object, contents: str, mode: int, env: dict[str, str], cause: str
) -> None:
    tool = _tool(tmp_path, contents, mode)
    sandbox = _sandbox(command, inputs={"tool": tool}, env=env, runtime=runtime)
    found = _explained(sandbox)
    first = found.findings[0]
    assert cause in first.cause and first.confidence == "certain" and len(found) == 1, str(found)
    (tool / "hello").chmod(0o755)  # as the comment of that cure says
    if command != "/nix/store/tool":  # a word of a shell's script: what is to be written there instead is not code
        run = _pasted(sandbox, first.cure.replace('"PATH")', repr(str(tool)) + ")"))
        assert run.ok, f"{first.cure}\n{run}"
        run.delete()


def _without_a_library(place: Path) -> tuple[dict[str, Path], str]:
    """ls of this host with its loader and all its libraries but one, by the inputs' names; and that one's name."""
    wanted = program_files("ls")
    program = next(path for path in wanted if os.path.basename(path) == "ls" and not os.path.islink(path))
    with open(program, "rb") as file:
        elf = read_elf(file)
    assert elf is not None and elf.interpreter is not None
    loader = elf.interpreter
    libraries = {os.path.basename(path): path for path in wanted if ".so" in path and path != loader}
    lost = next(name for name in elf.needed if not name.startswith("libc."))
    inputs = {name: place / name for name in ("tool", "libs", "lost", loader.split("/")[1])}
    copies = {program: "tool/ls", loader: loader[1:]}
    copies |= {path: f"{'lost' if name == lost else 'libs'}/{name}" for name, path in libraries.items()}
    for path in inputs.values():
        path.mkdir(exist_ok=True)
    for source, target in copies.items():
        (place / target).parent.mkdir(parents=True, exist_ok=True)
        (place / target).write_bytes(Path(source).read_bytes())
        (place / target).chmod(0o755)
    return inputs, lost


def test_a_shared_library_that_is_missing_and_one_that_is_elsewhere(tmp_path: Path) -> None:
    inputs, lost = _without_a_library(tmp_path)
    env = {"LD_LIBRARY_PATH": "/libs"}
    sandbox = _sandbox(["/tool/ls", "/tool"], inputs_dir="", inputs=inputs, env=env)
    (found,) = _explained(sandbox)
    assert f"its shared library {lost} is not found" in found.cause and found.confidence == "certain"
    assert found.lines == {1} and any(one.text == f"/lost/{lost} is there" for one in found.evidence), str(found)
    run = _pasted(sandbox, found.cure)
    assert run.ok, str(run)
    run.delete()
    (missing,) = _explained(_sandbox(
        "/tool/ls || exit 4", inputs_dir="", env=env,
        inputs={name: path for name, path in inputs.items() if name != "lost"},
    ))  # fmt: skip
    # Where the loader really looked, in its order, as the view was asked.
    looked = next(one.text for one in missing.evidence if "was looked for in" in one.text)
    assert missing.confidence == "likely" and "/libs" in looked and looked.endswith("nowhere"), str(missing)
    # The program is not this host's ls, which stands elsewhere: what another input must hold is said.
    assert missing.cure.startswith(f"# the input tool has ls without {lost}") and "host" not in missing.cure
    without = {name: path for name, path in inputs.items() if name != "lost"}
    sandbox = _sandbox(["/tool/ls", "/tool"], inputs_dir="", env={"LD_LIBRARY_PATH": "/libs:/lost"}, inputs=without)
    run = _pasted(sandbox, missing.cure.replace('"...", ...', f'"lost", {str(inputs["lost"])!r}'))
    assert run.ok, str(run)
    run.delete()


def test_a_program_that_is_looked_for_in_vain_and_where(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    sandbox = _sandbox("nonesuch --version", inputs={name: tmp_path / name for name in ("a", "b")},
                       env={"PATH": "/nix/store/b:/nix/store/a"})  # fmt: skip
    (found,) = _explained(sandbox)
    assert "nonesuch is neither in PATH nor in an input" in found.cause
    told = [one.text for one in found.evidence]
    assert "nonesuch was looked for in /nix/store/b, /nix/store/a: nowhere" in told, told


@pytest.mark.parametrize("command", ["helo", ["helo"], ["/nix/store/tool/helo"]], ids=["shell", "path", "absolute"])
def test_a_program_that_is_there_under_another_name(tmp_path: Path, command: object) -> None:
    sandbox = _sandbox(command, inputs={"tool": _tool(tmp_path)}, env={"PATH": "/nix/store/tool"})
    (found,) = _explained(sandbox)
    assert any(one.text == "/nix/store/tool/hello is there" for one in found.evidence), str(found)


@pytest.mark.parametrize(
    ("contents", "mode", "cause"),
    [
        (b"#!/bin/none\n", 0o755, "its interpreter cannot be executed: /bin/none is not inside"),
        (b"#!/bin/sh\r\n", 0o755, "ends in CR LF"),
        (b"#!/bin/sh\n", 0o644, "/tool/hello is not executable"),
        ("loader", 0o755, "its ELF interpreter /lib/ld-none.so.1 is not inside"),
        ("machine", 0o755, "/tool/hello is for MIPS"),
    ],
    ids=["interpreter", "crlf", "no-x", "loader", "architecture"],
)  # fmt: skip
def test_what_bash_says_of_programs_that_do_not_start(
    tmp_path: Path, contents: bytes | str, mode: int, cause: str
) -> None:
    if isinstance(contents, str):
        contents = elf_file(machine=8) if contents == "machine" else elf_file()
    (tmp_path / "hello").write_bytes(contents)
    (tmp_path / "hello").chmod(mode)
    sandbox = _sandbox(["/bin/bash", "-c", "/tool/hello; exit $?"], inputs_dir="", inputs={"tool": tmp_path})
    sandbox.add_host_program("bash")
    sandbox.command = (BASH, *sandbox.command[1:])
    found = _explained(sandbox)
    first = found.findings[0]
    assert cause in first.cause and first.confidence == "certain" and len(found) == 1, str(found)
    assert first.lines == {1} and any(one.text.startswith("/tool/hello: file") for one in first.evidence), str(found)


@pytest.mark.parametrize(
    ("command", "cause", "told"),
    [
        ("wget -q http://example.org/", "the sandbox has no network", "bad address"),
        ("echo > f; chown 4444 f", "id maps do not have", "user ids inside"),
        ("ls -ldn /nix/store/tool; false", "owner is outside the id maps", "65534"),
        ("echo x >> /nix/store/tool/hello", "is not below a scratch path", "writable are"),
        ("sh -c 'kill -9 $$'; exit $?", "SIGKILL ended a process of the command", "Killed"),
        ("sh -c 'kill -SEGV $$'; exit $?", "SIGSEGV ended a process of the command", "Segmentation fault"),
        ("exit 126", "status 126", "status 126"),
        ("exit 127", "status 127", "status 127"),
        ("exit 137", "SIGKILL", "no process was ended for lack of memory"),
    ],
)
def test_what_no_code_can_mend_is_said(tmp_path: Path, command: str, cause: str, told: str) -> None:
    found = _explained(_sandbox(command, inputs={"tool": _tool(tmp_path)}))
    (first,) = found
    assert cause in first.cause and any(told in one.text for one in first.evidence), str(found)
    assert (found.first is None) == command.startswith(("exit", "ls")), str(found)


def test_time_limits_and_cancelling_are_told_apart_and_run_again() -> None:
    sandbox = _sandbox("sleep ${1:-0.4}")
    late = sandbox.run(show=False, check=False, timeout=0.15)
    (first,) = late.explain()
    assert first.cause == "the time limit passed, and the run was ended"
    # Who waits comes first, more time last.
    shows, says, again = first.cure.split("\n")
    assert shows.startswith("print(run.processes())") and "1 sleep: shorten its sleep" in says and "timeout=" in again
    scope: dict[str, Any] = {"sb": sandbox, "run": late}
    exec(first.cure, scope)
    assert scope["run"].ok
    run = sandbox.start()
    threading.Timer(0.1, run.cancel).start()
    run.follow(None)
    (cancelled,) = run.explain()
    assert run.status == "cancelled" and "it did not fail by itself" in cancelled.cause
    assert _pasted(sandbox, cancelled.cure).ok


FULL = """
import json, subprocess, sys
from tvixbuild_nb import Sandbox, open_castore
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "small", sys.argv[1]], check=True)
sandbox = Sandbox("sleep 0.4; dd if=/dev/zero of=/build/big bs=1M count=9", store=open_castore("memory:"),
                  builder=f"oci:{sys.argv[1]}/b")
found = sandbox.run(show=False, check=False, keep="never").explain()
print(json.dumps(found.to_dict()))
"""


def test_a_full_disk_is_named_with_its_mount(root: None, passable_tmp: Path) -> None:
    (passable_tmp / "small").mkdir()
    mounts = ["unshare", "--mount", "--propagation", "private"]
    done = subprocess.run(
        [*mounts, sys.executable, "-c", FULL, passable_tmp / "small"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert len(findings) == 1, done.stdout
    found = findings[0]
    assert found["cause"] == "no space is left on /build (the disk below the bundle)" and "oci:" in found["cure"]
    assert [one["kind"] for one in found["evidence"]] == ["log", "mount"] and found["confidence"] == "certain"


@pytest.mark.parametrize("damage", [lambda store: store.rename(f"{store}.gone"), lambda store: _cut(store)])
def test_a_store_that_cannot_be_looked_into(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    store = tmp_path / "store"
    with open_castore(str(store)) as castore:
        sandbox = Sandbox(["/nix/store/tool/hello"], store=castore, inputs={"tool": _tool(tmp_path, "#!/none\n")})
        run = sandbox.run(show=False, check=False)
    damage(store)
    # Another process, as after a restart of the notebook's kernel: nothing is open any more.
    with start_command("explain", run.id, "--json") as process:
        out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    told = json.loads(out)
    assert told["wrong"] and told["unseen"] and "the inputs" in told["unseen"][0], told
    assert all("is not inside" not in one["cause"] or "or" in one["cause"] for one in told["findings"]), told
    run.delete()


def _cut(store: Path) -> None:
    for path in store.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        ("cat none 2>&1; nonesuch || true; mkdir /homeless-shelter 2>&1 || true", {}),
        (["/nix/store/tool/hello"], {"runtime": "crun"}),
        ("sh -c 'kill -9 $$'; (exit 137); (exit 127); true", {}),
        (["/bin/sh", "-c", "kill -9 $$"], {}),
        (f"({HUNGRY}) || true", {"limits": MEMORY}),
        ("echo made > /nix/store/out", {"outputs": ["nix/store/out"], "network_access": True}),
    ],
    ids=["words", "crun", "children", "pid-1", "memory", "output"],
)
def test_a_healthy_run_has_no_finding(tmp_path: Path, command: object, fields: dict[str, Any]) -> None:
    if "limits" in fields:
        fields = {"options": SpecOptions.for_host(**fields)}
    run = _sandbox(command, inputs={"tool": _tool(tmp_path)}, **fields).run(show=False)
    found = run.explain()
    assert run.ok and not found and not found.wrong and str(found) == "nothing is wrong" and "hint" not in str(run)
    run.delete()


def test_a_compiler_of_which_only_the_driver_is_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("main.c").write_text('#include <stdarg.h>\n#include <stdio.h>\nint main(void) { return puts("well") < 0; }\n')
    script = "gcc -o /nix/store/out /src/main.c"
    sandbox = _sandbox(script, inputs_dir="", outputs=["nix/store/out"], env={"PATH": "/usr/bin"})
    sandbox.add_input("src", tmp_path)
    sandbox.add_host_program("gcc")
    found = _explained(sandbox)
    assert len(found) == 1 and found.first is not None, str(found)
    assert "more than its driver" in found.first.cause and "cc1" in found.first.cause
    assert "cannot execute" in str(found) and any(one.kind == "file" for one in found.first.evidence), str(found)
    run = _pasted(sandbox, found.first.cure)
    assert run.ok, f"{run}\n{run.log.text()}"
    run.delete()


def test_an_apostrophe_opens_no_quotation(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text("")
    sandbox = _sandbox("cd /nix/store/src && cp main.c main.c.bak", inputs={"src": tmp_path})
    found = _explained(sandbox)
    assert found.first is not None and found.first.cause.startswith("main.c.bak is not below a scratch path"), str(
        found
    )
