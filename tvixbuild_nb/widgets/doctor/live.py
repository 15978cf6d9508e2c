"""A doctor's report in a running notebook."""

from __future__ import annotations

from typing import Any

import traitlets

from tvixbuild_nb.widgets.kit.live import LiveView, front


class DoctorView(LiveView):
    """The report, folded where all is well; commands can be copied."""

    _esm = front("js", "doctor")
    _css = front("css", "doctor")
    report = traitlets.Dict().tag(sync=True)

    def __init__(self, report: dict[str, Any]) -> None:
        super().__init__(report=report)
