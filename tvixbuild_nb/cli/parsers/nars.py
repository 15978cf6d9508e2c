"""The commands about NARs, Nix's archives."""

from __future__ import annotations

from tvixbuild_nb.cli.parsers.commands import DIGEST, NAR, Commands


def add_nars(commands: Commands) -> None:
    nar = commands.group("nar", "make and read NARs, Nix's archives")
    made: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
        ("hash", "nars:hash", "print the SHA-256 of a path's NAR, and with --json its size in bytes", ("json",)),
        ("dump", "nars:dump", "write the NAR of a path to standard output", ()),
    )
    for name, command, text, flags in made:
        parser = nar.add(name, command, text, "store", *flags)
        parser.add_argument("path", metavar="PATH", help=f"path of this host; where there is none: {DIGEST}")
    restore = nar.add("restore", "nars:restore", "unpack a NAR to DEST, which must not exist")
    restore.add_argument("file", metavar="FILE", help=NAR)
    restore.add_argument("dest", metavar="DEST")
    ls = nar.add("ls", "nars:ls", "list what is in a NAR, without unpacking it", "json")
    ls.add_argument("file", metavar="FILE", help=NAR)
