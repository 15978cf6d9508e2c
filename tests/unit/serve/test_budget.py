"""Memory that calls share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tvixbuild_nb.castore import Directory, SymlinkNode, encode_directory, open_castore
from tvixbuild_nb.errors import RemoteStoreError
from tvixbuild_nb.serve.budget import Budget
from tvixbuild_nb.serve.directories import DirectoryHandlers


def test_it_is_given_back() -> None:
    budget = Budget(10, "things")
    with budget.share(8) as one, budget.share(8) as two:
        one.take(8)
        with pytest.raises(RemoteStoreError, match="one call brings at most 8") as raised:
            one.take(1)
        assert raised.value.code == "RESOURCE_EXHAUSTED"
        two.take(2)
        with pytest.raises(RemoteStoreError, match="at most 10"):
            two.take(1)
    with budget.share(10) as again:
        again.take(10)


def test_closures_that_come_at_once_share_it() -> None:
    message = encode_directory(Directory({b"link": SymlinkNode(b"x" * 100)}))
    with open_castore("memory:") as castore:
        handlers = DirectoryHandlers(castore, most=len(message) + 10)

        def putting() -> Iterator[bytes]:
            yield message
            with pytest.raises(RemoteStoreError):
                handlers.put(iter([message]), None)  # type: ignore[arg-type]

        handlers.put(putting(), None)  # type: ignore[arg-type]
        handlers.put(iter([message]), None)  # type: ignore[arg-type]


def test_gc_need_not_wait_for_who_sends_slowly(tmp_path: Path) -> None:
    message = encode_directory(Directory({b"link": SymlinkNode(b"x")}))
    with open_castore(tmp_path / "store") as castore, open_castore(tmp_path / "store") as other:

        def putting() -> Iterator[bytes]:
            yield message
            # In the middle of the stream.
            other.gc()

        answer = DirectoryHandlers(castore).put(putting(), None)  # type: ignore[arg-type]
        assert len(answer) == 34
