"""The request form: every field of a sandbox, to be read and changed, with the rules in words."""

from tvixbuild_nb.widgets.form.forms import form_forms

__all__ = ["form_forms"]
