"""How a build gets its inputs: a FUSE view that the keeper mounts, or links to a checkout."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from tvixbuild_nb.build.service import CancelToken
from tvixbuild_nb.build.stoppable import Stoppable
from tvixbuild_nb.castore import Castore, Node, copy_closure, open_castore
from tvixbuild_nb.errors import NotFound
from tvixbuild_nb.fs import checkout, view_description
from tvixbuild_nb.keeper.client import ViewPlan
from tvixbuild_nb.oci import Bundle


def absent_input(castore: Castore, index: int, name: str, node: Node) -> NotFound:
    """The error for an input that the store does not hold."""
    return NotFound(
        f"the store {castore.address} does not hold the input {name!r}: {node}", path="inputs", index=index,
        stage="request", hint="ingest it first, or open the store that has it",
    )  # fmt: skip


def describe_view(
    castore: Castore,
    inputs: Mapping[str, Node],
    bundle: Bundle,
    trace: Path | None,
    shared_views: Path,
    cancel: CancelToken,
    *,
    backwards: bool = False,
) -> ViewPlan:
    """Write the view file into the bundle; without a ``trace`` the view is one that builds share.

    ``backwards``: directories are listed from the last name on. A store that no other process can open (memory) is
    copied, as far as the inputs need it, into the bundle: :class:`Cancelled` as soon as that is asked for.
    """
    store = castore
    if castore.local_path is None:
        store = open_castore(f"file:{bundle.path / 'store'}")
        with store, Stoppable("inputs", cancel) as progress:
            for node in inputs.values():
                copy_closure(castore, store, node, progress)
    entries = {os.fsencode(name): node for name, node in inputs.items()}
    description = view_description(store.address, entries, backwards=backwards)
    spec = bundle.path / "view.json"
    spec.write_text(description)
    return ViewPlan(
        spec=str(spec),
        store=store.address,
        trace=None if trace is None else str(trace),
        allow_other=True,
        # The same for the same nodes from the same store.
        shared=hashlib.sha256(description.encode()).hexdigest()[:32] if trace is None else None,
        home=str(shared_views),
    )


def link_checkouts(
    castore: Castore, inputs: Mapping[str, Node], bundle: Bundle, cache: Path, cancel: CancelToken
) -> None:
    """Make every input a link to its checkout in ``cache``; the runtime's bind mount follows it to what is ours.

    :class:`Cancelled` as soon as that is asked for.
    """
    with Stoppable("inputs", cancel) as progress:
        for name, node in inputs.items():
            source = checkout(castore, node, cache, progress)
            link = bundle.inputs / name
            if not link.is_symlink():
                link.symlink_to(source)
