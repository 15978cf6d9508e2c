"""config and mounts: what a request becomes, printed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.cli import Command, request_of
from tvixbuild_nb.oci import SpecOptions, mount_table, render_spec

GOLDENS = json.loads((Path(__file__).parents[2] / "goldens" / "configs.json").read_text())


def with_sets(config: dict[str, Any]) -> dict[str, Any]:
    capabilities = {kind: set(names) for kind, names in config["process"]["capabilities"].items()}
    return {**config, "process": {**config["process"], "capabilities": capabilities}}


@pytest.mark.parametrize("form", ["rootless", "root"])
@pytest.mark.parametrize("case", GOLDENS)
def test_config_is_what_tvix_printed(command: Command, tmp_path: Path, case: str, form: str) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(GOLDENS[case]["request"]))
    printed = command("config", path, "--tvix", f"--{form}", "--sandbox-shell", "/opt/sh/sh")
    assert with_sets(json.loads(printed)) == with_sets(GOLDENS[case][form])


def test_of_several_requests_the_wrong_one_is_named(command: Command, tmp_path: Path) -> None:
    good, broken = tmp_path / "good.json", tmp_path / "broken.json"
    good.write_text(request_of("true").to_json())
    broken.write_text("{")
    command("run-many", good, broken, status=2)
    assert f"{broken}: " in command.err and "not JSON" in command.err


def test_rootless_is_the_default(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(request_of("true").to_json())
    assert command("config", path, "--tvix") == command("config", path, "--tvix", "--rootless")


def test_config_for_this_host(command: Command, tmp_path: Path) -> None:
    path, request = tmp_path / "request.json", request_of("true")
    path.write_text(request.to_json())
    assert json.loads(command("config", path)) == render_spec(request, SpecOptions.for_host()).to_dict()
    shell = json.loads(command("config", path, "--root", "--sandbox-shell", "/my/sh"))
    assert shell["mounts"][-1]["source"] == "/my/sh"
    assert "user" not in [each["type"] for each in shell["linux"]["namespaces"]]
    assert "uidMappings" not in shell["linux"]


def test_a_request_from_standard_input(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    text = request_of("true").to_json().encode()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    assert json.loads(command("config", "-"))["process"]["args"] == ["/bin/sh", "-euc", "true"]


def test_mounts(command: Command, tmp_path: Path) -> None:
    path, request = tmp_path / "request.json", request_of("true", scratch_paths=["build", "nix/store", "x\ny"])
    path.write_text(request.to_json())
    table = mount_table(request, SpecOptions.for_host())
    assert command.json("mounts", path) == json.loads(json.dumps(table.to_dicts()))
    shown = command("mounts", path)
    places = [line.split("  ")[0] for line in shown.split("\n\n")[0].splitlines()[1:]]
    assert places == [row.destination.replace("\n", "\\n") for row in table]
    assert "not as Tvix renders it" in shown and "terminal: false (Tvix: true)" in shown


@pytest.mark.parametrize("name", ["config", "mounts", "run"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"commandArgs": ["x"], "outputs": ["a/b", "/c"], "scratchPaths": ["a"]}', "outputs[1]"),
        ('{"commandArgs": []}', "command_args"),
        ('{"commandArgs": ["x"], "no_such": 1}', "no_such"),
        ('{"commandArgs": "x"}', 'commandArgs: expected a list, got the text "x"'),
        ('{"commandArgs": ["x"', "JSON"),
        ("\xff", ""),
        ("[]", ""),
    ],
)
def test_a_bad_request_is_refused(command: Command, tmp_path: Path, name: str, text: str, told: str) -> None:
    path = tmp_path / "request.json"
    path.write_bytes(text.encode("latin-1"))
    assert command(name, path, status=2) == ""
    assert told in command.err and command.err.startswith("tvixbuild-nb: ")
    assert command.json("runs") == []


def test_a_missing_request_is_named(command: Command, tmp_path: Path) -> None:
    assert command("config", tmp_path / "none.json", status=2) == ""
    assert f"{tmp_path}/none.json: No such file or directory" in command.err


def test_every_part_explained(command: Command, tmp_path: Path) -> None:
    path, request = tmp_path / "request.json", request_of("true", environment_vars={"A": "\x1b]0;x\x07"})
    path.write_text(request.to_json())
    explained = command.json("config", path, "--explain")
    parts = {part["path"]: part for part in explained}
    assert parts[""]["value"] == render_spec(request, SpecOptions.for_host()).to_dict()
    assert parts["/process/args/0"]["asked_by"] == "command_args[0]"
    assert parts["/process/terminal"]["deviations"] == ["terminal"]
    assert parts["/root"]["specified_in"] == "config.md, Root"
    shown = command("config", path, "--explain")
    assert "asked for by: command_args[2]" in shown and "not as Tvix: terminal" in shown
    assert "\x1b" not in shown
    assert "not as Tvix" not in command("config", path, "--explain", "--tvix")
    assert command("config", path, "--json") == command("config", path)
