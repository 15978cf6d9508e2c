"""The hash of a fixed output, computed as Nix does and compared with the one that the derivation names."""

from __future__ import annotations

import hashlib
from posixpath import dirname

from tvixbuild_nb.castore import Castore, FileNode, Node
from tvixbuild_nb.errors import OutputError
from tvixbuild_nb.nix.derivation import Fixed
from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.nar import nar_of_node


def check_fixed(output: Fixed, node: Node, castore: Castore, derivation: str) -> None:
    """:class:`OutputError` in Nix's words when ``node`` is not what ``output`` says; ``derivation`` is its place."""
    hasher = hashlib.new(output.hash.algorithm, usedforsecurity=False)
    if output.method == "nar":
        for piece in nar_of_node(castore, node):
            hasher.update(piece)
    elif isinstance(node, FileNode) and not node.executable:
        with castore.tree(node).open() as file:
            while piece := file.read(1 << 20):
                hasher.update(piece)
    else:
        raise OutputError(
            f"output path '{dirname(derivation)}/{output.path}' should be a non-executable regular file since "
            "recursive hashing is not enabled (outputHashMode=flat)",
            hint='outputHashMode = "recursive" takes directories, links and executables',
        )
    got = NixHash(output.hash.algorithm, hasher.digest())
    if got != output.hash:
        raise OutputError(
            f"hash mismatch in fixed-output derivation '{derivation}':\n"
            f"  specified: {output.hash.sri}\n     got:    {got.sri}",
            hint="when the new contents are right, write the hash that was got into the derivation",
        )
