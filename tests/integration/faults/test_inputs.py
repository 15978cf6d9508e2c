"""Inputs that are not what they should be: unknown, incomplete, damaged, unreadable, links."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.kernels import Kernels
from tvixbuild_nb import Sandbox
from tvixbuild_nb.castore import Digest, DirectoryNode, FileNode, open_castore
from tvixbuild_nb.errors import NotFound

pytestmark = pytest.mark.integration
UNKNOWN = Digest.of(b"nobody has this")


def test_an_unknown_digest_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with open_castore(f"file:{tmp_path}/store") as store:
        for node in (FileNode(UNKNOWN, 3, False), DirectoryNode(UNKNOWN, 2)):
            sandbox = Sandbox(
                "true", inputs={"a": store.ingest_bytes(b""), "b": node}, store=store, builder=f"oci:{tmp_path}/bundles"
            )
            with pytest.raises(NotFound) as caught:
                sandbox.start()
            assert (caught.value.path, caught.value.index, caught.value.stage) == ("inputs", 1, "request")
            assert str(UNKNOWN) in caught.value.message and store.address in caught.value.message
            assert caught.value.hint is not None
    assert not (tmp_path / "bundles").exists()
    assert list((tmp_path / "xdg-state").glob("**/runs/*")) == []


INCOMPLETE = f"""
from tvixbuild_nb.castore import Digest, Directory, DirectoryNode, FileNode
unknown = Digest.from_hex("{UNKNOWN.hex()}")
inner = Directory({{b"file": FileNode(unknown, 5, False), b"sub": DirectoryNode(unknown, 2)}})
node = DirectoryNode(store.directories.put(inner), inner.size)
"""


def test_a_blob_missing_in_the_store_is_an_io_error_inside_and_named_outside(kernels: Kernels) -> None:
    program = (
        INCOMPLETE
        + """
def run(command, **options):
    sb = sandbox(command, inputs={"d": node}, outputs=["nix/store/out"])
    run = sb.run(show=False, keep="never", **options)
    say(**verdict(run))
run("cat /nix/store/d/file >/nix/store/out")
run("cat /nix/store/d/sub/x >/nix/store/out")
run("cat /nix/store/d/file; echo fine >/nix/store/out")
run("true", inputs="checkout")
"""
    )
    file, directory, careless, checkout = kernels.run(program)
    for found in (file, directory):
        assert (found["status"], found["failed_at"], found["exit_code"]) == ("failed", "build", 1)
        assert UNKNOWN.hex() in found["message"] and "/d/" in found["message"]
        assert "ingest" in found["hint"]
        assert "Input/output error" in found["log"]
    assert careless["status"] == "succeeded"
    for found in (file, directory, careless):
        assert any(UNKNOWN.hex() in text for text in found["degraded"])
    assert (checkout["status"], checkout["failed_at"]) == ("failed", "setup")
    assert UNKNOWN.hex() in checkout["message"]


def test_damaged_blobs_never_reach_a_build_unnoticed(kernels: Kernels) -> None:
    program = """
big = store.ingest_bytes(b"right" * 100_000)
small = store.ingest_bytes(b"SMALL" * 1000)
(file,) = (Path(os.environ["FAULT_PLACE"]) / "store" / "blobs").glob("*/*")
file.chmod(0o644)
with file.open("r+b") as f:
    f.seek(300_000); f.write(b"X")
for pack in (Path(os.environ["FAULT_PLACE"]) / "store" / "packs").iterdir():
    data = pack.read_bytes()
    pack.write_bytes(data.replace(b"SMALL" * 1000, b"SMALL" * 500 + b"SMELL" * 500))
for name, node in {"big": big, "small": small}.items():
    for how in ("fuse", "checkout"):
        sb = sandbox(f"cat /nix/store/{name} >/nix/store/out", inputs={name: node}, outputs=["nix/store/out"])
        say(digest=node.digest.hex(), **verdict(sb.run(show=False, inputs=how, keep="never")))
"""
    for found in kernels.run(program):
        assert found["status"] == "failed", found
        assert found["digest"] in found["message"]


def test_two_processes_build_from_and_into_one_store(root_kernels: Kernels) -> None:
    program = """
until_told("go")
for i in range(5):
    command = f"cat in >out; echo {i} >>out; mkdir dir; echo {i} >dir/f"
    outputs = ["nix/store/dir", "nix/store/out"]
    sb = sandbox(command, working_dir="nix/store", inputs={"in": b"x" * 200_000}, outputs=outputs)
    run = sb.run(show=False, check=True)
    say(digest=run.outputs["nix/store/dir"].node.digest.hex(), size=len(run.outputs["nix/store/out"].read_bytes()))
"""
    first, second = (root_kernels.start(program) for _ in range(2))
    first.tell("go")
    said = [[kernel.hear() for _ in range(5)] for kernel in (first, second)]
    assert said[0] == said[1]
    assert all(found["size"] == 200_002 for found in said[0])
    assert (first.end(), second.end()) == (0, 0)


def test_an_unreadable_input_path_is_named(kernels: Kernels) -> None:
    program = """
from tvixbuild_nb.errors import IngestError
top = PLACE / "top"
(top / "sub").mkdir(parents=True)
secret = top / "sub" / "secret"
secret.write_text("x")
secret.chmod(0)
for path in (top, secret, PLACE / "absent"):
    try:
        sandbox("true").add_input("a", path)
        say(error=None)
    except IngestError as error:
        say(error=error.message, path=error.path, hint=error.hint)
"""
    whole, one, absent = kernels.run(program)
    assert absent["error"] == "No such file or directory" and absent["path"].endswith("absent")
    if kernels.place.name == "home":
        for found in (whole, one):
            assert found["error"] == "Permission denied"
            assert found["path"].endswith("top/sub/secret")
            assert found["hint"]


def test_a_symlink_as_an_input_leads_nowhere_on_the_host(kernels: Kernels) -> None:
    program = """
link = PLACE / "link"
link.symlink_to("/etc")
sb = sandbox("readlink /nix/store/link; ls /nix/store/link/", inputs={"link": link}, outputs=[])
for how in ("fuse", "checkout"):
    say(**verdict(sb.run(show=False, inputs=how)))
"""
    for found in kernels.run(program):
        assert found["status"] == "succeeded"
        target, *names = found["log"].split()
        assert target == "/etc"
        assert set(names) <= {"passwd", "group", "hosts", "resolv.conf", "services"}
