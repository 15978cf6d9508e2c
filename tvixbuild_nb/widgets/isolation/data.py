"""What an isolation's view shows, as plain data."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.build import Isolation
from tvixbuild_nb.build.isolation import OVERFLOW_ID
from tvixbuild_nb.build.isolationtext import id_range, in_force, limit, namespace_inside, whose
from tvixbuild_nb.widgets.kit import visible

Row = dict[str, Any]


def isolation_data(value: Isolation) -> dict[str, Any]:
    """Everything the view shows; every text is safe to look at."""
    return {
        "title": visible(value.title),
        "basis": value.basis,
        "outside": value.outside,
        "aspects": [
            {
                "name": row.name,
                "host": visible(row.host),
                "inside": visible(row.inside),
                "note": visible(row.note),
            }
            for row in value.aspects
        ],
        "namespaces": [
            {
                "type": row.type,
                "whose": whose(row),
                "own": row.own,
                "host": visible(row.host or "?"),
                "inside": visible(namespace_inside(row)),
                "what": row.what,
                "without": row.without,
            }
            for row in value.namespaces
        ],
        "ids": _ids(value),
        "kept": [_capability(row.name, row.what, row.sets) for row in value.capabilities if row.kept],
        "dropped": [_capability(row.name, row.what, row.sets) for row in value.capabilities if not row.kept],
        "paths": [
            {
                "path": visible(row.path),
                "kind": row.kind,
                "seen": in_force(row),
                "open": row.in_force is False and row.exists is not False,
                "what": row.what,
            }
            for row in value.paths
        ],
        "limits": [
            {
                "name": row.name,
                "inside": limit(row.inside),
                "host": limit(row.host, "—"),
                "unit": row.unit,
                "what": row.what,
                "asked": row.asked,
            }
            for row in value.limits
        ],
    }


def _ids(value: Isolation) -> list[Row]:
    """The maps as arrows, uid and gid alike; last where 65534 comes from."""
    rows: list[Row] = [
        {
            "kind": row.kind,
            "inside": id_range(row.inside, row.size),
            "name": row.name,
            "outside": id_range(row.outside, row.size),
            "host": None if row.host is None else id_range(row.host, row.size),
            "mapped": True,
        }
        for row in value.ids
    ]
    if not rows:
        return []
    nobody = {"inside": str(OVERFLOW_ID), "name": "nobody", "outside": "every other id", "host": None, "mapped": False}
    return [
        row for kind in ("uid", "gid") for row in (*(r for r in rows if r["kind"] == kind), {**nobody, "kind": kind})
    ]


def _capability(name: str, what: str, sets: tuple[str, ...]) -> Row:
    return {"name": visible(name), "what": what, "sets": "" if len(sets) in (0, 5) else ", ".join(sets)}
