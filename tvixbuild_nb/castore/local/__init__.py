"""local: the embedded store (``file:/path``), one directory that many processes use at once.

    version         "tvixbuild-nb castore 1"; a newer one is refused
    index.sqlite    where each blob lies, all directories, pins and what living processes hold (WAL)
    packs/N.pack    small blobs, appended; whoever appends to a pack has it locked
    blobs/ab/HEX    big blobs, read-only files of their own
    tmp/            big blobs that are being written
    live/           one locked file per process that writes; an unlocked one is a dead process's
    gc.lock         held shared while a batch is open, exclusive while garbage is collected

A blob exists when the index says so, and the index says so only after its bytes are written: a killed
process leaves at most bytes that nothing refers to.  Bytes are synced some seconds later, off everybody's
way; until then their pack (or file) carries the id of this boot, and the first one who opens the
store after another boot checks them by digest and forgets what did not survive.
"""

from tvixbuild_nb.castore.local.store import LocalStore

__all__ = ["LocalStore"]
