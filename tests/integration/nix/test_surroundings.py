"""What a builder finds around itself in Nix's sandbox and in ours: the same, or in the table of differences."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.nix import GOLDEN_VERSION, Nix
from tvixbuild_nb import Sandbox
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.nix import DIFFERENCES
from tvixbuild_nb.sandbox import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

# One fact a line, its name first; the log stays open, since Nix ends a builder that closes it.
_PROBE = r"""
exec 3>&1
fact() {
  name=$1; shift
  printf '%s\t%s\n' "$name" "$("$@" 2>&1 | tr '\n\t' '| ')"
}
refused() { "$@" > /dev/null 2>&1 && echo no || echo yes; }
called() { tr '\0' '\n' < /proc/$$/cmdline | head -n 1; }
status() { sed -n "s/^$1:[[:space:]]*//p" /proc/$$/status; }
mounted() { sed -n "s|^[^ ]* $1 \([^ ]*\) .*|\1|p" /proc/mounts; }
echo x > /build/x
{
  fact ids id
  fact directory pwd
  fact input-lines readlink /proc/$$/fd/0
  fact variables sh -c 'env | grep -v NIX_BUILD_CORES= | sort'
  fact mask umask
  fact host cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname
  fact first-process echo $$
  fact sessions sed -E 's/.*\) [A-Z] [0-9]+ ([0-9]+ [0-9]+) .*/\1/' /proc/self/stat
  fact addresses sh -c "ip address | grep -E '^[0-9]|inet'"
  fact routes ip route
  fact privileges-fixed status NoNewPrivs
  fact groups status Groups
  fact unshared refused unshare -U true
  fact mounting refused mount -t tmpfs none /tmp
  fact device refused mknod /build/device c 1 3
  fact pipe refused mkfifo /build/pipe
  fact stack ulimit -s
  fact processes ulimit -u
  fact nothing-else find / -maxdepth 1 ! -name sys
  fact tmp-mode stat -c %a /tmp
  fact null-mode stat -c '%a %t %T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty
  fact hosts cat /etc/hosts
  fact input-modes stat -c '%a %Y %F' $input $input/run $input/text $input/link
  fact own stat -c '%u %g' /build /nix/store

  fact user:capabilities status CapEff
  fact user:id-zero refused chown 0 /build/x
  fact system-calls:filter status Seccomp
  fact system-calls:bits refused chmod u+s /build/x
  fact root:writable refused touch /probe /etc/probe /nix/probe
  fact root:modes stat -c %a / /build /nix/store
  fact inputs:owner stat -c '%u %g' $input
  fact inputs:refusal touch $input/new
  fact etc:passwd cat /etc/passwd
  fact etc:group cat /etc/group
  fact etc:switch cat /etc/nsswitch.conf
  fact devices:all ls /dev
  fact devices:shm sh -c "grep /dev/shm /proc/mounts | cut -d ' ' -f 4"
  fact kernel-files:sys ls /sys
  fact kernel-files:proc grep -c ' /proc/' /proc/mounts
  fact tmp:kind mounted /tmp
  fact terminal:log refused test -t 3
  fact limits:files ulimit -n
  fact limits:core ulimit -c
  fact personality:flags cat /proc/self/personality
  fact program-name:first called
} > $out
"""
_EXPRESSIONS = """
let
  make = name: script: more: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; PATH = "/bin";
  } // more);
  input = make "input" "mkdir $out; echo > $out/text; echo > $out/run; chmod 751 $out/run; ln -s text $out/link" { };
in {
  probe = make "probe" (builtins.readFile ./probe.sh) { inherit input; };
  network = make "network" "{ readlink /proc/self/ns/net; ls /etc; } >&2; printf hello > $out" {
    outputHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; outputHashAlgo = "sha256";
  };
}
"""
_SHELL = ("--option", "sandbox-paths", "/bin/sh=/bin/busybox")
# In the table, but not seen by such a builder: other tests have them.
_ELSEWHERE = {
    "cores", "own-variables", "attribute-files", "encodings", "fixed-references", "builtins", "impure-variables",
    "settings", "substitution", "outputs",
}  # fmt: skip


@pytest.fixture(scope="module")
def expressions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("expressions")
    (directory / "probe.sh").write_text(_PROBE)
    (directory / "probe.nix").write_text(_EXPRESSIONS)
    return directory / "probe.nix"


def _facts(text: str) -> Mapping[str, str]:
    return dict(line.split("\t", 1) for line in text.splitlines())


def _run(nix: Nix, basename: str, tmp_path: Path) -> Run:
    place = f"local?root={nix.root / 'root'}"
    store = open_castore(tmp_path / "castore")
    return Sandbox.from_derivation(nix.store / basename, place, store=store).run(show=False, keep="never", check=True)


def test_what_differs_is_in_the_table(nix: Nix, expressions: Path, tmp_path: Path) -> None:
    [basename] = nix.instantiate(expressions, "-A", "probe")
    path = nix("nix-store", "-r", f"/nix/store/{basename}", *_SHELL).decode().split()[-1]
    theirs = _facts((nix.store / os.path.basename(path)).read_text())
    [output] = _run(nix, basename, tmp_path).outputs.values()
    ours = _facts(output.read_text())
    assert list(theirs) == list(ours) and len(ours) > 40
    differing = {name for name in ours if ours[name] != theirs[name]}
    known = {each.name for each in DIFFERENCES}
    for name in differing:
        assert name.partition(":")[0] in known, (name, theirs[name], ours[name])
    told = {name.partition(":")[0] for name in ours if ":" in name}
    assert told | _ELSEWHERE == known, "a row that nobody has seen"
    if nix.version == GOLDEN_VERSION:
        # In Nix limits are the host's, and may happen to be ours.
        assert told - {name.partition(":")[0] for name in differing} <= {"limits"}


def test_a_fixed_output_has_the_hosts_network(nix: Nix, expressions: Path, tmp_path: Path) -> None:
    [basename] = nix.instantiate(expressions, "-A", "network")
    seen = _run(nix, basename, tmp_path).log.text().split()
    assert seen[0] == os.readlink("/proc/self/ns/net")
    # Those of them that this host has: a small one lacks services.
    assert {name for name in ("hosts", "resolv.conf", "services") if os.path.exists(f"/etc/{name}")} <= set(seen[1:])
