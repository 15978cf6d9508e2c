"""Derivations from files: one at a path, or those of a store's directory by their store paths."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from tvixbuild_nb.errors import InvalidDerivation, InvalidStorePath
from tvixbuild_nb.nix.aterm import parse_aterm
from tvixbuild_nb.nix.derivation import DERIVATION_SUFFIX, Derivation
from tvixbuild_nb.nix.modulo import ReadDerivation
from tvixbuild_nb.nix.storepath import NIX_STORE, StoreDir, StorePath

# The largest of nixpkgs are a few megabytes.
MAX_SIZE = 64 << 20


def read_derivation(
    path: str | bytes | os.PathLike[str], name: str | None = None, *, store_dir: StoreDir = NIX_STORE
) -> Derivation:
    """Read a .drv file.

    Parameters: ``name``, the derivation's (None: what the file's name says, with or without a store path's hash; where
    it does not end in .drv, what the environment says). OSError when it cannot be read; :class:`InvalidDerivation` for
    what is no regular file, larger than 64 MiB, or not what Nix writes.
    """
    source = os.fsdecode(path)
    return parse_aterm(_contents(source), name or _name_of(source), store_dir=store_dir, source=source)


def derivations_in(directory: str | os.PathLike[str], store_dir: StoreDir = NIX_STORE) -> ReadDerivation:
    """A function that reads the derivation of a store path from ``directory``, which may be a copy of ``store_dir``."""

    def read(path: StorePath) -> Derivation:
        return read_derivation(Path(directory) / path.basename, store_dir=store_dir)

    return read


def _contents(path: str) -> bytes:
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InvalidDerivation("not a regular file", path=path)
        data = file.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise InvalidDerivation(f"larger than {MAX_SIZE >> 20} MiB: that is no derivation", path=path)
    return data


def _open_at_once(path: str, flags: int) -> int:
    # Without waiting for somebody to write into a FIFO.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _name_of(path: str) -> str | None:
    name = os.path.basename(path)
    if not name.endswith(DERIVATION_SUFFIX):
        return None
    with suppress(InvalidStorePath):  # a copy may have a name of its own
        name = StorePath.parse(name).name
    return name.removesuffix(DERIVATION_SUFFIX)
