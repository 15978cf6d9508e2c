"""records: runs kept as portable files, and the build service that shows them again.

A record (``x.tvixrun``) is one ZIP file with a manifest and, by a closed list of names, the files of a run's directory
and castore content. It is data: every member is read as the type it has to be, and nothing of it is executed.
"""

from tvixbuild_nb.build.records.manifest import SUFFIX, Content, Manifest
from tvixbuild_nb.build.records.opened import Opened, open_record, sweep_opened
from tvixbuild_nb.build.records.reading import RecordFile
from tvixbuild_nb.build.records.replay import ReplayBuildService
from tvixbuild_nb.build.records.writing import RecordSize, record_size, write_record

__all__ = [
    "SUFFIX",
    "Content",
    "Manifest",
    "Opened",
    "RecordFile",
    "RecordSize",
    "ReplayBuildService",
    "open_record",
    "record_size",
    "sweep_opened",
    "write_record",
]
