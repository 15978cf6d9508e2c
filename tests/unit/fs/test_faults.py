"""The system's words about FUSE become one clear message each, with a hint."""

from __future__ import annotations

import pytest

from tvixbuild_nb.fs import fuse_error


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (
            "fusermount: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf",
            "may not let other users into",
            "user_allow_other in /etc/fuse.conf",
        ),
        ("fuse: device not found, try 'modprobe fuse' first", "no /dev/fuse", "--device /dev/fuse"),
        ("fusermount: fuse device not found, try 'modprobe fuse' first", "no /dev/fuse", "modprobe fuse"),
        ("fuse: failed to open /dev/fuse: Permission denied", "closed to this user", "chmod 0666 /dev/fuse"),
        ("fuse: failed to open /dev/fuse: Operation not permitted", "closed to this user", "device cgroup"),
        ("fusermount: mount failed: Operation not permitted", "no_new_privs", "--cap-add SYS_ADMIN"),
        ("fuse: mount failed: Operation not permitted", "CAP_SYS_ADMIN", "inputs='checkout'"),
        ("fuse: failed to exec fusermount: No such file or directory", "fusermount is missing", "apt-get install fuse"),
        ("fuse: mountpoint is not empty\nfuse: if you are sure ...", "not empty", "empty directory"),
        ("fuse: bad mount point `/x': No such file or directory", "does not exist", "make an empty directory"),
        ("fuse: bad mount point `/x': Transport endpoint is not connected", "died", "fusermount -u"),
    ],
)
def test_known_texts(said: str, message: str, hint: str) -> None:
    error = fuse_error(said, path="/mnt")
    assert message in error.message
    assert error.hint is not None and hint in error.hint
    assert error.path == "/mnt"
    assert said.split()[0] in error.message  # the system's own words stay to be searched for


def test_an_unknown_text_is_passed_on() -> None:
    assert fuse_error("fuse: something new").message == "fuse: something new"
    assert fuse_error("  ").message == "the mount failed without a reason"
