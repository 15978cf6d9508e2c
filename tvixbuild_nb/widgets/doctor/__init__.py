"""What works on this host and what does not, and the command that mends it."""

from tvixbuild_nb.widgets.doctor.forms import doctor_forms

__all__ = ["doctor_forms"]
