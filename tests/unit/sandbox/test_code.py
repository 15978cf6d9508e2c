"""The Python of a sandbox makes the same request."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.request_strategies import requests
from tvixbuild_nb import Sandbox
from tvixbuild_nb.castore import SymlinkNode
from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox.code import python_of


def _made(code: str, **environment: str) -> Sandbox:
    names: dict[str, Sandbox] = {}
    with patch.dict(os.environ, environment):
        exec(code, names)
    return names["sb"]


@given(requests())
def test_running_it_gives_the_same_digest(request: BuildRequest) -> None:
    code = python_of(Sandbox.from_request(request))
    assert _made(code).request.digest == request.digest
    assert code.isprintable() or set(filter(lambda c: not c.isprintable(), code)) == {"\n"}


VALUES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=6, max_size=12)


@given(requests(), VALUES, VALUES, st.binary(max_size=4), st.integers(0, 2))
def test_secrets_are_taken_from_the_environment_wherever_they_stand(
    request: BuildRequest, one: str, other: str, around: bytes, doubled: int
) -> None:
    values = {"TOKEN": one, "OTHER": one[:4] + other * doubled}
    inputs = {**request.inputs, "link": SymlinkNode(b"/" + one.encode() + around.replace(b"\0", b"."))}
    fields = dict(request) | {
        "environment_vars": dict(request.environment_vars) | values | {"URL": f"a{one}b{other}{one}"},
        "command_args": ("/bin/sh", "-c", f"{one}\n\n{values['OTHER']}\n"),
        "additional_files": dict(request.additional_files) | {"f": around + one.encode() + around, "g": one},
        "inputs": {} if request.outputs else inputs,
    }
    sandbox = Sandbox.from_request(BuildRequest(**fields))
    sandbox.secrets = ("OTHER", "TOKEN", "ABSENT")
    code = python_of(sandbox)
    made = _made(code, **values)
    assert made.request.digest == sandbox.request.digest
    assert made.secrets == ("ABSENT", "OTHER", "TOKEN")


def test_no_secret_is_in_it() -> None:
    value = "it's \\ hunter2-hunter2"
    sandbox = Sandbox(["curl", "-H", value, f"{value}{value}"], env={"TOKEN": value}, secrets=["TOKEN"])
    sandbox.add_file("build/raw", b"\xff" + value.encode())
    sandbox.add_input(value, SymlinkNode(value.encode()), origin=f"of {value}")
    sandbox.scratch_paths = ("build", value)
    code = python_of(sandbox)
    assert "hunter2" not in code and "os.environ['TOKEN'] + os.environ['TOKEN']" in code
    assert "b'\\xff' + os.environb[b'TOKEN']" in code and "[secret TOKEN]" in code
    assert _made(code, TOKEN=value).request == sandbox.request


def test_of_values_that_overlap_no_piece_is_written_down() -> None:
    values = {"A": "alpha-middle", "B": "middle-omega", "C": "ddle-"}
    files = {"build/f": b"\xffalpha-middle-omega"}
    sandbox = Sandbox(["echo", "<alpha-middle-omega>"], env=values, additional_files=files, secrets=values)
    code = python_of(sandbox)
    assert "os.environ['A'] + os.environ['B'][6:]" in code
    assert not any(piece in code for piece in ("omega", "middle", "alpha"))
    assert _made(code, **values).request.digest == sandbox.request.digest


def test_it_reads_well(tmp_path: Path) -> None:
    source = tmp_path / 'a "name"\n'
    source.write_text("x")
    sandbox = Sandbox("echo a\necho b\necho c", outputs=["nix/store/o"], env={"A": "b"}, store="memory:")
    sandbox.system = "x86_64-linux"
    sandbox.add_input("source", source)
    code = python_of(sandbox)
    assert code == (
        "from tvixbuild_nb import Sandbox\n"
        "from tvixbuild_nb.castore import Digest, FileNode\n"
        "\n"
        "sb = Sandbox(\n"
        "    (\n"
        "        'echo a\\n'\n"
        "        'echo b\\n'\n"
        "        'echo c'\n"
        "    ),\n"
        "    outputs=['nix/store/o'],\n"
        "    env={'A': 'b'},\n"
        "    inputs={\n"
        f"        # {str(source)!r}\n"
        f"        'source': FileNode(Digest.from_hex('{sandbox.inputs['source'].digest}'), 1),\n"
        "    },\n"
        "    system='x86_64-linux',\n"
        ")\n"
    )
    assert _made(code).request.digest == sandbox.request.digest


def test_what_stands_beside_the_request_is_named() -> None:
    assert "runtime" in python_of(Sandbox("true", runtime="crun")).splitlines()[-1]
    assert "runtime" not in python_of(Sandbox("true"))


def test_without_constraints() -> None:
    sandbox = Sandbox("true")
    sandbox.constraints = None
    assert _made(python_of(sandbox)).request == sandbox.request
    assert sandbox.request.constraints is None


def test_without_a_valid_request_there_is_no_code() -> None:
    with pytest.raises(InvalidRequest):
        python_of(Sandbox())


def test_an_input_knows_where_it_came_from(tmp_path: Path) -> None:
    sandbox = Sandbox("true", store="memory:")
    (tmp_path / "f").write_text("x")
    sandbox.add_input("path", tmp_path / "f")
    sandbox.add_input("bytes", b"xyz")
    sandbox.add_input("tree", sandbox.store.tree(sandbox.inputs["path"], b"tree"))
    sandbox.add_input("node", sandbox.inputs["path"])
    sandbox.add_input("told", sandbox.inputs["path"], origin="somewhere")
    assert [sandbox.origin(name) for name in ("path", "bytes", "node", "told", "none")] == [
        str(tmp_path / "f"),
        "3 bytes given in Python",
        None,
        "somewhere",
        None,
    ]
    assert (sandbox.origin("tree") or "").startswith("tree of memory:")
    sandbox.inputs["path"] = sandbox.inputs["bytes"]
    assert sandbox.origin("path") is None


def test_a_host_program_is_named_as_the_origin() -> None:
    sandbox = Sandbox("true", inputs_dir="", store="memory:")
    sandbox.add_host_program("/bin/true")
    assert all("/bin/true" in (sandbox.origin(name) or "") for name in sandbox.inputs)


def test_constraints_can_be_set_as_a_whole() -> None:
    sandbox = Sandbox("true", network_access=True)
    constraints = sandbox.constraints
    sandbox.constraints = None
    sandbox.constraints = constraints
    assert sandbox.constraints == constraints
