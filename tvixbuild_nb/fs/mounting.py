"""Mounting castore nodes for people: in the host's own mount namespace, served by a process of its own."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tvixbuild_nb.castore import Castore
from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.errors import FuseError, NotFound
from tvixbuild_nb.fs.client import MountedView, ViewServer, view_description


class Mount:
    """A mounted tree; a context manager that unmounts. Made by :func:`mount`."""

    def __init__(self, view: MountedView, stack: contextlib.ExitStack) -> None:
        self._view = view
        self._stack = stack

    @property
    def mountpoint(self) -> Path:
        return Path(self._view.mountpoint)

    @property
    def faults(self) -> tuple[str, ...]:
        """After the unmount: what could not be answered though it should, one text each."""
        return self._view.faults

    def wait(self, on_ready: Callable[[Mount], None] | None = None) -> None:
        """Wait until somebody unmounts it; interrupted (Ctrl-C), unmount it and return."""
        try:
            with contextlib.suppress(KeyboardInterrupt):
                if on_ready is not None:
                    on_ready(self)
                self._view.wait()
        finally:
            self.unmount()

    def unmount(self) -> None:
        """Unmount and end the serving process. Idempotent."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unmount()


def mount(
    castore: Castore,
    entries: Mapping[bytes, Node] | Node,
    mountpoint: str | os.PathLike[str],
    *,
    foreground: bool = True,
    allow_other: bool = False,
    xattrs: bool = True,
    transport: str | None = None,
    on_ready: Callable[[Mount], None] | None = None,
) -> Mount:
    """Mount ``entries`` (names to nodes, or a directory, whose entries they are) at an empty directory.

    With ``foreground`` it returns when somebody has unmounted it or after Ctrl-C, which unmounts
    it; without, at once, and the Mount unmounts. ``on_ready`` is called in the foreground as soon as
    it can be used. ``xattrs`` shows digests as extended attributes,
    ``allow_other`` lets other users in, ``transport`` is that of :class:`ViewServer`. :class:`FuseError` says
    why not and what to do, :class:`NotFound` that the store does not hold the directory.
    """
    if castore.local_path is None:
        raise FuseError(
            f"another process serves the mount, and cannot see the store {castore.address}",
            path=mountpoint,
            stage="mount",
            hint="copy_closure() into a store in a directory (file:/path) and mount from there",
        )
    if not os.path.isdir(mountpoint):
        raise FuseError("the mount point is not a directory", path=mountpoint, stage="mount", hint="make it first")
    if isinstance(entries, DirectoryNode):
        directory = castore.directories.get(entries.digest)
        if directory is None:
            raise NotFound("the store does not hold this directory", path=entries.digest.hex(), stage="mount")
        entries = directory.entries
    elif isinstance(entries, FileNode | SymlinkNode):
        raise FuseError("only a directory can be mounted", path=mountpoint, stage="mount", hint="give {name: node}")
    with contextlib.ExitStack() as stack:
        view = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tvixbuild-nb-"))) / "view.json"
        view.write_text(view_description(castore.address, entries, xattrs=xattrs))
        server = stack.enter_context(ViewServer(transport))
        mounted = stack.enter_context(server.mount(view, mountpoint, allow_other=allow_other))
        result = Mount(mounted, stack.pop_all())
    if foreground:
        result.wait(on_ready)
    return result
