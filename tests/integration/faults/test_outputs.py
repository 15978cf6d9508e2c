"""Outputs that nobody should trust: special files, links out of the sandbox, closed modes, odd and deep names."""

from __future__ import annotations

import pytest

from support.kernels import Kernels

pytestmark = pytest.mark.integration

RUN = """
def build(command, *outputs, show=None, **fields):
    sb = sandbox(command, working_dir="nix/store", outputs=[f"nix/store/{name}" for name in outputs], **fields)
    run = sb.run(show=False, keep="never")
    say(**verdict(run), **(show(run) if show is not None and run.ok else {}))
"""


def test_special_files_are_an_error_that_names_them(kernels: Kernels) -> None:
    said = kernels.run(
        RUN
        + """
build("mkdir out && mknod out/device c 0 0", "out")
build("mkdir out out/sub && mkfifo out/sub/fifo", "out")
build("mkfifo out", "out")
"""
    )
    device, below, top = said
    for found, path, kind in (
        (device, "nix/store/out/device", "a character device"),
        (below, "nix/store/out/sub/fifo", "a FIFO"),
        (top, "nix/store/out", "a FIFO"),
    ):
        assert (found["status"], found["failed_at"]) == ("failed", "output"), found
        assert found["message"].startswith(f"{path}: this is {kind}")


def test_a_socket_is_an_error_that_names_it(root_kernels: Kernels) -> None:
    # The one static program that makes a socket is compiled for it.
    (found,) = root_kernels.run(
        RUN
        + """
import subprocess
code = '''
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
int main(void) {
    struct sockaddr_un a = {AF_UNIX, "out"};
    return bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a);
}'''
(PLACE / "bind.c").write_text(code)
subprocess.run(["gcc", "-static", "-o", PLACE / "bind", PLACE / "bind.c"], check=True)
build("./bind", "out", inputs={"bind": PLACE / "bind"})
"""
    )
    assert (found["status"], found["failed_at"]) == ("failed", "output"), found
    assert found["message"].startswith("nix/store/out: this is a socket")


def test_a_parent_that_became_a_link_leads_nowhere(kernels: Kernels) -> None:
    said = kernels.run(
        RUN
        + """
secret = PLACE / "secret"
secret.mkdir(mode=0o755)
(secret / "shadow").write_text("the host's")
for target in ("/etc", str(secret), "../../../..", "/proc/self/cwd", "."):
    build(f"ln -s {target} a; echo x >shadow", "a/shadow")
build("mkdir a; ln -s /etc a/b", "a/b/shadow")
build("echo file >a", "a/shadow")
"""
    )
    for found in said:
        assert (found["status"], found["failed_at"], found["outputs"]) == ("failed", "output", []), found
        assert "shadow" in found["message"] and "link" in found["message"]
        assert "the host's" not in str(found)


def test_links_are_stored_as_links(kernels: Kernels) -> None:
    said = kernels.run(
        RUN
        + """
def show(run):
    return {"tree": sorted(str(tree.readlink()) for tree in run.outputs.values() if tree.is_symlink())}
build("ln -s /etc/shadow out", "out", show=show)
build("ln -s nowhere out", "out", show=show)
build("ln -s ../../../../etc/hostname one; ln -s out out", "one", "out", show=show)
"""
    )
    assert [found["status"] for found in said] == ["succeeded"] * 3, said
    assert [found["tree"] for found in said] == [["/etc/shadow"], ["nowhere"], ["../../../../etc/hostname", "out"]]


def test_closed_modes_are_read_and_removed_all_the_same(kernels: Kernels) -> None:
    (found,) = kernels.run(
        RUN
        + """
def show(run):
    tree = run.outputs["nix/store/out"]
    return {"tree": {str(path): [entry.read_text(), entry.executable] for path, entry in walk(tree)}}
def walk(tree, prefix=""):
    for entry in tree.iterdir():
        path = f"{prefix}{entry.name.decode() if isinstance(entry.name, bytes) else entry.name}"
        if entry.is_dir():
            yield from walk(entry, f"{path}/")
        else:
            yield path, entry
script = '''
for mode in 600 700 000 100 444; do
    mkdir -p out/d$mode; echo $mode >out/d$mode/f; chmod $mode out/d$mode/f
done
chmod 000 out/d000; chmod 100 out/d100; chmod 600 out/d600; chmod 700 out/d700
'''
build(script, "out", show=show)
"""
    )
    assert found["status"] == "succeeded", found
    modes = ("600", "700", "000", "100", "444")
    assert found["tree"] == {f"d{mode}/f": [f"{mode}\n", mode in ("700", "100")] for mode in modes}


def test_deep_wide_and_oddly_named_outputs(kernels: Kernels) -> None:
    deep, wide, odd = kernels.run(
        RUN
        + """
def deepest(run):
    node, depth = run.outputs["nix/store/out"].node, 0
    while b"d" in (entries := store.directories.get(node.digest).entries):
        node, depth = entries[b"d"], depth + 1
    return {"depth": depth, "text": store.tree(entries[b"f"]).read_text()}
script = "p=$(yes d | head -n 1000 | tr '\\n' /); mkdir -p out/$p; cd out/$p; mkdir -p $p; cd $p; echo deep >f"
build(script, "out", show=deepest)
def count(run):
    return {"count": len(list(run.outputs["nix/store/out"].iterdir()))}
build("mkdir out; cd out; seq 2000 | xargs mkdir", "out", show=count)
script = '''
mkdir out; cd out
long=$(head -c 255 /dev/zero | tr '\\\\0' x)
touch -- "$long" "$(printf 'a\\\\377b')" "$(printf 'new\\\\nline')"
touch -- "$(printf ' \\\\t*?')" "-rf" "$(printf '\\\\033[2J')"
'''
def names(run):
    tree = run.outputs["nix/store/out"]
    directory = store.directories.get(tree.node.digest)
    return {"names": sorted(name.hex() for name in directory.entries)}
build(script, "out", show=names)
"""
    )
    assert deep["status"] == wide["status"] == odd["status"] == "succeeded", (deep, wide, odd)
    assert (deep["depth"], deep["text"]) == (2000, "deep\n")
    assert wide["count"] == 2000
    expected = [b"x" * 255, b"a\xffb", b"new\nline", b" \t*?", b"-rf", b"\x1b[2J"]
    assert odd["names"] == sorted(name.hex() for name in expected)


def test_missing_outputs_list_what_was_written(kernels: Kernels) -> None:
    (found,) = kernels.run(
        RUN
        + """
build("echo x >near; mkdir -p some/dir; echo y >some/dir/file; chmod 000 some", "out", "near",
      show=None)
"""
    )
    assert (found["status"], found["failed_at"], found["exit_code"]) == ("failed", "output", 0)
    missing, _, written = found["message"].partition(";")
    assert "nix/store/out" in missing and "nix/store/near" not in missing
    assert "/nix/store/near" in written and "/nix/store/some/dir/file" in written


def test_a_kept_bundle_of_an_ordinary_user_is_his(kernels: Kernels) -> None:
    kept, after = kernels.run(
        """
command = "mkdir /build/a; echo secret >/build/a/f; chmod 000 /build/a/f; chmod 000 /build/a; exit 3"
run = sandbox(command).run(show=False)
found = [str(path.relative_to(run.bundle)) + "=" + path.read_text() for path in run.bundle.glob("scratch/*/a/f")]
say(found=found, config=(run.bundle / "config.json").exists(), mode=run.bundle.stat().st_mode & 0o777, **verdict(run))
bundle, record = run.bundle, run.record.path
run.delete()
say(bundle=bundle.exists(), record=record.exists(), left=[p.name for p in PLACE.glob("bundles/*") if p.is_dir()])
"""
    )
    assert (kept["status"], kept["exit_code"], kept["mode"], kept["config"]) == ("failed", 3, 0o700, True)
    assert [text.rpartition("/a/")[2] for text in kept["found"]] == ["f=secret\n"]
    assert after == {"bundle": False, "record": False, "left": []}
