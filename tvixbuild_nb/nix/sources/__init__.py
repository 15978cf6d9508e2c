"""sources: where store paths come from, all behind one protocol.

``protocol`` says what a place can do and what closures are; the places are ``local`` (a Nix store, with its database or
without), ``binarycache`` (over ``transport``, with ``compression`` and ``readahead``) and ``stored`` (a castore).
``known`` remembers what came before and ``built`` what was built here, ``addresses`` opens places by name.
"""

from tvixbuild_nb.nix.sources.addresses import FirstOf, open_path_source
from tvixbuild_nb.nix.sources.binarycache import BinaryCache
from tvixbuild_nb.nix.sources.built import BuiltPaths
from tvixbuild_nb.nix.sources.known import KnownPaths, Remembering
from tvixbuild_nb.nix.sources.local import LocalStore, ScannedStore
from tvixbuild_nb.nix.sources.protocol import Fetched, PathSource, closure, fetch
from tvixbuild_nb.nix.sources.stored import CastoreSource
from tvixbuild_nb.nix.sources.transport import FileTransport, HttpTransport

__all__ = [
    "BinaryCache",
    "BuiltPaths",
    "CastoreSource",
    "Fetched",
    "FileTransport",
    "FirstOf",
    "HttpTransport",
    "KnownPaths",
    "LocalStore",
    "PathSource",
    "Remembering",
    "ScannedStore",
    "closure",
    "fetch",
    "open_path_source",
]
