"""What changed between two requests, in few words."""

from __future__ import annotations

from typing import Any

import pytest

from tvixbuild_nb.castore import Digest, FileNode, SymlinkNode
from tvixbuild_nb.request import BuildRequest, Redactor, compare_requests

BASE: dict[str, Any] = {
    "command_args": ["/bin/sh", "-c", "echo one"],
    "inputs": {"a": FileNode(Digest.of(b"a"), 1)},
    "scratch_paths": ["build", "nix/store"],
    "inputs_dir": "nix/store",
    "working_dir": "build",
    "outputs": ["nix/store/x"],
    "environment_vars": {"KEY": "value", "TOKEN": "hunter2-hunter2"},
    "constraints": {"system": "x86_64-linux"},
    "additional_files": {"build/f": "text"},
    "refscan_needles": ["abc", "def"],
}
NODE = f"file {str(Digest.of(b'a'))[:12]} (1 bytes)"


def said(hide: tuple[Redactor, Redactor] | None = None, **changed: Any) -> list[str]:
    old, new = BuildRequest(**BASE), BuildRequest(**(BASE | changed))
    found = compare_requests(old, new) if hide is None else compare_requests(old, new, hide=hide)
    return [str(change) for change in found]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"command_args": ["true"]}, ["command_args: /bin/sh -c 'echo one' -> true"]),
        ({"inputs": {}}, [f"inputs[a]: - {NODE}"]),
        ({"inputs": {"a": SymlinkNode(b"b\xff")}}, [f"inputs[a]: {NODE} -> symlink to b\\xff"]),
        (
            {"environment_vars": {"KEY": "other\x1b[2J", "NEW": ""}},
            [
                "environment_vars[KEY]: value -> other\\x1b[2J",
                "environment_vars[NEW]: + ",
                "environment_vars[TOKEN]: - hunter2-hunter2",
            ],
        ),
        ({"additional_files": {"build/f": "text\n"}}, ["additional_files[build/f]: text -> text\\n"]),
        ({"working_dir": ""}, ["working_dir: /build -> /"]),
        ({"outputs": ["nix/store/y"]}, ["outputs: - nix/store/x", "outputs: + nix/store/y"]),
        ({"refscan_needles": ["def", "abc"]}, ["refscan_needles: one order -> another"]),
        ({"constraints": None}, ["constraints: some -> none"]),
        (
            {"constraints": {"system": "aarch64-linux", "network_access": True, "available_ro_paths": ["/x"]}},
            [
                "constraints.system: x86_64-linux -> aarch64-linux",
                "constraints.network_access: False -> True",
                "constraints.available_ro_paths: + /x",
            ],
        ),
    ],
)
def test_every_field(changed: dict[str, Any], expected: list[str]) -> None:
    assert said(**changed) == expected


def test_of_long_texts_the_part_that_differs() -> None:
    text = "x" * 500
    old = BuildRequest(**(BASE | {"additional_files": {"build/f": text + "old" + text}}))
    new = BuildRequest(**(BASE | {"additional_files": {"build/f": text + "new" + text}}))
    (change,) = compare_requests(old, new)
    assert change.old is not None and change.new is not None
    assert change.old.startswith("…xxxxxxxxxxxxold") and change.new.startswith("…xxxxxxxxxxxxnew")
    assert len(str(change)) < 150


def test_secrets_of_either_request_are_in_no_text() -> None:
    hide = (Redactor({"TOKEN": b"hunter2-hunter2"}), Redactor({"TOKEN": b"changed-secret"}))
    found = said(
        hide, environment_vars={"KEY": "changed-secret", "TOKEN": "changed-secret"}, command_args=["hunter2-hunter2"]
    )
    assert not any("hunter2" in text or "changed-secret" in text for text in found)
    assert "environment_vars[TOKEN]: [secret TOKEN] -> [secret TOKEN]" in found
