"""run.explain() of derivations that fail, each in one way: cures are attributes of Nix, which Nix can read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.elves import elf_file
from support.nix import Nix
from tvixbuild_nb import Sandbox
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.debug import Finding

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

_EXPRESSIONS = r"""
let
  make = name: script: more: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-ec" script ]; PATH = "/bin";
  } // more);
  program = make "program-1.0" ''
    mkdir -p $out/bin; cp ${./loader} $out/bin/loader; cp ${./script} $out/bin/script; echo : > $out/bin/tool
    chmod 755 $out/bin/*
  '' { };
  hello = {
    outputHashAlgo = "sha256"; outputHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  };
in {
  tool = make "tool" "nonesuch-tool" { };
  input = make "input" "tool" { inherit program; };
  loader = make "loader" "${program}/bin/loader" { };
  script = make "script" "${program}/bin/script" { };
  command = make "command" "" { builder = "/bin/none"; };
  home = make "home" "cd $HOME" { };
  network = make "network" "wget http://example.org/x" { };
  fixed = make "fixed" "wget -O $out http://example.org.invalid/x" hello;
  hash = make "hash" "echo other > $out" hello;
  refers = make "refers" "echo ${program} > $out" { allowedReferences = [ ]; };
  elsewhere = make "elsewhere" "echo > /etc/x" { };
  directory = make "directory" "echo > /opt/x" { };
  absent = make "absent" "cat /opt/x" { };
  unset = make "unset" "echo > $DEST/c" { };
  variable = make "variable" "set -u; echo $FOO" { };
  crlf = make "crlf" "" { args = [ ./crlf.sh ]; };
  output = make "output" "echo > /nix/store/other" { };
  files = make "files" ''
    i=3; while [ $i -lt 1500 ]; do eval "exec $i</dev/null" || exit 5; i=$((i+1)); done
  '' { };
  header = make "header" "echo 'x.c:1:1: fatal error: z.h: No such file or directory'; exit 1" { };
  compiler = make "compiler" "echo \"gcc: error: cannot execute 'cc1'\"; exit 1" { };
  certificates = make "certificates" "echo 'SSL certificate problem: none'; exit 1" { };
  shm = make "shm" "dd if=/dev/zero of=/dev/shm/x bs=1M count=66" { };
  hang = make "hang" "sleep 20" { };
}
"""
# What is broken -> words of the cause, of the cure
_TOLD = {
    "tool": ("nonesuch-tool is neither in PATH nor in an input", "nativeBuildInputs = [ pkgs.PACKAGE ];"),
    "input": ("tool is in no directory of PATH, but there is", "nativeBuildInputs = [ pkgs.program ];"),
    "loader": ("its ELF interpreter /lib/ld-none.so.1 is not inside", "-program-1.0:\nnativeBuildInputs = [ pkgs.auto"),
    "script": ("/usr/bin/env is not inside", "patchShebangs"),
    "command": ("/bin/none is not inside", "${pkgs.PACKAGE}/bin/none"),
    "home": ("HOME is /homeless-shelter", 'HOME = "/build";'),
    "network": ("the sandbox has no network", "pkgs.fetchurl"),
    "fixed": ("the sandbox has the host's network", "/etc/resolv.conf of the host"),
    "hash": ("what was fetched is not what was written down", "write the hash after 'got:' down"),
    "refers": ("the output refers to /nix/store/", "run.why("),
    "elsewhere": ("/etc/x is not below a scratch path", "write below $TMPDIR (/build)"),
    "directory": ("/opt/x is not inside", "write below $TMPDIR (/build)"),
    "absent": ("/opt/x is not inside", "copy the file into the source"),
    "unset": ("the variable DEST is not set", 'DEST = placeholder "out";'),
    "variable": ("the variable FOO is not set", 'FOO = "...";'),
    "crlf": ("its lines end in CR LF", r"sed -i 's/\r$//'"),
    "output": ("did not write /nix/store/", "mkdir -p $out"),
    "files": ("1024 files open", "Sandbox.from_derivation("),
    "header": ("no input has the header z.h", "buildInputs = [ pkgs.PACKAGE ];"),
    "compiler": ("a compiler is more than its driver", "pkgs.gcc"),
    "certificates": ("certificate authorities is not in the sandbox", "pkgs.cacert"),
    "shm": ("no space is left on /dev/shm", 'TMPDIR = "/build";'),
    "hang": ("the time limit passed", "--timeout 60"),
}
_SANDBOX_ONLY = re.compile(r"\bsb\.|inputs_dir|add_host_program|add_input|available_ro_paths|\bsb = ")
_ATTRIBUTE = re.compile(r"^\w+ = .*;(?:  #.*)?$")


@pytest.fixture(scope="module")
def expressions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("expressions")
    (directory / "loader").write_bytes(elf_file())
    (directory / "script").write_text("#!/usr/bin/env python3\n")
    (directory / "crlf.sh").write_bytes(b"echo x > $out\r\n")
    (directory / "explaining.nix").write_text(_EXPRESSIONS)
    return directory / "explaining.nix"


def _readable(nix: Nix, cure: str) -> None:
    """Each kind of line is what it looks like: attributes Nix, the rest Python, a command or a comment."""
    lines = cure.split("\n")
    attributes = [line for line in lines if _ATTRIBUTE.match(line)]
    nix("nix-instantiate", "--parse", "-E", "{ pkgs }: {\n" + "\n".join(attributes) + "\n}")
    if lines[0].startswith("from "):
        compile(cure, "cure", "exec")


@pytest.mark.parametrize("name", _TOLD)
def test_what_fails_has_a_cure_that_a_derivation_can_take(
    nix: Nix, expressions: Path, tmp_path: Path, name: str
) -> None:
    [basename] = nix.instantiate(expressions, "-A", name)
    place = f"local?root={nix.root / 'root'}"
    sandbox = Sandbox.from_derivation(nix.store / basename, place, store=open_castore(tmp_path / "castore"))
    run = sandbox.run(show=False, check=False, timeout=1.5 if name == "hang" else None)
    found = run.explain()
    (first,) = found
    cause, cure = _TOLD[name]
    assert cause in first.cause and cure in first.cure and found.first == first, str(found)
    assert not _SANDBOX_ONLY.search(first.cure) and not _SANDBOX_ONLY.search(str(run)), str(found)
    _readable(nix, first.cure)
    _whole(name, first, str(run))
    run.delete()


def _whole(name: str, first: Finding, told: str) -> None:
    if name == "hash":
        assert [one.text.partition(":")[0].strip() for one in first.evidence][1:] == ["specified", "got"]
    if name == "refers":
        assert [one.kind for one in first.evidence] == ["verdict", "verdict", "file"]
    if name == "fixed":
        # One thing is said, by the finding and by what stands below the verdict.
        assert "has no network" not in told and first.cause in told
    if name == "hang":
        lines = first.cure.split("\n")
        assert lines[0].startswith("tvixbuild-nb processes ") and lines[-1].startswith("tvixbuild-nb drv run ")
    if name in ("loader", "script"):
        assert any("-program-1.0" in one.text for one in first.evidence)
