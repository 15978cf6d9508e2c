"""Places that inputs come from, by their addresses; and several of them as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from tvixbuild_nb.castore import Castore, Node
from tvixbuild_nb.errors import InvalidAddress, InvalidValue
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.settings import trust_settings
from tvixbuild_nb.nix.signing import PublicKey
from tvixbuild_nb.nix.sources.binarycache import BinaryCache
from tvixbuild_nb.nix.sources.local import LocalStore, ScannedStore
from tvixbuild_nb.nix.sources.protocol import ClosingSource, PathSource, not_found
from tvixbuild_nb.nix.sources.transport import FileTransport, HttpTransport
from tvixbuild_nb.nix.storepath import StoreDir, StorePath

_KNOWN = "known: local, local?root=/DIR, file:///DIR, http://..., https://..."


def open_path_source(
    address: str = "local",
    *,
    keys: Iterable[PublicKey | str] | None = None,
    require_signatures: bool | None = None,
    store: StoreDir | None = None,
) -> PathSource:
    """The place at ``address``; :class:`InvalidAddress` lists what there is.

    ``local`` is the Nix store of this host, with its database or, where there is none, without; ``local?root=DIR`` one
    below DIR.  ``file:`` and ``http:`` are binary caches: ``keys`` (``name:base64``) are trusted, and unsigned paths
    refused unless ``require_signatures`` is False.  Without ``keys`` both are as :func:`trust_settings` finds them;
    ``?trusted=1`` behind an address trusts whoever is there, as in Nix.  ``store`` is the directory that paths are for.
    """
    parts = urlsplit(address)
    store = store or StoreDir()
    if parts.scheme in ("http", "https") and parts.hostname:
        place = urlunsplit(parts._replace(query="", fragment=""))
        transport: FileTransport | HttpTransport = HttpTransport(place)
    elif parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        transport = FileTransport(Path(unquote(parts.path)))
    elif not parts.scheme and parts.path == "local":
        return _local(address, parts.query, store)
    else:
        either = ""
        if address.startswith("/"):
            either = (
                f"; a path alone could be a store (local?root=DIR, for DIR/nix/store) or a cache (file://{address})"
            )
        raise InvalidAddress(f"no place that store paths come from: {address!r}", hint=f"{_KNOWN}{either}")
    if keys is None:
        settings = trust_settings()
        keys, configured = settings.keys, settings.require_signatures
    else:
        configured = True
    trusted = [PublicKey.parse(key) if isinstance(key, str) else key for key in keys]
    required = configured if require_signatures is None else require_signatures
    required = required and not _trusts_whoever(address, parts.query)
    return BinaryCache(transport, keys=trusted, require_signatures=required, store=store)


def _trusts_whoever(address: str, query: str) -> bool:
    options = parse_qs(query, keep_blank_values=True)
    trusted = options.pop("trusted", ["0"])[-1]
    if options or trusted not in ("0", "1", "false", "true"):
        raise InvalidAddress(f"no option of a binary cache: {address!r}", hint="?trusted=1 takes what nobody signed")
    return trusted in ("1", "true")


def _local(address: str, query: str, store: StoreDir) -> PathSource:
    options = parse_qs(query, keep_blank_values=True)
    root = Path(options.pop("root", ["/"])[-1])
    if options or not root.is_absolute():
        raise InvalidAddress(f"not a local store: {address!r}", hint=_KNOWN)
    real, state = root / store.path.lstrip("/"), root / "nix/var/nix"
    if (state / "db" / "db.sqlite").exists():
        return LocalStore(store, state=state, real=real)
    return ScannedStore(store, real=real)


class FirstOf(ClosingSource):
    """Several places as one: each path comes from the first that has it; closing it closes them.

    What was told of a path is not asked for again: a path does not change, and what is gone meanwhile is missed when
    its contents are asked for.
    """

    def __init__(self, sources: Sequence[PathSource]) -> None:
        stores = {source.store for source in sources}
        if len(stores) != 1:
            raise InvalidValue("the places are for different store directories, or there is none", path="sources")
        (self.store,) = stores
        self.address = ", ".join(source.address for source in sources)
        self.parallel = max(source.parallel for source in sources)
        self._sources = tuple(sources)
        self._told: dict[StorePath, tuple[PathSource, PathInfo]] = {}

    def _first(self, path: StorePath) -> tuple[PathSource, PathInfo] | None:
        if path not in self._told:
            for source in self._sources:
                info = source.info(path)
                if info is not None:
                    self._told[path] = (source, info)
                    break
        return self._told.get(path)

    def info(self, path: StorePath) -> PathInfo | None:
        found = self._first(path)
        return None if found is None else found[1]

    def node(self, path: StorePath, castore: Castore) -> Node:
        found = self._first(path)
        if found is None:
            raise not_found(self, path)
        return found[0].node(path, castore)

    def witness(self, path: StorePath) -> str | None:
        return None

    def close(self) -> None:
        for source in self._sources:
            source.close()
