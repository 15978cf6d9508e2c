"""The commands about what the store holds."""

from __future__ import annotations

from tvixbuild_nb.cli.parsers.commands import DIGEST, Commands

_STORE = "path or address of a store, such as objectstore+s3://bucket/prefix"


def add_trees(commands: Commands) -> None:
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
        parser.add_argument("digest", metavar="DIGEST[/path]", help=DIGEST)
        if name == "export":
            parser.add_argument("dest", metavar="DEST")
        elif name == "mount":
            parser.add_argument("directory", metavar="DIR", help="an empty directory")
    stores = commands.group("castore", "stores by address: sync")
    sync = stores.add(
        "sync", "stores:sync", "copy what one store holds and another lacks", "json",
        more="Without ROOT all of it, else what the roots reach. What is there is not copied again: the next sync "
        "goes on where an interrupted one stopped.",
    )  # fmt: skip
    sync.add_argument("source", metavar="FROM", help=_STORE)
    sync.add_argument("target", metavar="TO", help=_STORE)
    sync.add_argument("roots", metavar="ROOT", nargs="*", help=DIGEST)
    sync.add_argument("--dry-run", action="store_true", help="only tell what would be copied")
