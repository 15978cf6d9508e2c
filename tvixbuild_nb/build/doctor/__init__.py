"""doctor: whether builds can run on this host, found out by doing; and what would mend what does not.

``report`` holds the values; ``host`` tells which kind of host this is from its marks, pure; ``facts`` reads those marks
and the kernel's switches; ``inside`` is the script whose processes do the trying; ``checks`` starts it and
judges what it says; ``examine`` puts the report together.
"""

from tvixbuild_nb.build.doctor.examine import doctor
from tvixbuild_nb.build.doctor.host import Host
from tvixbuild_nb.build.doctor.report import Check, DoctorReport

__all__ = ["Check", "DoctorReport", "Host", "doctor"]
