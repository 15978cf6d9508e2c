"""Many builds: the table of all, which follows while they go on, with buttons that stop one or all."""

from tvixbuild_nb.widgets.many.forms import many_bundle, many_forms, present_many

__all__ = ["many_bundle", "many_forms", "present_many"]
