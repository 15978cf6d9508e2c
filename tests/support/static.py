"""Notebooks as they are read without a kernel: executed headless, converted to a page, opened without scripts."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbconvert.exporters.html import HTMLExporter

from support.lab import CHROMIUM, axe

if TYPE_CHECKING:
    from playwright.sync_api import Page, Playwright, Request, Route

SECONDS = 120
# Scripts of the page are forbidden, what Playwright evaluates is not.
_NO_SCRIPTS = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'unsafe-eval'"


def executed(cells: tuple[str, ...], place: Path, *, store_widget_state: bool = False) -> nbformat.NotebookNode:
    """A notebook of these code cells, executed in ``place``; an exception in a cell is one here."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    NotebookClient(
        notebook,
        timeout=SECONDS,
        store_widget_state=store_widget_state,
        km=_this_python(),
        resources={"metadata": {"path": str(place)}},
    ).execute(cleanup_kc=True)
    return notebook


def _this_python() -> AsyncKernelManager:
    """A kernel of the Python that runs the tests, whatever kernelspecs the person at this machine has."""
    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[_own_specs()]))


def _own_specs() -> str:
    return str(Path(sys.prefix) / "share" / "jupyter" / "kernels")


def page_of(notebook: nbformat.NotebookNode, place: Path, name: str = "page", **options: object) -> Path:
    """What ``nbconvert --to html`` makes of a notebook (``options``: the exporter's traits); the HTML's path."""
    html, _ = HTMLExporter(**options).from_notebook_node(notebook)
    path = place / f"{name}.html"
    path.write_text(html, encoding="utf-8")
    return path


def converted(place: Path, *cells: str, store_widget_state: bool = False) -> Path:
    """Execute code cells in ``place`` and convert the notebook, nothing else; the HTML's path."""
    return page_of(executed(cells, place, store_widget_state=store_widget_state), place)


@contextlib.contextmanager
def without_scripts(playwright: Playwright, path: Path, width: int = 900) -> Iterator[Page]:
    """Open an HTML file in a Chromium without JavaScript and without network; anything it asks for but itself fails.

    nbconvert's own scripts, which it would fetch from a CDN, are not asked for then. Playwright's locators work;
    ``evaluate`` may hang, so it is :func:`static_violations` that looks at the same file with axe-core.
    """
    browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=["--disable-gpu"])
    try:
        context = browser.new_context(
            java_script_enabled=False, offline=True, viewport={"width": width, "height": 1000}, color_scheme="light"
        )
        page = context.new_page()
        page.set_default_timeout(15_000)
        asked: list[str] = []

        def note(request: Request) -> None:
            if request.url != path.as_uri() and not request.url.startswith("data:"):
                asked.append(request.url)

        page.on("request", note)
        page.goto(path.as_uri())
        yield page
        assert asked == [], f"a static page asked for {asked}"
    finally:
        browser.close()


def static_violations(playwright: Playwright, path: Path, selector: str) -> list[str]:
    """What axe-core finds serious or critical below ``selector`` in an HTML file whose own scripts do not run.

    Every ``<details>`` is open: what is folded is not looked at otherwise.
    """
    browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=["--disable-gpu"])
    try:
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()

        def serve(route: Route) -> None:
            if route.request.url == "http://static.invalid/":
                route.fulfill(
                    body=path.read_text(encoding="utf-8"),
                    headers={"content-type": "text/html; charset=utf-8", "content-security-policy": _NO_SCRIPTS},
                )
            else:
                route.abort()

        page.route("**/*", serve)
        page.goto("http://static.invalid/")
        page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        return axe(page, selector)
    finally:
        browser.close()
