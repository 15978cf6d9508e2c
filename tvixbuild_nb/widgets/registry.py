"""Which view draws which value."""

from __future__ import annotations

from tvixbuild_nb.display import register, register_presenter


def register_views() -> None:
    """Tell :mod:`tvixbuild_nb.display` of every view; again is harmless."""
    from tvixbuild_nb.build import Isolation
    from tvixbuild_nb.debug import Explanation
    from tvixbuild_nb.oci import MountTable
    from tvixbuild_nb.sandbox import Run, RunLog
    from tvixbuild_nb.widgets.isolation import isolation_forms
    from tvixbuild_nb.widgets.log import log_forms
    from tvixbuild_nb.widgets.mounts import mounts_forms
    from tvixbuild_nb.widgets.run import PresentedRun, explanation_forms, run_bundle

    register(Isolation, lambda value: isolation_forms(value).bundle())
    register(MountTable, lambda table: mounts_forms(table).bundle())
    register(RunLog, lambda log: log_forms(log).bundle())
    register(Run, run_bundle)
    register(Explanation, lambda explanation: explanation_forms(explanation).bundle())
    register_presenter(Run, PresentedRun.in_notebook)
    _register_trees()
    _register_progress()
    _register_doctor()
    _register_history()
    _register_accesses()
    _register_forms()
    _register_previews()
    _register_closures()
    _register_changes()
    _register_answers()
    _register_many()


def _register_many() -> None:
    from tvixbuild_nb.sandbox import Many
    from tvixbuild_nb.widgets.many import many_bundle, present_many

    register(Many, many_bundle)
    register_presenter(Many, present_many)


def _register_changes() -> None:
    from tvixbuild_nb.nix.compare import DerivationDiff
    from tvixbuild_nb.request import Changes
    from tvixbuild_nb.sandbox.rundiff import RunDiff
    from tvixbuild_nb.widgets.changes import changes_forms, derivation_diff_forms, run_diff_forms

    register(Changes, lambda changes: changes_forms(changes).bundle())
    register(DerivationDiff, lambda diff: derivation_diff_forms(diff).bundle())
    register(RunDiff, lambda diff: run_diff_forms(diff).bundle())


def _register_answers() -> None:
    from tvixbuild_nb.debug import Why
    from tvixbuild_nb.debug.processes import ProcessTree
    from tvixbuild_nb.debug.script import Script
    from tvixbuild_nb.sandbox.checking import Checked
    from tvixbuild_nb.sandbox.executing import Executed
    from tvixbuild_nb.sandbox.minimizing import Minimized
    from tvixbuild_nb.widgets import answers

    register(Why, lambda why: answers.why_forms(why).bundle())
    register(Script, lambda script: answers.script_forms(script).bundle())
    register(Checked, lambda checked: answers.checked_forms(checked).bundle())
    register(Executed, lambda executed: answers.executed_forms(executed).bundle())
    register(ProcessTree, lambda tree: answers.processes_forms(tree).bundle())
    register(Minimized, lambda found: answers.minimized_forms(found).bundle())


def _register_closures() -> None:
    from tvixbuild_nb.nix.closurebuild import ClosureBuild
    from tvixbuild_nb.widgets.closure import closure_forms, present_closure

    register(ClosureBuild, lambda build: closure_forms(build).bundle())
    register_presenter(ClosureBuild, present_closure)


def _register_previews() -> None:
    from tvixbuild_nb.oci import Diff, Preview, Spec
    from tvixbuild_nb.widgets.preview import diff_forms, preview_forms

    register(Preview, lambda preview: preview_forms(preview).bundle())
    register(Spec, lambda spec: preview_forms(spec).bundle())
    register(Diff, lambda diff: diff_forms(diff).bundle())


def _register_forms() -> None:
    from tvixbuild_nb.sandbox import Sandbox
    from tvixbuild_nb.widgets.form import form_forms

    register(Sandbox, lambda sandbox: form_forms(sandbox).bundle())


def _register_trees() -> None:
    from tvixbuild_nb.castore import DirectoryNode, FileNode, Node, SymlinkNode, Tree, TreeDiff
    from tvixbuild_nb.sandbox.services import stores_at_hand
    from tvixbuild_nb.sandbox.trees import RunTrees
    from tvixbuild_nb.widgets.tree import diff_forms, node_bundle, tree_bundle, trees_bundle

    register(Tree, tree_bundle)
    register(TreeDiff, lambda diff: diff_forms(diff).bundle())
    register(RunTrees, trees_bundle)
    kinds: tuple[type[Node], ...] = (DirectoryNode, FileNode, SymlinkNode)
    for kind in kinds:
        register(kind, lambda node: node_bundle(node, stores_at_hand()))


def _register_progress() -> None:
    from tvixbuild_nb.castore.progress import Shown
    from tvixbuild_nb.widgets.progress import PresentedProgress

    register_presenter(Shown, PresentedProgress.in_notebook)


def _register_doctor() -> None:
    from tvixbuild_nb.build.doctor import DoctorReport
    from tvixbuild_nb.widgets.doctor import doctor_forms

    register(DoctorReport, lambda report: doctor_forms(report).bundle())


def _register_accesses() -> None:
    from tvixbuild_nb.fs import AccessTrace
    from tvixbuild_nb.widgets.accesses import accesses_forms

    register(AccessTrace, lambda trace: accesses_forms(trace).bundle())


def _register_history() -> None:
    from tvixbuild_nb.sandbox import RunHistory
    from tvixbuild_nb.widgets.history import history_forms

    register(RunHistory, lambda history: history_forms(history).bundle())
