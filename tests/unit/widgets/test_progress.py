"""A line of progress in its forms, without a browser: while it goes on, over, failed, cancelled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from support.form_page import wait
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.castore.progress import Shown, Silent
from tvixbuild_nb.errors import IngestError
from tvixbuild_nb.widgets.kit.forms import plain_text
from tvixbuild_nb.widgets.progress import PresentedProgress
from tvixbuild_nb.widgets.progress.data import progress_data, progress_line
from tvixbuild_nb.widgets.progress.forms import progress_forms
from tvixbuild_nb.widgets.progress.live import ProgressView

HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e"


def line_of(shown: Shown) -> str:
    return progress_line(progress_data(shown))


def test_the_line_says_how_far_it_is_and_how_it_ended() -> None:
    shown = Shown("ingest")
    shown.advance(1, 1500)
    assert line_of(shown).startswith("ingest: 1 file, 1.5 kB in 0.0 s (") and line_of(shown).endswith("), goes on")
    with shown:
        shown.advance(1999, 10**9)
    assert line_of(shown).startswith("ingest: 2,000 files, 1.0 GB in ") and line_of(shown).endswith("/s)")
    data = progress_data(shown)
    assert data["ended"] == "done" and progress_data(shown) == data, "its time stands still"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_work_that_was_ended_says_by_what(error: BaseException) -> None:
    shown = Shown("export")
    with pytest.raises(type(error)), shown:
        raise error
    assert shown.over and shown.failed is error and line_of(shown).endswith(f", ended by {type(error).__name__}")


def test_hostile_titles_do_nothing() -> None:
    forms = progress_forms(Shown(HOSTILE))
    html, text = str(forms.html()), plain_text(forms.text())
    assert "&lt;img src=x" in html and "<img" not in html
    assert "<img src=x onerror=alert(1)>\\x1b[2J\\u202e: 0 files" in text
    assert not any(bad in html + text for bad in ("\x1b", "\u202e"))


def test_the_live_form_follows_until_the_end_and_no_longer() -> None:
    shown = Shown("ingest")
    view = ProgressView(shown)
    shown.advance(5, 10)
    wait(lambda: view.line["files"] == "5 files")
    with pytest.raises(KeyboardInterrupt), shown:
        raise KeyboardInterrupt
    assert view.updates.join(5) and view.line["ended"] == "ended by KeyboardInterrupt"
    assert view.updates.error is None and view.faults == []
    view.close()


def test_closing_the_view_leaves_the_work_alone() -> None:
    shown = Shown("ingest")
    view = ProgressView(shown)
    view.close()
    assert view.updates.join(5) and not shown.over
    shown.advance(1, 1)
    assert shown.files == 1


def test_outside_of_a_notebook_nothing_is_presented() -> None:
    assert PresentedProgress.in_notebook(Shown("ingest")) is None


# -- ingest and export that fail or are cancelled -------------------------------------------------


class Stopped(Silent):
    """Progress that is interrupted after so many files, as by Ctrl-C."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def advance(self, files: int = 0, bytes: int = 0) -> None:
        super().advance(files, bytes)
        if self.files >= self.most:
            raise KeyboardInterrupt


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in range(300):
        place = tmp_path / "source" / f"d{number % 10}" / f"f{number}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"%d" % number * 100)
    (tmp_path / "source" / "large").write_bytes(b"x" * 3_000_000)
    return tmp_path / "source"


@pytest.fixture(params=["memory:", "file:"])
def store(request: Any, tmp_path: Path) -> Castore:
    return open_castore(request.param if request.param == "memory:" else f"file:{tmp_path / 'store'}")


def test_ingest_and_export_count_all_of_it(store: Castore, source: Path, tmp_path: Path) -> None:
    with Shown("ingest") as shown:
        node = store.ingest(source, progress=shown)
    assert shown.files == 301 and shown.bytes > 3_000_000 and shown.failed is None
    with Shown("export") as out:
        store.export(node, tmp_path / "out", progress=out)
    assert (out.files, out.bytes) == (301, shown.bytes) and line_of(out).startswith("export: 301 files, 3.1 MB in")


def test_an_ingest_that_fails_is_over_and_says_so(store: Castore, source: Path) -> None:
    os.mkfifo(source / "zz")
    shown = Shown("ingest")
    with pytest.raises(IngestError), shown:
        store.ingest(source, progress=shown)
    assert isinstance(shown.failed, IngestError) and line_of(shown).endswith("ended by IngestError")
    (source / "zz").unlink()
    assert store.has_closure(store.ingest(source))


def test_an_ingest_that_is_cancelled_can_be_done_again(store: Castore, source: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.ingest(source, progress=Stopped(50))
    assert store.has_closure(store.ingest(source))


def test_an_export_that_is_cancelled_leaves_nothing(store: Castore, source: Path, tmp_path: Path) -> None:
    node = store.ingest(source)
    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        store.export(node, tmp_path / "out", progress=Stopped(50))
    assert set(tmp_path.iterdir()) == before
    store.export(node, tmp_path / "out")
    assert store.ingest(tmp_path / "out") == node
