"""The proof: one tiny build from request to ingested output per runtime, in a process and a place of its own.

Prints one JSON object: runtime -> what became of the build. Everything it makes lies below ROOT,
which the asker removes; the keeper dies with this process.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tvixbuild_nb.build.oci import OCIBuildService
from tvixbuild_nb.build.record import RunRecord
from tvixbuild_nb.build.service import BuildContext, BuildPolicy
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.request import BuildRequest

TEXT = b"seen from inside\n"
SCRIPT = "while read -r line; do echo $line; done < /in/file > /out/file"


def main(root: str, runtimes: list[str]) -> None:
    """Build with each of ``runtimes`` below ``root`` and print how it went."""
    place = Path(root)
    found: dict[str, Any] = {}
    with open_castore(f"file:{place / 'store'}") as castore:
        request = BuildRequest(
            inputs={"file": castore.ingest_bytes(TEXT)},
            inputs_dir="in",
            command_args=["/bin/sh", "-c", SCRIPT],
            working_dir="out",
            scratch_paths=["out"],
            outputs=["out/file"],
            constraints={"system": _system(), "provide_bin_sh": True},
        )
        for runtime in runtimes:
            service = OCIBuildService(place / "bundles", castore, runtime=runtime)
            try:
                found[runtime] = _build(service, request, RunRecord.create(place / "runs"))
            except TvixBuildError as error:
                found[runtime] = {"ok": False, "message": error.message, "hint": error.hint}
            finally:
                service.close()
    print(json.dumps(found))


def _build(service: OCIBuildService, request: BuildRequest, record: RunRecord) -> dict[str, Any]:
    result = service.do_build(request, BuildContext(record, BuildPolicy(timeout=10, keep="never")))
    with record.log() as log:
        words = log.read(0, 4096).decode("utf-8", "replace").strip()
    return {
        "ok": result.ok,
        "message": result.message,
        "failed_at": result.failed_at,
        "hint": result.hint,
        "degraded": list(result.degraded),
        "inputs": result.inputs,
        "seconds": result.finished - result.started,
        "log": words,
        "same": result.ok and service.castore.tree(result.outputs[0].node).read_bytes() == TEXT,
    }


def _system() -> str:
    from tvixbuild_nb.build.host import host_system

    return host_system()
