"""The commands that show what a request becomes: config and mounts. Nothing is started, no store is opened."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from rich.text import Text

from tvixbuild_nb.cli.places import read_request
from tvixbuild_nb.cli.screen import console, safe, write_json, write_lines
from tvixbuild_nb.oci import SpecOptions, deviations, mount_table, render_spec


def config(args: Namespace) -> int:
    """Print config.json, as this host needs it or, with --tvix, as Tvix renders it."""
    request = read_request(args.request)
    changes: dict[str, Any] = {} if args.sandbox_shell is None else {"sandbox_shell": args.sandbox_shell}
    make = SpecOptions.tvix if args.tvix else SpecOptions.for_host
    text = render_spec(request, make(rootless=args.rootless, **changes)).to_json()
    screen = console()
    if screen.is_terminal:
        screen.print_json(text)
    else:
        sys.stdout.write(f"{text}\n")
    return 0


def mounts(args: Namespace) -> int:
    """Print the mounts in order, then where this rendering deviates from Tvix's."""
    options = SpecOptions.for_host()
    table = mount_table(read_request(args.request), options)
    if args.json:
        write_json(table.to_dicts())
        return 0
    screen = console()
    if screen.is_terminal:
        screen.print(table)
    else:
        write_lines(Text(safe(line)) for line in str(table).split("\n"))
    write_lines([Text(), Text("not as Tvix renders it:", style="bold")])
    write_lines(
        Text.assemble((f"  {each.name}", "yellow"), safe(f": {each.ours} (Tvix: {each.tvix}); {each.reason}"))
        for each in deviations(options)
    )
    return 0
