"""What differs between two values, as rows, the smallest change first; of files also how, of trees the whole trees."""

from tvixbuild_nb.widgets.changes.forms import changes_forms, derivation_diff_forms, run_diff_forms

__all__ = ["changes_forms", "derivation_diff_forms", "run_diff_forms"]
