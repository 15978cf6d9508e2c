"""The system's own words about FUSE, each turned into one clear message with what to do."""

from __future__ import annotations

import re

from tvixbuild_nb.errors import FuseError

_CHECKOUT = "or use inputs='checkout'"

# Pattern in libfuse's, fusermount's or the system's text -> message, hint. The first that fits counts.
_TEXTS: tuple[tuple[str, str, str], ...] = (
    (
        r"Transport endpoint is not connected",
        "an earlier FUSE process died and left its mount behind",
        "fusermount -u MOUNTPOINT (as root: umount MOUNTPOINT)",
    ),
    (
        r"user_allow_other",
        "an ordinary user may not let other users into a FUSE mount here (allow_other)",
        f"uncomment user_allow_other in /etc/fuse.conf, {_CHECKOUT}",
    ),
    (
        r"device not found|/dev/fuse: No such (file|device)|/dev/fuse.*ENODEV",
        "this host has no /dev/fuse",
        f"modprobe fuse; in a container start it with --device /dev/fuse --cap-add SYS_ADMIN; {_CHECKOUT}",
    ),
    (
        r"/dev/fuse: (Permission denied|Operation not permitted)",
        "/dev/fuse is closed to this user",
        f"chmod 0666 /dev/fuse (in a container: --device /dev/fuse, or a device cgroup rule for c 10:229), {_CHECKOUT}",
    ),
    (
        r"fusermount3?.*(No such file|not found)|exec(ute)?.*fusermount.*failed",
        "fusermount is missing; an ordinary user cannot mount without it",
        f"apt-get install fuse (or fuse3), {_CHECKOUT}",
    ),
    (
        r"mountpoint is not empty",
        "the mount point is not empty",
        "give an empty directory",
    ),
    (
        r"(bad mount ?point|failed to access mountpoint).*No such file",
        "the mount point does not exist",
        "make an empty directory first",
    ),
    (
        r"(bad mount ?point|failed to access mountpoint)",
        "the mount point cannot be used",
        "give an empty directory that this user may write to",
    ),
    (
        r"mount failed: Operation not permitted|fusermount.*Operation not permitted|mount.*Operation not permitted",
        "mounting is not allowed here: no CAP_SYS_ADMIN, or no_new_privs keeps fusermount from getting it",
        "in a container start it with --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined "
        f"(Kubernetes: allowPrivilegeEscalation), {_CHECKOUT}",
    ),
    (
        r"fusermount.*mount_max|too many FUSE filesystems mounted",
        "this user has too many FUSE mounts",
        "unmount some, or raise mount_max in /etc/fuse.conf",
    ),
    (
        r"fuse: unknown option",
        "this libfuse does not know one of the mount options",
        f"set FUSE_LIBRARY_PATH to a libfuse of version 2.9 or 3, {_CHECKOUT}",
    ),
)


def fuse_error(text: str, *, path: str | None = None) -> FuseError:
    """The :class:`FuseError` for what the system said; an unknown text is passed on as it is."""
    said = " ".join(text.split())
    for pattern, message, hint in _TEXTS:
        if re.search(pattern, said):
            return FuseError(f"{message} ({said})", path=path, stage="mount", hint=hint)
    return FuseError(
        said or "the mount failed without a reason", path=path, stage="mount", hint=f"tvixbuild-nb doctor, {_CHECKOUT}"
    )
