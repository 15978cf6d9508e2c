"""Where the keeper has no user namespace of its own: a tiny container that makes outputs readable.

Outputs then belong to subordinate ids, which only something inside the same id maps may hand over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvixbuild_nb.build.plan import PlannedBuild
    from tvixbuild_nb.oci import Bundle

_CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER"]
_SCRIPT = """b=/bin/busybox
$b chown -hR 0:0 /scratch
$b find /scratch -type d ! -perm -700 -exec $b chmod u+rwx {} +
$b find /scratch -type f ! -perm -400 -exec $b chmod u+r {} +
"""


def make_janitor(bundle: Bundle, plan: PlannedBuild) -> str | None:
    """Write the janitor's bundle below ``bundle``; its path, or None without a static busybox."""
    shell = plan.options.sandbox_shell
    if shell is None:
        return None
    path = bundle.path / "janitor"
    for directory in (path, path / "root", path / "root" / "bin", path / "root" / "scratch", path / "root" / "proc"):
        directory.mkdir(mode=0o711, exist_ok=True)
    (path / "root" / "bin" / "busybox").touch()
    config = janitor_config(str(bundle.scratch), shell, plan.spec.to_dict()["linux"])
    (path / "config.json").write_text(json.dumps(config))
    return str(path)


def janitor_config(scratch: str, shell: str, linux: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a container with the id maps of ``linux`` that makes all below ``scratch`` its root's.

    ``shell``: the host's static busybox, for an empty file root/bin/busybox.
    """
    capabilities = dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES)
    return {
        "ociVersion": "1.0.2-dev",
        "root": {"path": "root", "readonly": True},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "args": ["/bin/busybox", "sh", "-c", _SCRIPT],
            "env": [],
            "capabilities": capabilities,
            "noNewPrivileges": True,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/bin/busybox", "type": "none", "source": shell, "options": ["bind", "ro"]},
            {"destination": "/scratch", "type": "none", "source": scratch, "options": ["rbind", "rw"]},
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network", "user")],
            "uidMappings": linux["uidMappings"],
            "gidMappings": linux["gidMappings"],
        },
    }
