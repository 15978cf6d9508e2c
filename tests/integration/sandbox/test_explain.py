"""run.explain(): sandboxes that are broken in exactly one way, and what is found; healthy ones have no finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.elves import elf_file
from tvixbuild_nb import Sandbox
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.debug import Explanation
from tvixbuild_nb.errors import BuildFailed

pytestmark = pytest.mark.integration


def _explained(*args: object, timeout: float | None = None, **fields: object) -> Explanation:
    sandbox = Sandbox(*args, store=open_castore("memory:"), **fields)
    run = sandbox.run(show=False, check=False, timeout=timeout)
    try:
        return run.explain()
    finally:
        run.delete()


def _program(tmp_path: Path, contents: bytes, mode: int = 0o755) -> Path:
    place = tmp_path / "tool"
    place.mkdir()
    (place / "hello").write_bytes(contents)
    (place / "hello").chmod(mode)
    return place


@pytest.mark.parametrize(
    ("contents", "mode", "cause", "cure"),
    [
        (elf_file(), 0o755, "its ELF interpreter /lib/ld-none.so.1 is not inside", "patchelf --set-interpreter"),
        (elf_file(machine=8), 0o755, "is for MIPS", "for"),
        (b"#!/bin/sh\r\necho\r\n", 0o755, "ends in CR LF", r"s/\r$//"),
        (b"#!/usr/bin/env python3\n", 0o755, "/usr/bin/env is not inside", "#!"),
        (b"echo\n", 0o755, "neither an ELF file nor a script", "#!/bin/sh"),
        (b"#!/bin/sh\n", 0o644, "is not executable", "chmod +x"),
    ],
    ids=["loader", "architecture", "crlf", "env", "no-shebang", "no-x"],
)
def test_a_command_that_is_there_and_does_not_start(
    tmp_path: Path, contents: bytes, mode: int, cause: str, cure: str
) -> None:
    found = _explained(["/nix/store/tool/hello"], inputs={"tool": _program(tmp_path, contents, mode)})
    first = found.findings[0]
    assert cause in first.cause and cure in first.cure and first.confidence == "certain", str(found)
    assert any(evidence.kind == "file" and "/nix/store/tool/hello" in evidence.text for evidence in first.evidence)
    assert len(found) == 1, str(found)


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    tool = _program(tmp_path, b"#!/bin/sh\n")
    other = _explained(["/nix/store/hello"], inputs={"tool": tool})
    assert "but there is /nix/store/tool/hello" in other.findings[0].cause and len(other) == 1, str(other)
    directory = _explained(["/nix/store/tool"], inputs={"tool": tool})
    assert "is a directory" in directory.findings[0].cause, str(directory)
    shell = _explained(["/bin/sh", "-c", "true"], provide_bin_sh=False)
    assert shell.findings[0].cure == "sb.provide_bin_sh = True" and len(shell) == 1, str(shell)
    path = _explained(["hello"], inputs={"tool": tool}, env={"PATH": "/nix/store/none"})
    assert path.findings[0].cure == 'sb.env["PATH"] = "/nix/store/tool:/nix/store/none"', str(path)


def test_a_program_the_log_calls_not_found(tmp_path: Path) -> None:
    found = _explained("echo hi; /nix/store/tool/hello", inputs={"tool": _program(tmp_path, elf_file())})
    first = found.findings[0]
    assert "is there, but its ELF interpreter" in first.cause and first.lines == {2}, str(found)
    missing = _explained("nonesuch-tool")
    assert "nonesuch-tool is neither in PATH nor in an input" in missing.findings[0].cause, str(missing)


@pytest.mark.parametrize(
    ("command", "cause", "cure", "told"),
    [
        ("echo x > /etc/x", "the rest is read-only", "/build", "writable are"),
        ("sh -c 'kill -15 $$'; exit $?", "SIGTERM ended", "run.log", "143"),
    ],
    ids=["erofs", "signal"],
)
def test_what_a_shell_says_and_how_it_ends(command: str, cause: str, cure: str, told: str) -> None:
    (first,) = _explained(command)
    assert cause in first.cause and cure in first.cure
    assert any(told in evidence.text for evidence in first.evidence), str(first)


def test_what_is_not_known_is_said() -> None:
    unknown = _explained("echo strange; exit 3")
    assert not unknown and unknown.wrong and "is not known" in str(unknown) and "strange" in str(unknown)


def test_the_error_of_a_failed_run_says_the_first_cause_without_secrets() -> None:
    command = "printf '%s: /opt/x: Read-only file system\\n' $TOKEN; exit 1"
    sandbox = Sandbox(command, store=open_castore("memory:"), env={"TOKEN": "hunter2-hunter2"}, secrets=["TOKEN"])
    with pytest.raises(BuildFailed) as caught:
        sandbox.run(show=False, keep="never", check=True)
    run = caught.value.run
    assert caught.value.hint == f"{run.explain().findings[0].cause}: {run.explain().findings[0].cure}"
    for text in (str(caught.value), str(run)):
        assert "hunter2" not in text
        assert "/opt/x is not below a scratch path" in text
    assert "[secret TOKEN]: /opt/x" in str(caught.value)
    run.delete()


def test_secrets_and_escapes_do_not_come_through() -> None:
    found = _explained(
        "printf '%s \\033[2J: Read-only file system\\n' $TOKEN; false", env={"TOKEN": "hunter2"}, secrets=["TOKEN"]
    )
    assert found and "hunter2" not in str(found) and "\x1b" not in str(found) and "[secret TOKEN]" in str(found)
