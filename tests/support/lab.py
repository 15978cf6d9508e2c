"""A real JupyterLab on loopback and a real Chromium, for tests of what people see.

One server and one browser for a test session's process; each test gets a notebook, a kernel and a page of its own.
Nothing leaves the machine: a request to anywhere else is aborted and fails the test, and so does an error in the
browser's console.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Playwright, Request

# Debian's; None is the one that Playwright fetched where the system has none as a package (.ci/setup).
CHROMIUM = "/usr/bin/chromium" if Path("/usr/bin/chromium").exists() else None
PATIENCE = 60.0
_IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
_ASK = """
async ([code, seconds]) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code, store_history: false });
  let text = "";
  future.onIOPub = (message) => {
    if (message.header.msg_type === "stream") text += message.content.text;
    if (message.header.msg_type === "error") text += message.content.traceback.join("\\n");
  };
  const give_up = (reject) => () => reject(new Error("the kernel does not answer: " + code));
  const late = new Promise((_, reject) => setTimeout(give_up(reject), seconds * 1000));
  const reply = await Promise.race([future.done, late]);
  return { status: reply.content.status, text };
}
"""
# It covers the page, and takes the focus, whenever the theme changes.
_SPLASH = "@jupyterlab/apputils-extension:splash"
_TURN = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
# A theme's style sheet comes some time after its name.
_TURNED = "layout => getComputedStyle(document.documentElement).getPropertyValue('--jp-layout-color0') === layout"
_FOCUSED = """
(node) => {
  if (document.activeElement !== node) node.focus({ preventScroll: true });
  return document.activeElement === node;
}
"""
_LAYOUTS = {"light": "white", "dark": "#111"}
# What browsers and JupyterLab say about themselves, whatever is shown.
_NOISE = ("favicon", "ResizeObserver loop", "Third-party cookie", "was preloaded using link preload")


@dataclass(frozen=True)
class Application:
    """A Jupyter front end: the module that serves it, where in it a notebook is, and options of its own.

    ``disabled``: front-end extensions that are not loaded, as if they were not installed; ``says``: what its console
    says of that.
    """

    module: str
    page: str
    options: tuple[str, ...]
    disabled: tuple[str, ...] = ()
    says: tuple[str, ...] = ()


LAB_OPTIONS = ("--LabApp.news_url=", "--LabApp.expose_app_in_browser=True")
JUPYTERLAB = Application("jupyterlab", "lab/tree/{}?reset", LAB_OPTIONS)
NOTEBOOK = Application("notebook", "notebooks/{}", ("--expose-app-in-browser",))


class Server:
    """A Jupyter server with settings, kernels and caches of its own, dead with the process that started it."""

    def __init__(self, place: Path, application: Application = JUPYTERLAB) -> None:
        self.application = application
        self._kernels = place / "data" / "kernels"
        self.notebooks = place / "notebooks"
        self.notebooks.mkdir(parents=True)
        settings = place / "settings"
        news = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        news.parent.mkdir(parents=True)
        news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        own = {
            "HOME": "home",
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        for name in own.values():
            (place / name).mkdir(exist_ok=True)
        pages = place / "config" / "labconfig" / "page_config.json"
        pages.parent.mkdir()
        pages.write_text(json.dumps({"disabledExtensions": dict.fromkeys((_SPLASH, *application.disabled), True)}))
        self.log = (place / "server.log").open("wb")
        options = [
            "--allow-root", "--no-browser", "--ip=127.0.0.1", f"--port={self.port}", "--ServerApp.port_retries=0",
            "--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True",
            f"--ServerApp.root_dir={self.notebooks}", *application.options,
        ]  # fmt: skip
        self.process = subprocess.Popen(
            # Killed with us, and its kernels with it.
            ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", application.module, *options],
            env={**os.environ, **{name: str(place / value) for name, value in own.items()}},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        self._await()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_kernel(self, name: str, **env: str) -> None:
        """One more kernel to choose: this Python with more environment variables."""
        spec = self._kernels / name / "kernel.json"
        spec.parent.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": argv, "env": env, "display_name": name, "language": "python"}))

    def _await(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.address}/api", timeout=2):
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.application.module} did not start: {Path(self.log.name).read_text()[-3000:]}"
                )
            time.sleep(0.1)

    def close(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait()
        self.log.close()


@dataclass
class Lab:
    """A server and a browser."""

    server: Server
    context: BrowserContext
    pictures: Path
    strangers: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def notebook(self, name: str, *cells: str, kernel: str = "python3") -> Iterator[Notebook]:
        """Open a new notebook of these cells; at the end its kernel is gone, and nothing went wrong in the browser."""
        with self.opened(name, notebook_json(cells, kernel)) as notebook:
            yield notebook

    @contextlib.contextmanager
    def opened(self, name: str, content: Mapping[str, Any]) -> Iterator[Notebook]:
        """Open a notebook as it is; else as :meth:`notebook`."""
        path = self.server.notebooks / f"{name}.ipynb"
        path.write_text(json.dumps(content))
        page = self.context.new_page()
        told: list[str] = []
        noises = (*_NOISE, *self.server.application.says)

        def hear(message: ConsoleMessage) -> None:
            if message.type == "error" and not any(noise in message.text for noise in noises):
                told.append(message.text)

        page.on("console", hear)
        page.on("pageerror", lambda error: told.append(str(error)))
        notebook = Notebook(page, self, path)
        try:
            page.goto(f"{self.server.address}/{self.server.application.page.format(path.name)}")
            notebook.await_kernel()
            yield notebook
            assert told == [], f"the browser's console: {told}"
            assert self.strangers == [], f"asked for from elsewhere: {self.strangers}"
        except BaseException:
            with contextlib.suppress(Exception):
                notebook.picture("failed")
            raise
        finally:
            with contextlib.suppress(Exception):
                page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
            page.close()
            path.unlink(missing_ok=True)


class Notebook:
    """One open notebook: run its cells, ask its kernel, look at its page."""

    def __init__(self, page: Page, lab: Lab, path: Path) -> None:
        self.page = page
        self.lab = lab
        self.path = path

    def await_kernel(self, seconds: float = PATIENCE) -> None:
        """Wait until the kernel is idle; the page's own indicator is idle before there is a kernel."""
        self.page.wait_for_function(_IDLE, timeout=seconds * 1000)

    def run_all(self, *, wait: bool = True) -> None:
        """Run every cell; with ``wait`` until the kernel is idle again."""
        # Void: the command's promise lasts as long as the cells do.
        self.page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        if wait:
            self.page.wait_for_timeout(300)
            self.await_kernel()

    def ask(self, code: str, seconds: float = PATIENCE) -> str:
        """Run ``code`` in the kernel, beside the cells; what it printed. An exception there fails the test."""
        answer = self.page.evaluate(_ASK, [code, seconds])
        assert answer["status"] == "ok", answer["text"]
        text: str = answer["text"]
        return text.strip()

    def view(self, name: str) -> Locator:
        """The displayed view of that name (class ``tvixbuild-<name>``)."""
        return self.page.locator(f".tvixbuild-{name}")

    def until(self, holds: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait until ``holds`` is true: what an action changes shows after a way to the kernel and back."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {inspect.getsource(holds).strip()}"
            self.page.wait_for_timeout(50)

    def save(self) -> dict[str, Any]:
        """Save the notebook; what is on disk then."""
        self.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        self.page.wait_for_timeout(500)
        saved: dict[str, Any] = json.loads(self.path.read_text())
        return saved

    def reload(self) -> None:
        """Load the page anew; the kernel goes on."""
        self.page.reload()
        self.await_kernel()

    def themes(self) -> Iterator[str]:
        """Put the page into the light theme, the dark one, and at the end into the light one again."""
        yield "light"
        focused = self.page.evaluate_handle("document.activeElement")
        try:
            self._turn("dark")
            yield "dark"
        finally:
            self._turn("light")
            # Between two style sheets heights are others, and JupyterLab takes cells out of sight off the page.
            self.page.wait_for_function(_FOCUSED, arg=focused)

    def _turn(self, theme: str) -> None:
        self.page.evaluate(_TURN, f"JupyterLab {theme.title()}")
        self.page.wait_for_function(_TURNED, arg=_LAYOUTS[theme])

    def picture(self, name: str) -> None:
        """Take a screenshot in each theme, kept as test artefacts."""
        for theme in self.themes():
            self.page.screenshot(path=self.lab.pictures / f"{self.path.stem}-{name}-{theme}.png")

    def violations(self, name: str) -> list[str]:
        """What axe-core finds serious or critical within the view ``name`` in either theme, one text each."""
        return [f"{theme}: {text}" for theme in self.themes() for text in axe(self.page, f".tvixbuild-{name}")]


def axe(page: Page, selector: str) -> list[str]:
    """Serious and critical findings of axe-core below ``selector``. A control that must fail shows that it looks."""
    import axe_playwright_python

    script = Path(axe_playwright_python.__file__).with_name("axe.min.js")
    page.evaluate("document.body.style.height = '100vh'")  # or else colour contrast is never looked at
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(script.read_text() + "\n;window.axe = window.axe || axe; undefined")
    control = """() => {
      const bad = document.createElement("div");
      bad.id = "axe-control";
      bad.style.cssText = "background:#fff;color:#fefefe;position:fixed;top:0;left:0;z-index:9999";
      bad.innerHTML = "<input><span>nobody can read this</span>";
      document.body.append(bad);
    }"""
    page.evaluate(control)
    check = """async (selector) => {
      const found = (await axe.run(selector, {resultTypes: ['violations']})).violations;
      const shown = (node) => node.html + ' ' + (node.any[0]?.message ?? '');
      return found.filter((violation) => ['serious', 'critical'].includes(violation.impact)).map(
        (violation) => `${violation.id}: ${violation.help}: ${violation.nodes.slice(0, 3).map(shown).join(' | ')}`);
    }"""
    try:
        assert page.evaluate(check, "#axe-control"), "axe-core found nothing wrong with what is wrong"
    finally:
        page.evaluate("document.getElementById('axe-control').remove()")
    found: list[str] = page.evaluate(check, selector)
    return found


@contextlib.contextmanager
def running_lab(
    playwright: Playwright, place: Path, pictures: Path, application: Application = JUPYTERLAB
) -> Iterator[Lab]:
    """A server and a browser; both are gone afterwards."""
    server = Server(place, application)
    try:
        context = playwright.chromium.launch_persistent_context(
            place / "browser",
            executable_path=CHROMIUM,
            headless=True,
            chromium_sandbox=False,
            viewport={"width": 1280, "height": 900},
            args=[
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                # Nobody else is reached. Playwright's own way would take every request through this process, uncached.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],  # fmt: skip
        )
        context.set_default_timeout(30_000)
        lab = Lab(server, context, pictures)

        def guard(request: Request) -> None:
            if not request.url.startswith((server.address, "data:", "blob:", "about:")):
                lab.strangers.append(request.url)

        context.on("request", guard)
        try:
            yield lab
        finally:
            context.close()
    finally:
        server.close()
        shutil.rmtree(place, ignore_errors=True)


def notebook_json(cells: tuple[str, ...], kernel: str = "python3") -> dict[str, Any]:
    """A notebook of code cells, ready to be written."""
    return {
        "cells": [
            {"cell_type": "code", "execution_count": None, "id": f"c{n}", "metadata": {}, "outputs": [], "source": cell}
            for n, cell in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"display_name": kernel, "language": "python", "name": kernel}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
