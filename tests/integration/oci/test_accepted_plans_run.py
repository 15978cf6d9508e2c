"""Whatever plan_bundle accepts, runc sets up: random requests over few names, so that paths meet."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from support.leftovers import Leftovers
from tvixbuild_nb.castore import Digest, Directory, DirectoryNode, FileNode, Node, SymlinkNode, directory_digest
from tvixbuild_nb.errors import HostRefused, InvalidRequest, InvalidSpec
from tvixbuild_nb.oci import Bundle, BundlePlan, SpecOptions, find_shell, plan_on_host
from tvixbuild_nb.request import BuildConstraints, BuildRequest

pytestmark = pytest.mark.integration

NAMES = ["a", "b", "bin", "etc", "tmp", "dev", "sys", "proc", "nix", "sh", "usr", "hosts"]
HOST = ["/usr", "/etc/hosts", "/usr/share", "/bin", "/etc", "/dev/null", "/var"]
FILE, EMPTY = FileNode(Digest.of(b"x"), 1), DirectoryNode(Digest.of(b""), 0)
INSIDE = Directory({b"sh": FILE, b"a": EMPTY})
FULL = DirectoryNode(directory_digest(INSIDE), INSIDE.size)
STORE = {FULL.digest: INSIDE, EMPTY.digest: Directory()}
RUNS = 25


class Dice(random.Random):
    def path(self, most: int = 3) -> str:
        return "/".join(self.choice(NAMES[: self.choice([2, 4, 12])]) for _ in range(self.randint(1, most)))

    def node(self) -> Node:
        return self.choice(
            [FILE, EMPTY, FULL, FULL, *(SymlinkNode(f"{up}{self.path()}".encode()) for up in ("", "/", "../"))]
        )

    def request(self) -> BuildRequest:
        scratch = sorted({self.path() for _ in range(self.randint(1, 3))})
        constraints: dict[str, Any] = {"network_access": self.random() < 0.2, "provide_bin_sh": True}
        return BuildRequest(
            command_args=["/bin/sh", "-c", ":"],
            working_dir=self.choice(["", self.path()]),
            scratch_paths=scratch,
            inputs_dir=self.choice(["", self.path(2)]),
            inputs={self.choice(NAMES): self.node() for _ in range(self.randint(0, 3))},
            outputs=[f"{self.choice(scratch)}/{self.choice(NAMES)}"],
            additional_files={self.path(): "x" for _ in range(self.choice([0, 0, 1, 2]))},
            constraints=BuildConstraints(
                system="x", available_ro_paths=set(self.sample(HOST, self.choice([0, 0, 1, 2]))), **constraints
            ),
        )

    def plan(self, directory: Path) -> BundlePlan:
        options = SpecOptions.for_host()
        while True:
            try:
                return plan_on_host(self.request(), options, directory / uuid.uuid4().hex, lookup=STORE.get)
            except (InvalidRequest, InvalidSpec, HostRefused):
                continue


def fill(bundle: Bundle, inputs: dict[str, Node]) -> None:
    for name, node in inputs.items():
        path = bundle.inputs / name
        match node:
            case FileNode():
                path.write_text("x")
            case SymlinkNode():
                os.symlink(node.target, os.fsencode(path))
            case DirectoryNode():
                path.mkdir()
                if node == FULL:
                    (path / "sh").write_text("x")
                    (path / "a").mkdir()


@pytest.mark.parametrize("seed", [1, 2])
def test_accepted_plans_run(seed: int, root: None, passable_tmp: Path, no_leftovers: Leftovers) -> None:
    if shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None or find_shell() is None:
        pytest.skip("needs runc and a static shell: busybox-static")
    dice = Dice(seed)
    passable_tmp.chmod(0o711)
    for _ in range(RUNS):
        plan = dice.plan(passable_tmp)
        bundle = Bundle.create(plan)
        bundle.give(plan)
        fill(bundle, dict(plan.request.inputs))
        command = ["runc", "--root", str(passable_tmp / "state"), "run", "--bundle", str(bundle.path)]
        done = subprocess.run(
            [*command, f"fuzz-{uuid.uuid4().hex}"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{done.stderr}\n{plan.request.to_json()}"
        shutil.rmtree(bundle.path)
