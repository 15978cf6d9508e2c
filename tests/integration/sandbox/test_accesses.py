"""run.accesses of real builds: what a compiler, a shell and an mmap look at; checkouts and runs without inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.cli import Command
from support.users import AsUser
from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.sandbox import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

_TOOLS = [path for path in ("/bin", "/lib", "/lib64", "/usr") if Path(path).exists()]
_BUILD = r"""
printf '#include <a.h>\n#include <b.h>\nint main(void) { return A; }\n' > /build/main.c
gcc -I/nix/store/two/include -I/nix/store/one/include -c /build/main.c -o /build/main.o 2>/dev/null || :
python3 - <<'END'
import mmap
with open("/nix/store/one/big", "rb") as file:
    held = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    assert held[1_000_000:1_000_003] == b"mid"
END
PATH=/nix/store/two/bin:/nix/store/one/bin command -v tool > /nix/store/out
"""


@pytest.fixture
def sandbox(passable_tmp: Path, tmp_path: Path) -> Sandbox:
    store = open_castore(f"file:{passable_tmp / 'store'}")
    sandbox = Sandbox(
        ["/usr/bin/env", "bash", "-ec", _BUILD],
        outputs=["nix/store/out"],
        env={"PATH": "/usr/bin:/bin"},
        available_ro_paths=_TOOLS,
        provide_bin_sh=False,
        store=store,
        builder=OCIBuildService(passable_tmp / "bundles", store),
    )
    one, two = tmp_path / "one", tmp_path / "two"
    for place in (one / "include", one / "bin", two / "include", two / "bin", tmp_path / "never"):
        place.mkdir(parents=True)
    (one / "include" / "a.h").write_text("#define A 0\n")
    (one / "big").write_bytes(bytes(1_000_000) + b"mid" + bytes(3_000_000))
    (one / "bin" / "tool").write_text("#!/bin/sh\n")
    (one / "bin" / "tool").chmod(0o755)
    for name in ("one", "two", "never"):
        sandbox.add_input(name, tmp_path / name)
    return sandbox


def test_what_is_used_and_where_it_is_looked_for(sandbox: Sandbox, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    run = sandbox.run(show=False, check=True)
    trace = Run.open(run.id).accesses
    assert trace is not None and trace.unused == ("never",)
    one = trace.inputs["one"]
    assert "include/a.h" in one.opened and one.read["include/a.h"] == 12
    # What is mapped is read page by page, as far as it is looked at and a little ahead.
    assert 4096 <= one.read["big"] < 4_000_003
    searches = {search.name: search for search in trace.searches}
    assert searches["a.h"].tried[0] == "two/include" and searches["a.h"].found == "one/include/a.h"
    assert searches["b.h"].tried[:2] == ("two/include", "one/include") and searches["b.h"].found is None
    assert searches["tool"].tried == ("two/bin",) and searches["tool"].found == "one/bin/tool"
    command = Command(capfdbinary)
    told = command("accesses", run.id)
    assert "never used" in told and "one/include/a.h" in told
    tree = command("accesses", "--tree", run.id)
    assert "a.h  (read 12 bytes)" in tree and "b.h  (not found)" in tree and "never  (never used)" in tree


@pytest.mark.parametrize(
    ("options", "inputs", "why"),
    [
        ({"inputs": "checkout"}, True, "not recorded"),
        ({"trace": False}, True, "not recorded"),
        ({}, False, "no inputs that could be touched"),
    ],
)
def test_where_nothing_was_recorded_it_says_so(
    sandbox: Sandbox, capfdbinary: pytest.CaptureFixture[bytes], options: dict[str, Any], inputs: bool, why: str
) -> None:
    sandbox.command = ["/usr/bin/env", "bash", "-c", "echo > /nix/store/out"]
    if not inputs:
        sandbox.inputs = {}
    run = sandbox.run(show=False, check=True, **options)
    command = Command(capfdbinary)
    assert run.accesses is None
    command("accesses", run.id, status=2)
    assert why in command.err


def test_an_ordinary_user_is_told_as_well(as_user: AsUser) -> None:
    done = as_user(
        """
        from tvixbuild_nb import Sandbox
        sandbox = Sandbox("cat /nix/store/src; ls /nix/store/dir; [ -e /nix/store/dir/no ]; :")
        sandbox.add_input("src", b"input")
        sandbox.add_input("dir", "/etc/init.d")
        sandbox.add_input("never", b"x")
        trace = sandbox.run(show=False, check=True).accesses
        assert trace.inputs["src"].read[""] == 5 and trace.unused == ("never",), trace
        assert trace.inputs["dir"].listed == ("",) and trace.searches[0].name == "no", trace
        """.replace("\n        ", "\n")
    )
    assert done.returncode == 0, done.stderr[-3000:]
