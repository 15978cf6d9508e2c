"""The preview: config.json as a folding tree in which every part is explained and can be compared."""

from tvixbuild_nb.widgets.preview.forms import diff_forms, preview_forms

__all__ = ["diff_forms", "preview_forms"]
