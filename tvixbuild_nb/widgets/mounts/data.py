"""What a mount table's view shows, as plain data."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.oci import MountTable
from tvixbuild_nb.widgets.kit import visible


def mounts_data(table: MountTable) -> list[dict[str, Any]]:
    """One dict per mount in mount order; every text is safe to look at."""
    return [
        {
            "order": order,
            "destination": visible(row.destination),
            "type": visible(row.type),
            "source": visible(row.source),
            "host": None if row.host_source is None else visible(row.host_source),
            "options": [visible(option) for option in row.options],
            "asked_for_by": visible(row.asked_for_by),
            "writable": row.writable,
            "digest": row.digest,
            "size": row.size,
            "shadows": [visible(path) for path in row.shadows],
            "shadowed_by": None if row.shadowed_by is None else visible(row.shadowed_by),
        }
        for order, row in enumerate(table, 1)
    ]
