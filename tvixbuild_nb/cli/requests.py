"""The commands that show what a request becomes: config and mounts. Nothing is started, no store is opened."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from rich.text import Text
from rich.tree import Tree

from tvixbuild_nb.cli.places import read_request
from tvixbuild_nb.cli.screen import console, safe, write_json, write_lines
from tvixbuild_nb.oci import Preview, SpecOptions, deviations, mount_table, render_spec
from tvixbuild_nb.oci.drawing import draw_explained


def config(args: Namespace) -> int:
    """Print config.json, as this host needs it or, with --tvix, as Tvix renders it; with --explain part by part."""
    request = read_request(args.request)
    changes: dict[str, Any] = {} if args.sandbox_shell is None else {"sandbox_shell": args.sandbox_shell}
    make = SpecOptions.tvix if args.tvix else SpecOptions.for_host
    options = make(rootless=args.rootless, **changes)
    if args.explain:
        return _explain(Preview(request, options), args.json)
    text = render_spec(request, options).to_json()
    screen = console()
    if screen.is_terminal and not args.json:
        screen.print_json(text)
    else:
        sys.stdout.write(f"{text}\n")
    return 0


def _explain(preview: Preview, as_json: bool) -> int:
    if as_json:
        write_json(list(preview.explained()))
        return 0
    tree = Tree(Text(f"config.json: {safe(str(preview.validity))}"))
    console().print(draw_explained(tree, preview.config, preview.explanations, preview.marks))
    return 0


def mounts(args: Namespace) -> int:
    """Print the mounts in order, then where this rendering deviates from Tvix's."""
    request, options = read_request(args.request), SpecOptions.for_host()
    table = mount_table(request, options)
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
        for each in deviations(options, request)
    )
    return 0
