"""Run by root, no id inside is the host's root, whatever the build does to become it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from support.kernels import Kernels
from support.users import AsUser

pytestmark = pytest.mark.integration

# What a host may have below /sys, writable for its root.
TRACING = """
mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
"""

# busybox's way to setuid(0) with the capability that every build has.
AS_ROOT = "start-stop-daemon -S -c root:root -p /none -x /bin/sh -- -c"

ATTACK = """
for file in /sys/kernel/tracing/trace_marker /sys/kernel/tracing/set_event /sys/kernel/debug/tracing/trace_marker \\
    /sys/kernel/debug/clear_warn_once /sys/kernel/mm/transparent_hugepage/enabled /proc/sys/kernel/hostname \\
    /proc/sys/vm/drop_caches /proc/sysrq-trigger /sys/fs/cgroup/*/cgroup.procs; do
    (echo 1 >$file) 2>/dev/null && echo "WROTE $file"
done
for file in /proc/kcore /secret /etc/shadow /proc/1/root/etc/shadow /sys/kernel/debug/sched/debug; do
    [ -s $file ] && (head -c 1 $file) >/dev/null 2>&1 && echo "READ $file"
done
mkdir /x 2>/dev/null && echo "MADE /x"
mount -o remount,rw /sys 2>/dev/null && echo "REMOUNTED /sys"
chown 0:0 /secret 2>/dev/null && echo "CHOWNED"
mknod /build/disk b 254 0 2>/dev/null && echo "DEVICE"
id -u; id -g
echo done
"""


def test_becoming_root_inside_opens_nothing_of_the_host(root_kernels: Kernels) -> None:
    program = f"""
secret = PLACE / "secret"
secret.write_text("root's alone")
secret.chmod(0o600)
script = {ATTACK!r}.replace("/secret", str(secret))
for command in ({AS_ROOT + " '. /build/attack'"!r}, "sh attack"):
    sb = sandbox(command, additional_files={{"build/attack": script}}, available_ro_paths=[str(secret)])
    say(**verdict(sb.run(show=False, keep="never")))
"""
    became, plain = root_kernels.run(program, before=TRACING)
    assert became["log"].split() == ["0", "0", "done"], became
    assert plain["log"].split() == ["1000", "100", "done"], plain


CAPABILITIES = {
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
}

LOOK = """
def look(**fields):
    script = "for f in uid_map gid_map status mountinfo; do echo @@ $f; cat /proc/self/$f; done"
    run = sandbox(script, **fields).run(show=False, keep="never", check=True)
    parts = run.log.text().split("@@ ")[1:]
    say(config=run.config, **{part.partition("\\n")[0]: part.partition("\\n")[2] for part in parts})
"""


def ids(text: str) -> dict[int, int]:
    """Inside -> outside, one by one."""
    found = {}
    for line in text.splitlines():
        inside, outside, count = map(int, line.split())
        found.update({inside + step: outside + step for step in range(count)})
    return found


def status(text: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def sys_mounts(text: str) -> dict[str, set[str]]:
    """Mount points at and below /sys -> their own options; without the sandbox's own tmpfs over version 1 cgroups."""
    found = {}
    for line in text.splitlines():
        row, _, tail = line.partition(" - ")
        destination, options = row.split()[4:6]
        own = destination == "/sys/fs/cgroup" and tail.startswith("tmpfs ") and "uid=" in tail
        if (destination + "/").startswith("/sys/") and not own:
            found[destination] = set(options.split(","))
    return found


def check_process(found: dict[str, Any]) -> None:
    inside = status(found["status"])
    assert inside["NoNewPrivs"] == "1"
    assert inside["Uid"].split() == ["1000"] * 4 and inside["Gid"].split() == ["100"] * 4
    capabilities = found["config"]["process"]["capabilities"]
    assert all(set(names) == CAPABILITIES for names in capabilities.values())
    masks = {inside[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert [int(mask, 16).bit_count() for mask in masks] == [14]
    mounts = sys_mounts(found["mountinfo"])
    assert all("ro" in options for options in mounts.values()), mounts


def test_no_id_inside_is_the_hosts_root(root_kernels: Kernels) -> None:
    (found,) = root_kernels.run(LOOK + "look()", before=TRACING)
    check_process(found)
    mounts = sys_mounts(found["mountinfo"])
    assert {"/sys", "/sys/kernel/tracing", "/sys/kernel/debug"} <= set(mounts)
    for kind in ("uid_map", "gid_map"):
        mapped = ids(found[kind])
        assert set(mapped) == {0, 1000 if kind == "uid_map" else 100}
        assert 0 not in mapped.values()
        assert os.getuid() not in mapped.values()


def test_roots_entry_in_subuid_is_what_it_gets(root_kernels: Kernels, tmp_path: Path) -> None:
    (tmp_path / "subuid").write_text("other:100000:65536\nroot:700000:65536\n")
    (tmp_path / "subgid").write_text("root:800000:2\nother:100000:65536\n")
    before = f"mount --bind {tmp_path}/subuid /etc/subuid; mount --bind {tmp_path}/subgid /etc/subgid"
    (found,) = root_kernels.run(LOOK + "look(outputs=[])", before=before)
    assert set(ids(found["uid_map"]).values()) == {700000, 700001}
    assert set(ids(found["gid_map"]).values()) == {800000, 800001}


def test_without_an_entry_root_takes_ids_that_nobody_has(root_kernels: Kernels, tmp_path: Path) -> None:
    (tmp_path / "none").write_text("other:1879048192:65536\n")
    before = f"mount --bind {tmp_path}/none /etc/subuid; mount --bind {tmp_path}/none /etc/subgid"
    (found,) = root_kernels.run(LOOK + "look()", before=before)
    for kind in ("uid_map", "gid_map"):
        assert all(outside >= 1879048192 + 65536 for outside in ids(found[kind]).values())


def test_an_ordinary_user_gives_himself_and_one_subordinate_id(user_kernels: Kernels, as_user: AsUser) -> None:
    program = LOOK + "look()\nsay(**verdict(sandbox('cat /proc/self/uid_map; id -u; ls -ln /build').run(show=False)))"
    found, _ = user_kernels.run(program)
    check_process(found)
    # As the keeper's namespace has them: 0 is the user, 1 the first subordinate id.
    assert ids(found["uid_map"]) == {0: 0, 1000: 1}
    assert ids(found["gid_map"]) == {0: 0, 100: 1}


def test_bundles_of_root_are_closed_to_other_users(root_kernels: Kernels, as_user: AsUser) -> None:
    kernel = root_kernels.start(
        """
run = sandbox("echo secret >/build/f; echo ready; sleep 1000; :").start(keep="never")
await_text(run, "ready")
say(ready=1)
until_told("enough")
run.cancel()
say(**verdict(run))
failed = sandbox("false").run(show=False)
say(bundle=str(failed.bundle), mode=failed.bundle.stat().st_mode & 0o777)
until_told("deleted")
failed.delete()
"""
    )
    kernel.hear()
    (bundle,) = (path for path in (root_kernels.place / "bundles").iterdir() if path.is_dir())
    assert (root_kernels.place / "bundles").stat().st_mode & 0o777 == 0o711
    assert bundle.stat().st_mode & 0o077 == 0o011
    code = f"import os\ntry: print(os.listdir({str(bundle.parent)!r}))\nexcept PermissionError: print('closed')"
    assert as_user(code, check=True).stdout == "closed\n"
    kernel.tell("enough")
    assert kernel.hear()["status"] == "cancelled"
    kept = kernel.hear()
    assert kept["mode"] == 0o700
    kernel.tell("deleted")
    assert kernel.end() == 0


def test_a_bundle_root_the_mapped_root_cannot_reach_is_refused(root: None, tmp_path: Path) -> None:
    from tvixbuild_nb import Sandbox
    from tvixbuild_nb.errors import HostRefused

    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(HostRefused) as caught:
        Sandbox("true", store="memory:", builder=f"oci:{closed}/bundles").start()
    # pytest's own directories above are closed, too; the nearest one is named.
    assert caught.value.path is not None and caught.value.stage == "bundle"
    assert "chmod o+x" in (caught.value.hint or "")
    assert "closed" in caught.value.message
