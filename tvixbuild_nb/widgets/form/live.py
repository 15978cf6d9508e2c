"""The request form in a running notebook."""

from __future__ import annotations

from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.widgets.form.contents import ContentCalls
from tvixbuild_nb.widgets.form.data import form_data
from tvixbuild_nb.widgets.form.inputs import InputCalls
from tvixbuild_nb.widgets.kit.live import callable_from_front, front


class FormView(InputCalls, ContentCalls):
    """The fields of a sandbox, to be read and changed, and a button that starts the build."""

    _esm = front("js", "arrange", "formparts", "formrows", "formfiles", "forminputs", "form")
    _css = front("css", "form")

    @callable_from_front
    def start(self) -> str:
        """Start the build in the background; the id of its run, which is the sandbox's ``last_run``."""
        with self._lock:
            if count := len(form_data(self._sandbox, self._draft)["faults"]):
                raise InvalidRequest(f"{count} field{'' if count == 1 else 's'} of this form must be put right first")
        return self._sandbox.start().id
