"""What is taught here: every exercise can be solved, and stored notebooks can be read on a page without a kernel."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Playwright

from support.static import page_of, without_scripts
from tvixbuild_nb import lab
from tvixbuild_nb.lab.exercises.registry import shipped

pytestmark = pytest.mark.integration

NOTEBOOKS = Path(__file__).resolve().parents[3] / "notebooks"
# What is to be read on each page: of a log, of a mount table, of a tree.
SEEN = {
    "01-first-sandbox": ("/etc/passwd", "/nix/store/poem", "the resulting tree of /"),
    "02-config-json": ("laboratory", "/sys/fs/cgroup", "not as Tvix renders it"),
    "03-namespaces-and-ids": ("my process number is 1", "every other id", "user:[ns-"),
    "04-mounts": ("Read-only file system", "/dev/shm", "the resulting tree of /"),
    "05-capabilities-and-limits": ("Operation not permitted", "CAP_CHOWN", "out of memory"),
    "06-content-addressed-inputs": ("no third one", "never used", "read.sh"),
    "07-failures-and-explanations": ("./greet.sh: not found", "why it failed", "hello"),
    "08-debugging-a-derivation": ("./configure: not found", "/nix/store", "greet"),
    "09-is-it-reproducible": ("the third verse", "directories are listed in another order", "verses"),
    "10-builds-elsewhere": ("word number 39", "neither side holds this directory", "2 succeeded"),
    "solutions": ("nix/store/numbered", "reproducible: right", "CAP_CHOWN is enough"),
}


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_solution_is_right(name: str) -> None:
    exercise = shipped()[name]
    values: dict[str, Any] = {}
    exec(exercise.solution, values)
    answers = [values[answer] for answer in inspect.signature(exercise.checks[0]).parameters]
    assert str(lab.check(name, *answers)).startswith(f"✓ {name}: right")


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("name", sorted(SEEN))
def test_it_shows_what_is_stored(name: str) -> None:
    found = lab.check_notebooks(NOTEBOOKS / f"{name}.ipynb")
    assert found, str(found)


def test_every_notebook_is_looked_at() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(SEEN)


@pytest.mark.parametrize("name", sorted(SEEN))
def test_a_page_shows_it_without_scripts_and_network(name: str, tmp_path: Path, playwright: Playwright) -> None:
    page_file = page_of(nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4), tmp_path, name)
    with without_scripts(playwright, page_file) as page:
        for folded in page.locator("details:not([open])").all():
            if folded.is_visible():
                folded.locator("> summary").click()
        shown = page.locator("body").inner_text()
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    assert all(text in shown for text in SEEN[name]), [text for text in SEEN[name] if text not in shown]
    assert "site-packages" not in shown and "File …" not in shown  # frames of what is installed
