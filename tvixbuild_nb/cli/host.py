"""The command doctor."""

from __future__ import annotations

from argparse import Namespace

from tvixbuild_nb.cli.screen import console, write_json


def doctor(args: Namespace) -> int:
    """Tell whether builds can run here; 0 when they can."""
    from tvixbuild_nb.build.doctor import doctor as examine

    report = examine(store=args.store)
    if args.json:
        write_json(report.to_dict())
    else:
        console().print(report)
    return 0 if report.ok else 1
