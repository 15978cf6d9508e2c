"""The three forms of a doctor's report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.build.doctor import DoctorReport
from tvixbuild_nb.widgets.doctor.data import doctor_data
from tvixbuild_nb.widgets.doctor.static import doctor_html
from tvixbuild_nb.widgets.doctor.text import doctor_text
from tvixbuild_nb.widgets.kit import Forms

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.doctor.live import DoctorView


def doctor_forms(report: DoctorReport) -> Forms:
    """How a report shows itself."""
    data = doctor_data(report)

    def live() -> DoctorView:
        from tvixbuild_nb.widgets.doctor.live import DoctorView

        return DoctorView(report)

    return Forms(text=lambda: doctor_text(data), html=lambda: doctor_html(data), live=live)
