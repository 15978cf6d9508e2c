"""explain -: what the real Nix says of builds that fail, each in one way, pasted as it came: one cause, the right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.nix import Nix
from tvixbuild_nb.debug import Explanation
from tvixbuild_nb.debug.pasted import explain_pasted

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

_EXPRESSIONS = r"""
let
  make = name: script: more: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-euc" script ]; PATH = "/bin";
  } // more);
  leaf = make "leaf" "echo leaf > $out" { };
  hello = {
    outputHashAlgo = "sha256";
    outputHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  };
in {
  builder = make "builder" "" { builder = "/bin/none"; };
  tool = make "tool" "nonesuch-tool" { };
  home = make "home" "cd $HOME" { };
  network = make "network" "wget http://example.org/x" { };
  setuid = make "setuid" "echo > f; chmod u+s f" { };
  owner = make "owner" "echo > f; chown 4242 f" { };
  copy = make "copy" "cp -r ${make "tree" "mkdir $out; echo a > $out/a" { }} src; rm -r src" { };
  script = make "script" "printf '#!/bin/none\n' > x; chmod +x x; ./x" { };
  output = make "output" "echo > ../elsewhere" { };
  hash = make "hash" "echo other > $out" (hello // { outputHashMode = "flat"; });
  flat = make "flat" "mkdir $out" (hello // { outputHashMode = "flat"; });
  refers = make "refers" "echo ${leaf} > $out" { allowedReferences = [ ]; };
  cycle = make "cycle" "echo $b > $out; echo $out > $b" { outputs = [ "out" "b" ]; };
  writable = make "writable" "mkdir $out; chmod g+w $out" { };
  fifo = make "fifo" "mkdir $out; mkfifo $out/f" { };
  system = make "system" "" { system = "riscv64-linux"; };
  killed = make "killed" "sh -c 'kill -9 $$'; true" { };
  unknown = make "unknown" "echo strange; exit 3" { };
  random = make "random" "read x < /proc/sys/kernel/random/uuid; echo $x > $out" { };
}
"""
_SHELL = ("--option", "sandbox-paths", "/bin/sh=/bin/busybox")
# What is broken -> words of the cause
_CAUSES = {
    "builder": "builder /bin/none is not among the inputs",
    "tool": "the tool nonesuch-tool is not in the sandbox",
    "home": "HOME is /homeless-shelter on purpose",
    "network": "has no network",
    "setuid": "setuid and setgid bits are refused",
    "owner": "not in the container's id maps",
    "copy": "copies made from them keep that",
    "output": "never wrote its output out",
    "hash": "what was fetched is not what was written down",
    "flat": "outputHashMode is flat",
    "refers": "a reference it must not have",
    "cycle": "in a circle",
    "writable": "writable for its group or for others",
    "fifo": "a FIFO, a socket or a device",
    "system": "for another system",
}


@pytest.fixture(scope="module")
def expressions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("expressions") / "pasted.nix"
    file.write_text(_EXPRESSIONS)
    return file


def _said(nix: Nix, expressions: Path, name: str, *options: str) -> str:
    [basename] = nix.instantiate(expressions, "-A", name)
    return nix.refuses("nix-store", "-r", f"/nix/store/{basename}", *_SHELL, *options)


def _explained(said: str) -> Explanation:
    return explain_pasted([said.encode()])


@pytest.mark.parametrize("name", _CAUSES)
def test_what_nix_says_has_one_cause(nix: Nix, expressions: Path, name: str) -> None:
    # As a terminal shows it, as a program reads it, and as a CI service keeps it.
    guises = {
        "plain": _said(nix, expressions, name),
        "json": _said(nix, expressions, name, "--log-format", "internal-json"),
    }
    guises["service"] = "".join(f"2026-11-28T10:00:00.1234567Z {line}\r\n" for line in guises["plain"].splitlines())
    for guise, said in guises.items():
        found = _explained(said)
        likely = [one for one in found if one.confidence == "likely"]
        assert len(likely) == 1 and _CAUSES[name] in likely[0].cause, f"{guise}: {said}\n{found}"
        lines = said.splitlines()
        assert all(0 < number <= len(lines) for number in likely[0].lines)
        assert "\x1b" not in str(found) and "\\u001b" not in str(found)


def test_what_nix_log_prints_has_the_same_cause(nix: Nix, expressions: Path) -> None:
    [basename] = nix.instantiate(expressions, "-A", "tool")
    nix.refuses("nix-store", "-r", f"/nix/store/{basename}", *_SHELL)
    found = explain_pasted([nix("nix-store", "--read-log", f"/nix/store/{basename}")])
    assert len(found) == 1 and _CAUSES["tool"] in found.findings[0].cause


def test_two_builds_that_differ(nix: Nix, expressions: Path) -> None:
    [basename] = nix.instantiate(expressions, "-A", "random")
    nix("nix-store", "-r", f"/nix/store/{basename}", *_SHELL)
    found = _explained(nix.refuses("nix-store", "-r", "--check", f"/nix/store/{basename}", *_SHELL))
    assert [one.cause for one in found] == ["two builds of the same derivation gave different outputs"]


def test_a_script_without_its_interpreter_and_what_is_not_known(nix: Nix, expressions: Path) -> None:
    # busybox says of a script only that it is not found.
    assert "./x" in str(_explained(_said(nix, expressions, "script")))
    killed = _explained(_said(nix, expressions, "killed"))
    assert all("lack of memory" in one.cause and "likely" in one.cause for one in killed), str(killed)
    unknown = _explained(_said(nix, expressions, "unknown"))
    assert not unknown and unknown.wrong and "is not known" in str(unknown)
    assert re.search(r"the builder of /nix/store/\S+-unknown\.drv failed with exit code 3", str(unknown))
    assert "strange" in str(unknown)
