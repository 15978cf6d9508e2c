"""The commands about this host and its store."""

from __future__ import annotations

from tvixbuild_nb.cli.parsers.commands import Commands


def add_host(commands: Commands) -> None:
    commands.add(
        "doctor", "host:doctor", "find out whether builds can run here, and what would mend it", "json", "store",
        more="Exit status 0 when builds can run here, else 1.",
    )  # fmt: skip
    commands.add(
        "demo", "demo:demo", "compile a C program in one sandbox and run the result in another", "store", "builder"
    )
    gc = commands.add(
        "gc", "gc:gc", "delete what no recorded run and no pin needs", "json", "store", "host-builder",
        more="Recorded runs need their inputs and outputs; a kept bundle goes once its run's record is gone. "
        "Only the runs of this user's state directory (TVIXBUILD_NB_STATE) and the store's pins count: what runs of "
        "other users or state directories made in the same store is deleted, unless it is pinned.",
    )  # fmt: skip
    gc.add_argument("--dry-run", action="store_true", help="only tell what would be deleted")
