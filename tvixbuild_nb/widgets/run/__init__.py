"""A run: its stages as they come, its log, Cancel; at the end the verdict, what it used and what came out."""

from tvixbuild_nb.widgets.run.explained import explanation_forms
from tvixbuild_nb.widgets.run.forms import RunForms, run_bundle
from tvixbuild_nb.widgets.run.present import PresentedRun

__all__ = ["PresentedRun", "RunForms", "explanation_forms", "run_bundle"]
