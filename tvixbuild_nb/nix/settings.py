"""What Nix's own settings say of trust: whose signatures count, and whether any are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tvixbuild_nb.errors import InvalidNixData
from tvixbuild_nb.nix.signing import CACHE_NIXOS_ORG

_KEYS = ("trusted-public-keys", "binary-cache-public-keys")
_SIGNATURES = "require-sigs"
_EXTRA = "extra-"
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")
_DEEPEST = 20  # files that include each other


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """``keys`` (``name:base64``) may sign; without ``require_signatures`` nobody need."""

    keys: tuple[str, ...] = (CACHE_NIXOS_ORG,)
    require_signatures: bool = True


def trust_settings(environment: Mapping[str, str] | None = None) -> TrustSettings:
    """The settings as Nix finds them; its defaults where there are none.

    ``/etc/nix/nix.conf`` (or that in NIX_CONF_DIR) is read first, then the user's (NIX_USER_CONF_FILES, or below
    XDG_CONFIG_HOME and XDG_CONFIG_DIRS), then NIX_CONFIG: what comes later counts. A file that is not there or that
    may not be read says nothing, as in Nix; :class:`InvalidNixData` with the line for what Nix would not take.
    """
    environment = os.environ if environment is None else environment
    keys, required = TrustSettings().keys, True
    for name, value, place, line in _all_settings(environment):
        if name in _KEYS:
            keys = tuple(value.split())
        elif name.removeprefix(_EXTRA) in _KEYS:
            keys = (*keys, *value.split())
        elif name == _SIGNATURES:
            if value not in (*_YES, *_NO):
                raise InvalidNixData(f"{_SIGNATURES} is true or false, not {value!r}", path=place, index=line)
            required = value in _YES
    return TrustSettings(tuple(dict.fromkeys(keys)), required)


def _all_settings(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str, int]]:
    """Name, value, and where it stands: file and line."""
    yield from _file(Path(environment.get("NIX_CONF_DIR", "/etc/nix")) / "nix.conf")
    if "NIX_USER_CONF_FILES" in environment:
        own = [Path(each) for each in environment["NIX_USER_CONF_FILES"].split(":") if each]
    else:
        home = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "/"), ".config")
        shared = environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
        own = [Path(each, "nix", "nix.conf") for each in (home, *shared) if each]
    for path in reversed(own):
        yield from _file(path)
    yield from _lines(environment.get("NIX_CONFIG", ""), Path("NIX_CONFIG"), 0)


def _file(path: Path, depth: int = 0) -> Iterator[tuple[str, str, str, int]]:
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    yield from _lines(text, path, depth)


def _lines(text: str, path: Path, depth: int) -> Iterator[tuple[str, str, str, int]]:
    for number, line in enumerate(text.split("\n"), 1):
        words = line.partition("#")[0].split()
        match words:
            case []:
                continue
            case ["include" | "!include" as how, name]:
                included = path.parent / name
                if depth == _DEEPEST:
                    raise InvalidNixData(f"settings include each other: {included}", path=str(path), index=number)
                if how == "include" and not included.exists():
                    raise InvalidNixData(f"there is no file to include: {included}", path=str(path), index=number)
                yield from _file(included, depth + 1)
            case [name, "=", *value]:
                yield name, " ".join(value), str(path), number
            case _:
                raise InvalidNixData("no setting: a name, = and a value", path=str(path), index=number)
