"""The commands that build a request several times to find something out: check, minimize."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol

from rich.text import Text

from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.cli.building import check_runtime
from tvixbuild_nb.cli.entry import FAILED
from tvixbuild_nb.cli.places import read_request
from tvixbuild_nb.cli.screen import safe, write_json, write_lines
from tvixbuild_nb.sandbox import Sandbox


class _Answer(Protocol):
    def to_dict(self) -> dict[str, Any]: ...


def check(args: Namespace) -> int:
    """Tell whether a build gives the same outputs in other surroundings; the status is 1 when it does not."""
    with _sandbox(args) as sandbox:
        checked = sandbox.check(args.count, args.vary, timeout=args.timeout)
        _tell(args, checked)
    return 0 if checked else FAILED


def minimize(args: Namespace) -> int:
    """Tell which inputs a build does without, and write the request without them where that is asked for."""
    with _sandbox(args) as sandbox:
        minimized = sandbox.minimize(timeout=args.timeout)
        _tell(args, minimized)
        if args.output is not None:
            if minimized:
                minimized.apply()
            sandbox.save(args.output)
    return 0


@contextmanager
def _sandbox(args: Namespace) -> Iterator[Sandbox]:
    check_runtime(args)
    with open_castore(args.store) as castore:
        request = read_request(args.request)
        sandbox = Sandbox.from_request(
            request, store=castore, builder=args.builder, builder_store=args.builder_store, runtime=args.runtime
        )
        with closing(sandbox.builder):
            yield sandbox


def _tell(args: Namespace, answer: _Answer) -> None:
    if args.json:
        write_json(answer.to_dict())
    else:
        write_lines(Text(safe(line)) for line in str(answer).split("\n"))
