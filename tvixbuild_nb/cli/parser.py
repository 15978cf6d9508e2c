"""The command line of tvixbuild-nb: every command, what it takes, and which function it calls."""

from __future__ import annotations

import argparse
import math

from tvixbuild_nb import __version__

_REQUEST = "file with a build request as protobuf-JSON; - reads standard input"
_DIGEST = "digest in hex of a directory or blob (the first 6 digits or more may do), then a path below it"
_NAR = "file with a NAR, not compressed; - reads standard input"
_EPILOG = """\
exit status: 0 done, 1 failed, 2 the request or the command line was refused, 130 interrupted

environment: TVIXBUILD_NB_STORE (path or address of the store), TVIXBUILD_NB_BUILDER (address of the build service),
             TVIXBUILD_NB_STATE (directory with the recorded runs), NO_COLOR
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser; ``args.command`` is ``module:function`` below tvixbuild_nb.cli."""
    parser = argparse.ArgumentParser(
        prog="tvixbuild-nb",
        description="Preview, run and browse sandboxed builds, as Tvix's OCI build service does them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tvixbuild-nb {__version__}")
    commands = _Commands(parser)
    _add_host(commands)
    _add_requests(commands)
    _add_runs(commands)
    _add_trees(commands)
    _add_derivations(commands)
    _add_nars(commands)
    return parser


class _Commands:
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(self, name: str, command: str, text: str, *flags: str, more: str = "") -> argparse.ArgumentParser:
        """A command that calls ``command``; ``flags`` are names of the options shared by several commands."""
        description = f"{text[0].upper()}{text[1:]}.{' ' if more else ''}{more}"
        parser = self._parsers.add_parser(name, help=text, description=description)
        parser.set_defaults(command=command)
        for flag in flags:
            {"json": _json, "store": _store, "builder": _builder, "request": _request}[flag](parser)
        return parser

    def group(self, name: str, text: str) -> _Commands:
        """Commands of two words, the first of which is ``name``."""
        return _Commands(self._parsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}."))


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="JSON on standard output, for machines")


def _store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="ADDR", help="path or address (file:/path) of the store")


def _builder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--builder", metavar="ADDR", help="address of the build service, such as oci:/bundle/root")


def _request(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("request", metavar="REQUEST", help=_REQUEST)


def _add_host(commands: _Commands) -> None:
    commands.add(
        "doctor", "host:doctor", "find out whether builds can run here, and what would mend it", "json", "store",
        more="Exit status 0 when builds can run here, else 1.",
    )  # fmt: skip
    commands.add(
        "demo", "demo:demo", "compile a C program in one sandbox and run the result in another", "store", "builder"
    )
    gc = commands.add(
        "gc", "gc:gc", "delete what no recorded run and no pin needs", "json", "store", "builder",
        more="Recorded runs need their inputs and outputs; a kept bundle goes once its run's record is gone. "
        "Only the runs of this user's state directory (TVIXBUILD_NB_STATE) and the store's pins count: what runs of "
        "other users or state directories made in the same store is deleted, unless it is pinned.",
    )  # fmt: skip
    gc.add_argument("--dry-run", action="store_true", help="only tell what would be deleted")


def _add_requests(commands: _Commands) -> None:
    config = commands.add(
        "config", "requests:config", "print the config.json that a request becomes", "request", "json"
    )
    config.add_argument(
        "--explain",
        action="store_true",
        help="say of every part what it does, who asked for it, where it is specified, what would be without it",
    )
    config.add_argument("--tvix", action="store_true", help="exactly as Tvix renders it, nothing of this host in it")
    form = config.add_mutually_exclusive_group()
    form.add_argument("--rootless", dest="rootless", action="store_true", default=True, help="the default")
    form.add_argument(
        "--root", dest="rootless", action="store_false", help="without user namespace: to compare, never run"
    )
    config.add_argument("--sandbox-shell", metavar="PATH", help="static shell of the host to stand at /bin/sh")
    commands.add("mounts", "requests:mounts", "print what gets mounted in a request's sandbox", "request", "json")
    run = commands.add(
        "run", "runs:run", "build a request; the live log goes to standard error",
        "request", "json", "store", "builder",
        more="Exit status 0 when the build succeeded, 1 when it did not, 2 when it was refused and nothing started.",
    )  # fmt: skip
    run.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="end the command after that time")
    run.add_argument(
        "--keep",
        choices=("failure", "always", "never"),
        default="failure",
        help="which bundles stay, failure unless given",
    )
    run.add_argument("--inputs", choices=("auto", "fuse", "checkout"), default="auto", help="how inputs get inside")
    run.add_argument("--strict", action="store_true", help="refuse rather than do without something")
    run.add_argument("--observe", action="store_true", help="record what the container looks like before it starts")
    run.add_argument("--no-trace", dest="trace", action="store_false", help="do not record what is read of the inputs")
    run.add_argument("--runtime", metavar="NAME", help="runc (default), crun, or a path")


def _add_runs(commands: _Commands) -> None:
    commands.add("runs", "runs:runs", "list the recorded runs, the newest first", "json")
    rm = commands.add(
        "rm", "removal:rm", "delete runs: record, log and kept bundle", "json",
        more="A run that goes on is not deleted. What its outputs take in the store goes with the next gc.",
    )  # fmt: skip
    rm.add_argument("runs", metavar="RUN", nargs="+", help="id of a run, or its beginning")
    log = commands.add("log", "runs:log", "print the log of a run", more="As it was written; made safe on a terminal.")
    log.add_argument("run", metavar="RUN", help="id of a run, or its beginning")
    log.add_argument("--follow", "-f", action="store_true", help="go on until the run is over")
    log.add_argument("--stream", choices=("stdout", "stderr", "terminal"), help="only this one")
    why = commands.add(
        "why", "questions:why", "tell where in a run's outputs a reference stands", "json",
        more="File, byte offset and what is around it; targets of symlinks and names too. Secrets are left out.",
    )  # fmt: skip
    why.add_argument("run", metavar="RUN", help="id of a run, or its beginning")
    why.add_argument("needle", metavar="NEEDLE", help="a text, or an input's name or path: its needle is looked for")


def _add_trees(commands: _Commands) -> None:
    ingest = commands.add(
        "ingest", "trees:ingest", "store files, directories and symlinks", "json", "store",
        more="With --json one PATH gives one object, several give a list. Symlinks are stored, not followed.",
    )  # fmt: skip
    ingest.add_argument("paths", metavar="PATH", nargs="+")
    where = (
        ("ls", "trees:ls", "list a directory of the store", True),
        ("tree", "trees:tree", "draw a directory of the store with all below it", True),
        ("cat", "trees:cat", "print a file of the store", False),
        ("export", "trees:export", "write a directory or file of the store to DEST, which must not exist", False),
        ("mount", "mounts:mount", "show a directory of the store at DIR until it is unmounted or Ctrl-C", False),
    )
    for name, command, text, json in where:
        parser = commands.add(name, command, text, "store", *(["json"] if json else []))
        parser.add_argument("digest", metavar="DIGEST[/path]", help=_DIGEST)
        if name == "export":
            parser.add_argument("dest", metavar="DEST")
        elif name == "mount":
            parser.add_argument("directory", metavar="DIR", help="an empty directory")


def _add_derivations(commands: _Commands) -> None:
    drv = commands.group("drv", "look into Nix derivations")
    show = drv.add(
        "show", "derivations:show", "print a derivation as JSON, as nix derivation show of Nix 2.8 does",
        more="What is not UTF-8 stands there with replacement characters; standard error tells where. "
        "NIX_STORE_DIR is the store that its paths lie in, /nix/store unless set.",
    )  # fmt: skip
    show.add_argument("derivation", metavar="PATH.drv")
    request = drv.add(
        "request", "derivations:request", "print the request that builds a derivation, its inputs put into the store",
        "store",
        more="The derivations of its inputs are read from beside PATH.drv, or where the inputs come from. "
        "NIX_STORE_DIR is the store that its paths lie in, /nix/store unless set.",
    )  # fmt: skip
    request.add_argument("derivation", metavar="PATH.drv")
    request.add_argument(
        "--from", dest="source", metavar="ADDR", default="local",
        help="where the inputs come from: local (the default), local?root=/DIR, file:///CACHE, http://...",
    )  # fmt: skip
    request.add_argument(
        "--key", dest="keys", metavar="NAME:KEY", action="append", default=[],
        help="a public key that a binary cache may sign with; without one of them its paths are refused",
    )  # fmt: skip
    request.add_argument("--cores", metavar="N", type=_cores, default=0, help="what NIX_BUILD_CORES says; 0, all")
    request.add_argument(
        "--impure", metavar="NAME=VALUE", action="append", type=_variable, default=[],
        help="the value of one of the impureEnvVars of a fixed output; the request shows it",
    )  # fmt: skip


def _add_nars(commands: _Commands) -> None:
    nar = commands.group("nar", "make and read NARs, Nix's archives")
    made: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
        ("hash", "nars:hash", "print the SHA-256 of a path's NAR, and with --json its size in bytes", ("json",)),
        ("dump", "nars:dump", "write the NAR of a path to standard output", ()),
    )
    for name, command, text, flags in made:
        parser = nar.add(name, command, text, "store", *flags)
        parser.add_argument("path", metavar="PATH", help=f"path of this host; where there is none: {_DIGEST}")
    restore = nar.add("restore", "nars:restore", "unpack a NAR to DEST, which must not exist")
    restore.add_argument("file", metavar="FILE", help=_NAR)
    restore.add_argument("dest", metavar="DEST")
    ls = nar.add("ls", "nars:ls", "list what is in a NAR, without unpacking it", "json")
    ls.add_argument("file", metavar="FILE", help=_NAR)


def _cores(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of cores")
    return int(text)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value
