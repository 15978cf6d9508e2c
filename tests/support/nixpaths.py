"""Store paths for tests: a small closure with some of everything, built by a private Nix, and caches made of it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support.nix import Nix
from tvixbuild_nb.nix import StoreDir, StorePath

# The builder is the sandbox's own shell, with its built-in tools.
_EXPRESSIONS = """
let
  make = name: env: script: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-euc" script ];
    PATH = "/bin";
  } // env);
  text = builtins.toFile "text" "only text\\n";
  leaf = make "leaf" { inherit text; } "mkdir $out; echo $text > $out/text; ln -s $text $out/link";
in make "top" { inherit leaf; } ''
  mkdir -p $out/bin $out/deep/er $out/empty
  printf '#!/bin/sh\\n%s\\n' $leaf > $out/bin/run
  chmod 755 $out/bin/run
  ln -s $leaf/text $out/deep/er/link
  echo "I am $out" > $out/self
  : > $out/nothing
  dd if=/dev/zero bs=1024 count=300 2>/dev/null | tr '\\\\000' 'x' > $out/large
  echo $leaf >> $out/large
''
"""
_SHELL = "/bin/sh=/bin/busybox"


def build_closure(nix: Nix, scratch: Path) -> StorePath:
    """The root of a closure of three paths; it refers to itself, too."""
    expressions = scratch / "closure.nix"
    expressions.write_text(_EXPRESSIONS)
    options = ("--option", "sandbox-paths", _SHELL)
    return StoreDir().parse(nix("nix-build", "--no-out-link", *options, expressions).decode().strip())


def copy_to_cache(nix: Nix, path: StorePath, cache: Path, compression: str, *options: str) -> None:
    """``nix copy`` of a closure to a directory."""
    nix("nix", "copy", "--to", f"file://{cache}?compression={compression}", *options, StoreDir().join(path))


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def served(directory: Path, handler: type[SimpleHTTPRequestHandler] = _Handler) -> Iterator[str]:
    """A web server on loopback that shows ``directory``; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


QuietHandler = _Handler
