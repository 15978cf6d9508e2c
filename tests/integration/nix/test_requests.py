"""What a builder finds, asked of a builder that the real Nix runs, and compared with the request we make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.cli import Command, start_command
from support.nix import Nix
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.nix import DIFFERENCES, StoreDir, read_derivation, request_for
from tvixbuild_nb.nix.sources import open_path_source
from tvixbuild_nb.request import BuildRequest

pytestmark = pytest.mark.integration

# The dump is made by the sandbox's own shell; what that sets by itself in its children is no variable of the builder's.
_EXPRESSIONS = r"""
let
  dump = ''
    out=''${out:-$(sed -n "s/^declare -A outputs=.*'out'\]*='\([^']*\)'.*/\1/p" /build/.attrs.sh)}
    mkdir -p $out/files
    cat /proc/$$/environ > $out/environ
    cat /proc/$$/cmdline > $out/cmdline
    for file in /build/* /build/.a*; do
      if [ -f "$file" ]; then cat "$file" > "$out/files/''${file##*/}"; fi
    done
  '';
  make = name: more: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-euc" dump ]; PATH = "/bin";
  } // more);
  leaf = derivation {
    name = "leaf"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo leaf > $out" ];
  };
  user = derivation {
    name = "user"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ${leaf} $out > $out" ];
  };
in {
  plain = make "plain" { value = "two\nlines"; empty = ""; "ключ" = "значение"; HOME = "/own"; inherit user; };
  passed = make "passed" { passAsFile = [ "text" "self" ]; text = "one\ntwo"; self = placeholder "out"; };
  placeholders = make "placeholders" { prefix = "--prefix=${placeholder "out"} ${placeholder "nosuch"}"; };
  graph = make "graph" { exportReferencesGraph = [ "graph" user "of-a-derivation" user.drvPath ]; };
  reports = derivation {
    name = "reports"; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" "echo reporting; echo ${leaf} > $out" ];
  };
  fails = derivation {
    name = "fails"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "exit 3" ];
  };
  structured = make "structured" {
    __structuredAttrs = true;
    nested = { list = [ 1 2.5 true null "ü" ]; path = "${leaf}"; };
    flat = { "a b" = "it's"; one = 1; no = false; nothing = null; };
    list = [ 1 "two" true ]; whole = 2.0; fraction = 0.1; large = 123456789012; tiny = 0.00001; huge = 1.0e20;
    "ключ" = "\"значение\"\n\t";
    exportReferencesGraph.graph = [ user ];
  };
}
"""
_NAMES = ("plain", "passed", "placeholders", "graph", "structured")
# From here on (2.8 does not, and is what requests follow) a path of a graph in structured attributes is called valid.
_SAYS_VALID = (2, 26)
# What a request cannot have as Nix has it, and the tests therefore do not compare.
_DIFFERENT = {name for each in DIFFERENCES for name in each.variables if each.name in ("cores", "attribute-files")}


@pytest.fixture(scope="module")
def expressions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("expressions") / "dump.nix"
    file.write_text(_EXPRESSIONS)
    return file


@pytest.mark.parametrize("name", _NAMES)
def test_a_builder_of_nix_finds_what_the_request_holds(nix: Nix, expressions: Path, tmp_path: Path, name: str) -> None:
    [basename] = nix.instantiate(expressions, "-A", name)
    options = ("--option", "sandbox-paths", "/bin/sh=/bin/busybox")
    built = StoreDir().parse(nix("nix-store", "-r", f"/nix/store/{basename}", *options).decode().split()[-1])
    seen = nix.store / str(built)

    derivation = read_derivation(nix.store / basename)
    with (
        open_castore(tmp_path / "castore") as castore,
        open_path_source(f"local?root={nix.root / 'root'}") as source,
    ):
        request = request_for(derivation, source, castore)
    pairs = [line.partition(b"=") for line in (seen / "environ").read_bytes().split(b"\0") if line]
    variables = {key.decode(): value for key, _, value in pairs}
    ours = dict(request.environment_vars)
    for different in _DIFFERENT:
        assert (variables.pop(different, None) is None) == (ours.pop(different, None) is None)
    assert ours == variables
    files = {f"build/{file.name}": file.read_bytes() for file in (seen / "files").iterdir()}
    if name == "structured" and nix.version >= _SAYS_VALID:
        attributes = files["build/.attrs.json"]
        files["build/.attrs.json"] = attributes.replace(b',"valid":true}', b"}")
        graph = json.loads(attributes)["graph"]
        assert len(graph) == 2 and all(each["valid"] is True for each in graph)
    assert dict(request.additional_files) == files
    arguments = (seen / "cmdline").read_bytes().split(b"\0")[1:-1]
    assert [each.encode() for each in request.command_args[1:]] == arguments
    closure = nix("nix-store", "-qR", *_inputs(nix, basename)).decode().split() if request.inputs else []
    assert [f"/nix/store/{each}" for each in request.inputs] == sorted(closure)


def _inputs(nix: Nix, basename: str) -> list[str]:
    derivation = read_derivation(nix.store / basename)
    paths = list(derivation.input_sources)
    for path, names in derivation.input_derivations.items():
        outputs = read_derivation(nix.store / path.basename).outputs
        paths += [output.path for name in names if (output := outputs[name]).path is not None]
    return [StoreDir().join(path) for path in paths]


def test_the_command_prints_the_request(
    nix: Nix, expressions: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    command = Command(capfdbinary)
    [basename] = nix.instantiate(expressions, "-A", "placeholders")
    place = ("--from", f"local?root={nix.root / 'root'}", "--store", tmp_path / "castore", "--cores", "2")
    request = BuildRequest.from_json(command("drv", "request", nix.store / basename, *place))
    assert request.environment_vars["NIX_BUILD_CORES"] == b"2"
    command("drv", "request", nix.store / basename, "--impure", "wrong", status=2)


@pytest.mark.usefixtures("root")
def test_the_command_runs_the_builder(
    nix: Nix, expressions: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    command = Command(capfdbinary)
    [basename] = nix.instantiate(expressions, "-A", "reports")
    place = ("--from", f"local?root={nix.root / 'root'}", "--store", tmp_path / "castore")
    nix("nix-store", "-r", f"/nix/store/{basename}", "--option", "sandbox-paths", "/bin/sh=/bin/busybox")
    told = command.json("drv", "run", nix.store / basename, *place)
    assert told["status"] == "succeeded" and "reporting" in command.err
    [output] = told["outputs"]
    path = f"/{output['path']}"
    assert output["nar_hash"] == nix("nix-store", "--query", "--hash", path).decode().strip()
    assert output["nar_size"] == int(nix("nix-store", "--query", "--size", path))
    assert output["references"] == nix("nix-store", "--query", "--references", path).decode().split()
    # The request that is printed is one that run takes, and what run tells of it is told here, and three things more.
    (tmp_path / "request.json").write_text(command("drv", "request", nix.store / basename, *place))
    with (tmp_path / "request.json").open() as piped:
        process = start_command("run", "-", "--json", *place[2:], stdin=piped)
        plain = json.loads(process.communicate(timeout=60)[0])
    assert plain.keys() == told.keys() and plain["status"] == "succeeded"
    [made] = plain["outputs"]
    assert output.keys() - made.keys() == {"nar_hash", "nar_size", "references"} and not made.keys() - output.keys()
    assert made["digest"] == output["digest"] and made["needles"] == output["needles"]
    # A person sees the verdict; what failed is told by the status.
    assert "succeeded" in command("drv", "run", nix.store / basename, *place, "--no-trace")
    [basename] = nix.instantiate(expressions, "-A", "fails")
    assert command.json("drv", "run", nix.store / basename, *place, "--keep", "never", status=1)["exit_code"] == 3
    (tmp_path / "broken.drv").write_bytes(b"Derive([")
    command("drv", "run", tmp_path / "broken.drv", *place, status=2)
