"""Which forms a page is given to paint, by what the kernel knows of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ipywidgets import HTML, VBox
from ipywidgets.widgets.widget import _instances

from tvixbuild_nb.widgets.kit.forms import VIEW_TYPE, Forms
from tvixbuild_nb.widgets.kit.host import VIEWS_VARIABLE, painted
from tvixbuild_nb.widgets.kit.html import tag
from tvixbuild_nb.widgets.kit.live import LiveView


@pytest.mark.parametrize("name", ["VSCODE_PID", "VSCODE_CWD", "VSCODE_HANDLES_UNCAUGHT_ERRORS"])
def test_a_kernel_of_vs_code(name: str) -> None:
    assert painted({name: "1"}, (), ()) == "both"


def test_a_notebook_of_vs_code_and_one_in_colab() -> None:
    assert painted({}, (), ("__vsc_ipynb_file__",)) == "both"
    assert painted({}, ("google", "google.colab"), ()) == "both"


@pytest.mark.parametrize(
    "environ", [{}, {"JPY_SESSION_NAME": "a.ipynb"}, {"TERM_PROGRAM": "vscode", "VSCODE_IPC_HOOK_CLI": "/run/x"}]
)
def test_jupyter_wherever_it_was_started(environ: dict[str, str]) -> None:
    assert painted(environ, ("IPython", "google"), ("sb",)) == "live"


@pytest.mark.parametrize("host", [{}, {"VSCODE_PID": "1"}])
@pytest.mark.parametrize("asked", ["live", "both", "static"])
def test_what_is_asked_for_comes_before_what_is_found(host: dict[str, str], asked: str) -> None:
    assert painted({**host, VIEWS_VARIABLE: asked}, (), ()) == asked


@pytest.mark.parametrize("asked", ["", "auto"])
def test_asked_for_nothing_in_particular(asked: str) -> None:
    assert painted({VIEWS_VARIABLE: asked}, (), ()) == "live"
    assert painted({VIEWS_VARIABLE: asked, "VSCODE_PID": "1"}, (), ()) == "both"


def test_a_mistyped_choice_is_told_and_stops_no_display() -> None:
    with pytest.warns(UserWarning, match="TVIXBUILD_NB_VIEWS=statik: not one of auto, live, both, static"):
        assert painted({VIEWS_VARIABLE: "statik"}, (), ()) == "live"


@pytest.fixture
def _in_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(kernel=object(), user_ns={})
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
    for name in ("VSCODE_PID", "VSCODE_CWD", "VSCODE_HANDLES_UNCAUGHT_ERRORS", VIEWS_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_in_a_kernel")
def test_the_bundle_holds_the_static_form_in_the_widget_only_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view = LiveView()
    forms = Forms(text=lambda: "text", html=lambda: tag("p", "<static>"), live=lambda: view)
    before = len(_instances)
    assert forms.bundle()[VIEW_TYPE]["model_id"] == view.model_id
    assert len(_instances) == before, "nothing else is sent"

    monkeypatch.setenv(VIEWS_VARIABLE, "static")
    assert forms.bundle() == {"text/plain": "text", "text/html": "<p>&lt;static&gt;</p>"}

    monkeypatch.setenv(VIEWS_VARIABLE, "both")
    bundle = forms.bundle()
    box = _instances[bundle[VIEW_TYPE]["model_id"]]
    assert isinstance(box, VBox) and box.children[1] is view
    kept = box.children[0]
    assert isinstance(kept, HTML) and kept.value.endswith("</style><p>&lt;static&gt;</p>")
    assert bundle["text/html"] == "<p>&lt;static&gt;</p>"

    monkeypatch.setenv(VIEWS_VARIABLE, "live")
    added = _instances[replace(forms, adds=True).bundle()[VIEW_TYPE]["model_id"]]
    assert isinstance(added, VBox) and added.children[1] is view and "tvixbuild-stays" in added._dom_classes
