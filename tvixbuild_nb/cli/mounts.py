"""The command mount."""

from __future__ import annotations

import sys
from argparse import Namespace

from rich.text import Text

from tvixbuild_nb.castore import DirectoryNode, Tree, open_castore
from tvixbuild_nb.cli.places import find
from tvixbuild_nb.cli.screen import console, safe
from tvixbuild_nb.errors import CastoreError


def mount(args: Namespace) -> int:
    """Show a directory of the store at DIR until somebody unmounts it, or Ctrl-C."""
    from tvixbuild_nb.fs import mount as mount_node

    with open_castore(args.store) as castore:
        place = find(castore, args.digest, follow=args.digest.endswith("/"))
        mounted = mount_node(castore, _directory(place), args.directory, foreground=False)
        if sys.stderr.isatty():
            words = f"mounted at {safe(args.directory)}; Ctrl-C or umount ends it"
            console(stderr=True).print(Text(words), soft_wrap=True)
        mounted.wait()
    for fault in mounted.faults:
        console(stderr=True).print(Text(safe(fault)), soft_wrap=True)
    return 1 if mounted.faults else 0


def _directory(place: Tree) -> DirectoryNode:
    node = place.node
    if isinstance(node, DirectoryNode):
        return node
    hint = "; a / at the end follows a symlink" if place.is_symlink() else ""
    raise CastoreError(
        f"this is a {place.kind}, and only a directory can be mounted",
        path=str(place),
        stage="mount",
        hint=f"name a directory{hint}",
    )
