"""The FUSE binding: fusepy where libfuse 2 is there, its fork mfusepy where only libfuse 3 is.

The only module that imports either. Both answer the kernel through a chain of Python wrappers; the
class made here puts lean callbacks in their place, which take paths as bytes (names need not be
UTF-8) and copy prepared stat structures.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from tvixbuild_nb.errors import FuseError
from tvixbuild_nb.fs.inodes import MTIME
from tvixbuild_nb.fs.options import MountOptions

# dlopen finds these itself; ctypes.util.find_library, which the bindings would use, starts a compiler.
LIBRARIES = ("libfuse.so.2", "libfuse3.so.4", "libfuse3.so.3")
# Every byte is a character: the bindings want text for the mount point and the options.
ENCODING = "latin-1"
# Seconds. Contents never change, so the kernel may keep what it was told for ever.
FOREVER = 1e8


class Answers(Protocol):
    """What a transport answers; paths are absolute in the view, as bytes.

    An exception is a failure of the view itself: it goes to :meth:`fault`, the caller gets EIO.
    """

    def getattr(self, path: bytes) -> tuple[int, int, int] | None:
        """(inode number, mode, size); None when there is no such path."""
        ...

    def readdir(self, path: bytes) -> Iterable[tuple[bytes, int, int]]:
        """(name, inode number, mode) of every entry, ``.`` and ``..`` included."""
        ...

    def readlink(self, path: bytes) -> bytes: ...
    def open(self, path: bytes) -> None: ...
    def read(self, path: bytes, size: int, offset: int) -> bytes: ...
    def xattrs(self, path: bytes) -> dict[bytes, bytes]: ...
    def fault(self, operation: str, path: bytes, error: Exception) -> None: ...


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding module and the library it speaks to."""

    module: ModuleType
    library: str
    major: int

    @property
    def name(self) -> str:
        """Binding, library and its major version, for people."""
        return f"{self.module.__name__} with {self.library}"


def find_library() -> tuple[str, int]:
    """The libfuse to use and its major version; :class:`FuseError` when there is none.

    ``FUSE_LIBRARY_PATH`` decides when it is set.
    """
    wanted = os.environ.get("FUSE_LIBRARY_PATH")
    for name in (wanted,) if wanted else LIBRARIES:
        try:
            version = int(ctypes.CDLL(name).fuse_version())
        except (OSError, AttributeError):
            continue
        # 29 is 2.9, 314 is 3.14.
        return name, version // (10 if version < 100 else 100)
    raise FuseError(
        f"libfuse is missing: {wanted}" if wanted else "libfuse is missing (neither version 2 nor 3)",
        stage="mount",
        hint="apt-get install fuse (or fuse3), or inputs='checkout'",
    )


def load() -> Binding:
    """Import the binding that suits this host's libfuse; sets FUSE_LIBRARY_PATH in this process.

    Raises :class:`FuseError` when the library or the binding is not there.
    """
    library, major = find_library()
    os.environ["FUSE_LIBRARY_PATH"] = library
    try:
        if major == 2:
            import fuse as module
        else:
            import mfusepy as module
    except ImportError as error:
        raise FuseError(
            f"the FUSE binding for {library} is missing: {error}",
            stage="mount",
            hint="pip install fusepy" if major == 2 else "pip install mfusepy",
        ) from error
    return Binding(module, library, major)


def serve(
    binding: Binding, answers: Answers, mountpoint: str, options: MountOptions, ready: Callable[[], None]
) -> None:
    """Mount at ``mountpoint`` and answer the kernel until unmounted; ``ready`` is called once it answers.

    Takes over SIGINT, SIGTERM and SIGHUP of this process (libfuse does; each unmounts), so it
    belongs into a process of its own. Raises ``RuntimeError`` when the mount fails; the reason
    is on standard error.
    """
    started = False

    def init() -> None:
        nonlocal started
        started = True
        ready()

    base: Any = binding.module.FUSE
    fuse = type("CastoreFuse", (base,), _methods(binding, answers, options, init))
    names = ["init", "getattr", "readdir", "readlink", "open", "read"]
    if options.xattrs:
        names += ["getxattr", "listxattr"]
    try:
        fuse(
            _Operations(names, init),
            os.fsencode(mountpoint).decode(ENCODING),
            encoding=ENCODING,
            foreground=True,
            nothreads=True,
            ro=True,
            default_permissions=True,
            use_ino=True,
            kernel_cache=True,
            entry_timeout=FOREVER,
            attr_timeout=FOREVER,
            negative_timeout=FOREVER,
            fsname="tvixbuild-nb",
            subtype="castore",
            **({"allow_other": True} if options.allow_other else {}),
        )
    except RuntimeError:
        # libfuse 3 reports the signal that ended it as a failure.
        if not started:
            raise


class _Operations:
    """Tells the binding which callbacks to install; mfusepy calls ``init``, nobody the others."""

    use_ns = True

    def __init__(self, names: Iterable[str], ready: Callable[[], None]) -> None:
        for name in names:
            setattr(self, name, lambda *_: ready())


def _methods(binding: Binding, answers: Answers, options: MountOptions, ready: Callable[[], None]) -> dict[str, Any]:
    """The methods of a FUSE subclass that answer without a detour."""

    def dispatch(callback: Callable[..., int], *arguments: Any) -> int:
        try:
            return callback(*arguments) or 0
        except Exception as error:
            answers.fault(callback.__name__, arguments[0], error)
            return -errno.EIO

    callbacks = _callbacks(binding, answers, options)
    if binding.module.__name__ == "mfusepy":
        for name in ("getattr", "readdir"):
            callbacks[f"{name}_fuse_{binding.major}"] = callbacks.pop(name)
    else:
        callbacks["init"] = lambda connection: ready()
    methods: dict[str, Any] = {name: staticmethod(callback) for name, callback in callbacks.items()}
    # Both bindings send every callback through this method.
    methods["_wrapper"] = staticmethod(dispatch)
    return methods


def _callbacks(binding: Binding, answers: Answers, options: MountOptions) -> dict[str, Callable[..., Any]]:
    """libfuse's callbacks by name: the arguments are C's, the result is 0, a length or a negative errno."""
    memmove, addressof = ctypes.memmove, ctypes.addressof
    c_stat = binding.module.c_stat
    stat_size = ctypes.sizeof(c_stat)
    find, listing, read_bytes = answers.getattr, answers.readdir, answers.read
    stats: dict[int, Any] = {}

    def stat_of(mode: int) -> Any:
        st = stats[mode] = c_stat()
        st.st_mode, st.st_nlink, st.st_blksize = mode, 1, 4096
        for name in ("st_atimespec", "st_mtimespec", "st_ctimespec"):
            getattr(st, name).tv_sec = MTIME
        return st

    def getattr_(path: bytes, buf: Any, info: Any = None) -> int:
        found = find(path)
        if found is None:
            return -errno.ENOENT
        ino, mode, size = found
        st = stats.get(mode) or stat_of(mode)
        st.st_ino, st.st_size, st.st_blocks = ino, size, (size + 511) >> 9
        memmove(buf, addressof(st), stat_size)
        return 0

    def readdir(path: bytes, buf: Any, filler: Any, offset: int, info: Any, flags: int = 0) -> int:
        # The type in the listing spares the caller a lookup of every entry.
        rest = (0,) if binding.major == 2 else (0, 0)
        for name, ino, mode in listing(path):
            st = stats.get(mode) or stat_of(mode)
            st.st_ino = ino
            if filler(buf, name, st, *rest):
                return -errno.ENOMEM
        return 0

    def readlink(path: bytes, buf: Any, size: int) -> int:
        target = answers.readlink(path)[: size - 1] + b"\0"
        memmove(buf, target, len(target))
        return 0

    def open_(path: bytes, info: Any) -> int:
        if not options.opens:
            return -errno.ENOSYS  # the kernel takes this as: never ask again, opening always succeeds
        answers.open(path)
        return 0

    def read(path: bytes, buf: Any, size: int, offset: int, info: Any) -> int:
        data = read_bytes(path, size, offset)
        memmove(buf, data, len(data))
        return len(data)

    def getxattr(path: bytes, name: bytes, value: Any, size: int, *position: int) -> int:
        data = answers.xattrs(path).get(name)
        return -errno.ENODATA if data is None else _fill(value, size, data)

    def listxattr(path: bytes, names: Any, size: int) -> int:
        return _fill(names, size, b"".join(name + b"\0" for name in answers.xattrs(path)))

    return {
        "getattr": getattr_,
        "fgetattr": getattr_,
        "readdir": readdir,
        "readlink": readlink,
        "open": open_,
        "read": read,
        "getxattr": getxattr,
        "listxattr": listxattr,
    }


def _fill(buffer: Any, size: int, data: bytes) -> int:
    """Answer an attribute call: the length alone when no room is offered, ERANGE when too little."""
    if size == 0:
        return len(data)
    if len(data) > size:
        return -errno.ERANGE
    ctypes.memmove(buffer, data, len(data))
    return len(data)
