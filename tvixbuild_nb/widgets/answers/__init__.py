"""Answers to questions about a build, as they are: each a page of tables and lines that does not change."""

from tvixbuild_nb.widgets.answers.checked import checked_forms
from tvixbuild_nb.widgets.answers.executed import executed_forms
from tvixbuild_nb.widgets.answers.minimized import minimized_forms
from tvixbuild_nb.widgets.answers.processes import processes_forms
from tvixbuild_nb.widgets.answers.script import script_forms
from tvixbuild_nb.widgets.answers.why import why_forms

__all__ = ["checked_forms", "executed_forms", "minimized_forms", "processes_forms", "script_forms", "why_forms"]
