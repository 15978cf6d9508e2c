"""Commands, the options that several of them share, and how their values are read."""

from __future__ import annotations

import argparse
import math

DIGEST = "digest in hex of a directory or blob (the first 6 digits or more may do), then a path below it"
NAR = "file with a NAR, not compressed; - reads standard input"
_REQUEST = "file with a build request as protobuf-JSON; - reads standard input"
RUN = "id of a run, or its beginning; or a record of one (.tvixrun)"


class Commands:
    """Commands below one parser."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(self, name: str, command: str, text: str, *flags: str, more: str = "") -> argparse.ArgumentParser:
        """A command that calls ``command``; ``flags`` are names of the options shared by several commands."""
        description = f"{text[0].upper()}{text[1:]}.{' ' if more else ''}{more}"
        parser = self._parsers.add_parser(name, help=text, description=description)
        parser.set_defaults(command=command)
        for flag in flags:
            {"json": _json, "store": _store, "builder": _builder_store, "host-builder": _builder, "request": _request}[
                flag
            ](parser)
        return parser

    def group(self, name: str, text: str) -> Commands:
        """Commands of two words, the first of which is ``name``."""
        return Commands(self._parsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}."))


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="JSON on standard output, for machines")


def _store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="ADDR", help="path or address (file:/path) of the store")


def _builder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--builder", metavar="ADDR",
        help="address of the build service, such as oci:/bundle/root or grpc+http://host:port",
    )  # fmt: skip


def _builder_store(parser: argparse.ArgumentParser) -> None:
    _builder(parser)
    parser.add_argument(
        "--builder-store", metavar="ADDR", help="the store of a builder elsewhere, where it is not at its own address"
    )


def _request(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("request", metavar="REQUEST", help=_REQUEST)


def cores(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of cores")
    return int(text)


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value
