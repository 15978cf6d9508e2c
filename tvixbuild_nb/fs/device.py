"""A FUSE mount of one's own, without libfuse: made, greeted, and only then put where it is wanted.

Everything but the last step needs no mount point, so it can be done before anybody asks for a view.
Needs CAP_SYS_ADMIN in the user namespace, /dev/fuse, and Linux 5.2.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from tvixbuild_nb.fs import linux, protocol
from tvixbuild_nb.fs.protocol import InitFlag, Opcode

DEVICE = "/dev/fuse"
# Pages a request may read: a mebibyte.
MAX_PAGES = 256
# The answers of a system, or of its administrator, that does not let this process mount.
_REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOSYS)


class Refused(Exception):
    """This process may not mount by itself; the ``OSError`` is its cause."""


@dataclass(slots=True)
class Device:
    """An open /dev/fuse (``fd``, non-blocking) and its mount, nowhere yet; the kernel has been greeted.

    ``allow_other``: other users may look in. ``opens``: every lookup and open will be heard of.
    """

    fd: int
    allow_other: bool
    opens: bool
    _mount: int

    def attach(self, mountpoint: str) -> None:
        """Put the mount at ``mountpoint``; :class:`Refused` when this process may not, ``OSError`` when it fails."""
        try:
            linux.move_mount(self._mount, mountpoint)
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES):
                raise Refused from error
            raise
        os.close(self._mount)
        self._mount = -1

    def close(self) -> None:
        """Close the device: whoever is still looking in is cut off; a mount put nowhere is gone."""
        for fd in (self.fd, self._mount):
            if fd >= 0:
                os.close(fd)
        self.fd = self._mount = -1


def open_device(*, allow_other: bool, opens: bool) -> Device:
    """A fresh read-only mount and the device that answers for it; :class:`Refused` when this process may not."""
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            mount = _detached_mount(fd, allow_other)
        except OSError:
            os.close(fd)
            raise
    except OSError as error:
        if error.errno in _REFUSALS:
            raise Refused from error
        raise
    device = Device(fd, allow_other, opens, mount)
    try:
        _greet(fd, opens)
    except BaseException:
        device.close()
        raise
    return device


def _detached_mount(fd: int, allow_other: bool) -> int:
    context = linux.fsopen("fuse")
    try:
        values = {
            "source": "tvixbuild-nb",
            "subtype": "castore",
            "fd": str(fd),
            "rootmode": "40000",
            "user_id": str(os.getuid()),
            "group_id": str(os.getgid()),
        }
        for key, value in values.items():
            linux.fsconfig(context, linux.FSCONFIG_SET_STRING, key, value)
        for flag in ("ro", "default_permissions", *(["allow_other"] if allow_other else [])):
            linux.fsconfig(context, linux.FSCONFIG_SET_FLAG, flag)
        linux.fsconfig(context, linux.FSCONFIG_CMD_CREATE)
        return linux.fsmount(context, linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NODEV)
    finally:
        os.close(context)


def _greet(fd: int, opens: bool) -> None:
    """Answer INIT, which the kernel sends as soon as the mount is made."""
    message = os.read(fd, protocol.READ_BUFFER)
    _, opcode, unique, _ = protocol.REQUEST.unpack_from(message)
    if opcode != Opcode.INIT:
        raise RuntimeError(f"the kernel's first request is {opcode}, not INIT")
    flags = InitFlag.ASYNC_READ | InitFlag.PARALLEL_DIROPS | InitFlag.MAX_PAGES | InitFlag.CACHE_SYMLINKS
    if not opens:
        flags |= InitFlag.DO_READDIRPLUS
    answer = protocol.init(protocol.init_request(message), flags, max_pages=MAX_PAGES)
    os.write(fd, protocol.header(unique, len(answer)) + answer)
