"""What the builds of a closure show, as plain data; every text is safe to look at."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.nix.closurebuild import ClosureBuild
from tvixbuild_nb.widgets.kit import visible


def closure_data(build: ClosureBuild) -> dict[str, Any]:
    """The rows of the graph, deepest needs below what needs them; ``share`` is of the longest time, 0 to 100."""
    tree = build.tree()
    longest = max((node.seconds for node in build.nodes), default=0.0)
    slow = {node.path for node in build.longest_way()} if build.over else set()
    rows = [
        {
            "depth": depth,
            "name": visible(path.name),
            "path": visible(str(path)),
            "state": "above" if node is None else node.state,
            "seconds": "" if node is None or node.started is None else f"{node.seconds:.2f} s",
            "waited": "" if node is None else node.waiting,
            "share": 0 if node is None or not longest else round(100 * node.seconds / longest),
            "run": "" if node is None or node.run is None else visible(node.run),
            "message": "" if node is None or node.message is None else visible(node.message),
            "slow": path in slow,
        }
        for depth, path, node in tree
    ]
    way = build.longest_way()
    total = f"{sum(node.seconds for node in way):.2f} s"
    return {
        "title": visible(f"closure of {build.plan.target.name}"),
        "counts": f"{build.counts()}, {len(build.plan.there)} there already",
        "longest": f"the longest way, {total}: {' → '.join(visible(node.path.name) for node in way)}"
        if build.over and len(way) > 1
        else "",
        "rows": rows,
    }
