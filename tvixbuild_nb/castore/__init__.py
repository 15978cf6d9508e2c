"""castore: content-addressed files and directories, as tvix-castore has them.

The data model (``digest``, ``nodes``) and its canonical encoding (``encoding``); what a store must do
(``services``) and the stores (``memory``, ``local``, ``objects``, several as one: ``caching``, ``priority``), what is
copied between them (``closure``, ``syncing``); ways in (``paths``, ``tar``, scanned
for needles by ``refscan``) and out (``export``, ``tree``), a page at a time (``listing``) and side by side
(``compare``). :class:`Castore` puts them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.castore.castore import Castore, open_castore
from tvixbuild_nb.castore.closure import copy_closure
from tvixbuild_nb.castore.digest import DIGEST_SIZE, Digest
from tvixbuild_nb.castore.encoding import (
    decode_directory,
    decode_node,
    directory_digest,
    encode_directory,
    encode_node,
)
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node, SymlinkNode, check_name
from tvixbuild_nb.castore.services import (
    Backend,
    Batch,
    BlobReader,
    BlobService,
    BlobWriter,
    DirectoryService,
    GcReport,
)
from tvixbuild_nb.lazy import imported_when_asked_for

if TYPE_CHECKING:
    from tvixbuild_nb.castore.caching import cache as cache
    from tvixbuild_nb.castore.compare import Change as Change
    from tvixbuild_nb.castore.compare import TreeDiff as TreeDiff
    from tvixbuild_nb.castore.compare import tree_diff as tree_diff
    from tvixbuild_nb.castore.listing import Listing as Listing
    from tvixbuild_nb.castore.listing import list_directory as list_directory
    from tvixbuild_nb.castore.paths import Ingested as Ingested
    from tvixbuild_nb.castore.paths import ingest as ingest
    from tvixbuild_nb.castore.paths import ingest_path as ingest_path
    from tvixbuild_nb.castore.priority import priority as priority
    from tvixbuild_nb.castore.progress import Progress as Progress
    from tvixbuild_nb.castore.syncing import SyncReport as SyncReport
    from tvixbuild_nb.castore.syncing import sync as sync
    from tvixbuild_nb.castore.tree import Tree as Tree

# Imported on first use: reading a store must not pay for what writes it.
_LATER = {
    "Change": "compare",
    "Ingested": "paths",
    "Listing": "listing",
    "Progress": "progress",
    "SyncReport": "syncing",
    "Tree": "tree",
    "TreeDiff": "compare",
    "cache": "caching",
    "ingest": "paths",
    "ingest_path": "paths",
    "list_directory": "listing",
    "priority": "priority",
    "sync": "syncing",
    "tree_diff": "compare",
}

__all__ = [
    "DIGEST_SIZE",
    "Backend",
    "Batch",
    "BlobReader",
    "BlobService",
    "BlobWriter",
    "Castore",
    "Change",
    "Digest",
    "Directory",
    "DirectoryNode",
    "DirectoryService",
    "FileNode",
    "GcReport",
    "Ingested",
    "Listing",
    "Node",
    "Progress",
    "SymlinkNode",
    "SyncReport",
    "Tree",
    "TreeDiff",
    "cache",
    "check_name",
    "copy_closure",
    "decode_directory",
    "decode_node",
    "directory_digest",
    "encode_directory",
    "encode_node",
    "ingest",
    "ingest_path",
    "list_directory",
    "open_castore",
    "priority",
    "sync",
    "tree_diff",
]

__getattr__ = imported_when_asked_for(__name__, _LATER)
