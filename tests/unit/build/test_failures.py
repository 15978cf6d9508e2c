"""Known texts are recognised, each as itself, and what is not known stays unexplained."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.wordings import WORDINGS
from tvixbuild_nb.build.failures import explain_text
from tvixbuild_nb.build.known import FAILURES, Failure

# A line as it was reported -> words that its cause or its cure must hold, and whose fault it is.
SEEN = [
    ("newuidmap: uid range [1000-1001) -> [165536-165537) not allowed", "usermod --add-subuids", "setup"),
    ("newuidmap: write to uid_map failed: Operation not permitted", "chmod u+s", "setup"),
    ("nsexec-0[123]: mapping tool not present: Operation not permitted", "install uidmap", "setup"),
    ("container_linux.go: can't get final child's PID from pipe: EOF", "lines before", "setup"),
    ("failed to update /proc/71/uid_map: Permission denied", "pid namespace", "setup"),
    ("rootless container requires user namespaces", "render it again", "setup"),
    ("User namespaces enabled, but no uid mappings found.", "id maps", "setup"),
    ("cannot set uid to unmapped user in user namespace", "id maps", "setup"),
    ("2023 cannot setresgid to 100: Invalid argument", "id maps", "setup"),
    ("cannot specify gid= mount options for unmapped gid in rootless containers", "gid=5", "setup"),
    ('error mounting "proc" to rootfs at "/proc": mount proc:/proc: operation not permitted', "unmasked", "setup"),
    ('error mounting "sysfs" to rootfs at "/sys": mount sysfs:/sys: operation not permitted', "bind the", "setup"),
    ('error mounting "/b/inputs/in" to rootfs at "/in": mount /b/inputs/in:/in (via /proc/self/fd/7), flags: 0x5021: '
     "operation not permitted", "nosuid", "setup"),
    ("error preparing rootfs: remount-private dst=/b/root, flags=0x4: permission denied", "chmod a+x", "setup"),
    ('error mounting "/sys" to rootfs at "/sys": mkdir /b/root/sys: permission denied', "beforehand", "setup"),
    ("unable to apply cgroup configuration: mkdir /sys/fs/cgroup/x: permission denied", "delegated", "setup"),
    ("cannot set memory limit: container could not join or create cgroup", "delegated", "setup"),
    ("sd-bus call: Interactive authentication required.: Permission denied", "linger", "setup"),
    ("cgroups in hybrid mode not supported, drop all controllers from cgroupv2", "crun", "setup"),
    ("open /dev/tty: no such device or address", "terminal", "setup"),
    ("open /dev/ptmx: No such file or directory", "terminal", "setup"),
    ("error setting rlimit type 7: operation not permitted", "hard limit", "setup"),
    ("reopen fd 8: permission denied", "LXC", "setup"),
    ("unshare: write failed /proc/self/uid_map: Operation not permitted", "AppArmor", "setup"),
    ("bwrap: Creating new namespace failed: No space left on device", "max_user_namespaces", "setup"),
    ("fusermount: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf", "sed -i", "setup"),
    ("fuse: device not found, try 'modprobe fuse' first", "--device /dev/fuse", "setup"),
    ("fuse: failed to open /dev/fuse: Permission denied", "chmod", "setup"),
    ("fusermount: mount failed: Operation not permitted", "no_new_privs", "setup"),
    ("ls: /in: Permission denied", "allow_other", "build"),
    ("ls: cannot access '/mnt/v': Transport endpoint is not connected", "fusermount -u", "setup"),
    ("exec /bin/x: no such file or directory", "/bin/x, its ELF loader", "exec"),
    ("executable file `/bin/x` not found: No such file or directory (missing dynamic library?)", "loader", "exec"),
    ("exec /bin/x: exec format error", "architecture", "exec"),
    ('exec: "/bin/s": permission denied', "chmod +x", "exec"),
    ("open executable: Permission denied", "chmod +x", "exec"),
    ('exec: "gcc": executable file not found in $PATH', "gcc", "exec"),
    ("./configure: /bin/sh: bad interpreter: No such file or directory", "patchShebangs", "build"),
    ("error: executing '/bin/bash': No such file or directory", "builder /bin/bash", "exec"),
    ("sh: foo: not found", "foo", "build"),
    ("/bin/sh: line 3: pkg-config: command not found", "pkg-config", "build"),
    ("mkdir: can't create directory '/homeless-shelter': Permission denied", "HOME=$TMPDIR", "build"),
    ("curl: (6) Could not resolve host: example.org", "network", "build"),
    ("wget: bad address 'example.org'", "network", "build"),
    ("SSL certificate problem: unable to get local issuer certificate", "SSL_CERT_FILE", "build"),
    ("chmod: changing permissions of 'x': Operation not permitted", "setuid", "build"),
    ("chown: changing ownership of 'x': Invalid argument", "id maps", "build"),
    ("g++: fatal error: Killed signal terminated program cc1plus", "memory", "build"),
    ("sed: couldn't open temporary file ./sedX: Permission denied", "no-preserve=mode", "build"),
    ("touch: /nix/store/x: Read-only file system", "no-preserve=mode", "build"),
    ("auto-patchelf could not satisfy dependency libz.so.1 wanted by /nix/store/x", "libz.so.1", "build"),
    ("error: builder for '/x.drv' failed to produce output path for output 'dev' at '/nix/store/y'", "dev", "output"),
    ("error: hash mismatch in fixed-output derivation '/nix/store/x.drv':", "got:", "output"),
    ("'/x' should be a non-executable regular file since recursive hashing is not enabled", "recursive", "output"),
    ("error: output '/x' is not allowed to refer to the following paths:", "reference", "output"),
    ("error: cycle detected in build of '/x' in the references of output 'bin' from output 'out'", "circle", "output"),
    ("error: suspicious ownership or permission on '/x'; rejecting this build output", "go-w", "output"),
    ("error: file '/nix/store/x/f' has an unsupported type", "FIFO", "output"),
    ("a 'riscv64-linux' is required to build '/x.drv', but I am a 'x86_64-linux'", "x86_64", "setup"),
    ("error: derivation '/x.drv' may not be deterministic: output '/y' differs", "diffoscope", "output"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words", "stage"), [*SEEN, *WORDINGS])
def test_a_seen_text_is_explained(line: str, words: str, stage: str) -> None:
    (finding,) = explain_text(f"before\n{line}\nafter\n")
    assert words.lower() in f"{finding.cause} {finding.cure}".lower()
    assert finding.stage == stage
    assert (finding.line, finding.line_number) == (line, 1)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.pattern[:40])
def test_every_entry_has_a_seen_text(failure: Failure) -> None:
    assert any(
        finding.failure is failure
        for line in [*(seen[0] for seen in [*SEEN, *WORDINGS]), FULL]
        for finding in explain_text(line)
    )


FULL = "cp: write error: No space left on device"


def test_a_full_disk_in_a_build_is_not_a_namespace_limit() -> None:
    (finding,) = explain_text(FULL)
    assert finding.stage == "build" and "free space" in finding.cure


def test_the_symptom_comes_after_its_reason() -> None:
    text = "can't get final child's PID from pipe: EOF\nnewgidmap: gid range [100-101) -> [7-8) not allowed"
    first, second = explain_text(text)
    assert "subgid" in first.cause and second.failure.symptom


def test_texts_are_found_in_order_and_once() -> None:
    text = "sh: foo: not found\nx\nsh: bar: not found\nexec /bin/x: exec format error\n"
    assert [finding.line_number for finding in explain_text(text)] == [0, 3]


def test_no_braces_are_left_in_words() -> None:
    for line, _, _ in [*SEEN, *WORDINGS]:
        for finding in explain_text(line):
            assert "{" not in finding.cause.replace("${", "") and not re.search(r"(?<!\$)\{\w+\}", finding.cure)


@given(st.text())
def test_any_text_can_be_explained(text: str) -> None:
    for finding in explain_text(text):
        assert finding.line in text


def test_a_long_log_does_not_take_long() -> None:
    assert explain_text("gcc -c file.c -o file.o && mkdir -p build/: exec error mounting ok\n" * 20_000) == []
