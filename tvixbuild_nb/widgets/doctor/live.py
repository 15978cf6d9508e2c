"""A doctor's report in a running notebook."""

from __future__ import annotations

import threading
from collections.abc import Callable

import traitlets

from tvixbuild_nb.build.doctor import DoctorReport
from tvixbuild_nb.widgets.doctor.data import doctor_data
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front


class DoctorView(LiveView):
    """The report, folded where all is well; commands can be copied, and the host examined again.

    ``again`` says whether it can be, ``busy`` that it is being; ``trouble`` what became of it when there is no report.
    """

    _esm = front("js", "doctor")
    _css = front("css", "doctor")
    report = traitlets.Dict().tag(sync=True)
    again = traitlets.Bool().tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    trouble = traitlets.Unicode("").tag(sync=True)

    def __init__(self, report: DoctorReport) -> None:
        self.value = report
        super().__init__(report=doctor_data(report), again=report.again is not None)

    @callable_from_front
    def examine(self) -> None:
        """Examine the host again, in the background; while that goes on, asking again is harmless."""
        examine = self.value.again
        if examine is None or self.busy:
            return
        self.busy, self.trouble = True, ""
        threading.Thread(target=self._examine, args=(examine,), name="doctor", daemon=True).start()

    def _examine(self, examine: Callable[[], DoctorReport]) -> None:
        try:
            found = examine()
        except Exception as error:
            # Whatever it is, somebody waits for an answer.
            self.trouble = visible(f"the host could not be examined: {error!r}")
        else:
            self.value = found
            self.report = doctor_data(found)
        finally:
            self.busy = False
