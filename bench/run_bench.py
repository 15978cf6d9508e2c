"""Warm and first runs of a trivial build, beside a bare runtime, nix-store -r and others. `make bench` prints it."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS = 30
_FIRST = """
import time
from tvixbuild_nb import Sandbox
sandbox = Sandbox("true > /nix/store/out", outputs=["nix/store/out"])
sandbox.add_input("src", b"input")
clock = time.perf_counter()
assert sandbox.run(show=False).ok
first = time.perf_counter() - clock
clock = time.perf_counter()
assert sandbox.run(show=False).ok
print(first, time.perf_counter() - clock)
"""


def _timed(work: Callable[[], object]) -> float:
    clock = time.perf_counter()
    work()
    return time.perf_counter() - clock


def _quiet(argv: list[str], **options: Any) -> None:
    subprocess.run(
        argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )


def _row(what: str, samples: list[float], beside: float | None = None, wanted: str = "") -> dict[str, Any]:
    median = statistics.median(samples)
    ratio = f"{median / beside:.2f}" if beside else ""
    return {"what": what, "median": f"{median * 1000:.1f} ms", "ratio": ratio, "wanted": wanted}


def rows() -> list[dict[str, Any]]:
    """One row per figure; runs of the different programs take turns, so that a slow minute hits all alike."""
    from tvixbuild_nb import Sandbox
    from tvixbuild_nb.keeper.cgroups import BuildCgroup

    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        os.environ["TVIXBUILD_NB_STORE"] = f"{home}/store"
        os.environ["TVIXBUILD_NB_STATE"] = f"{home}/state"
        sandboxes = {}
        for runtime in ("runc", "crun"):
            if shutil.which(runtime):
                sandbox = Sandbox("true > /nix/store/out", outputs=["nix/store/out"], runtime=runtime)
                sandbox.add_input("src", b"input")
                sandboxes[runtime] = sandbox
        kept = sandboxes["runc"].run(show=False, keep="always", inputs="checkout")
        assert kept.bundle is not None
        peers = _peers(kept.bundle, home)
        samples: dict[str, list[float]] = {name: [] for name in [*sandboxes, *peers]}
        for _ in range(ROUNDS + 3):
            for name, sandbox in sandboxes.items():
                samples[name].append(_timed(lambda sandbox=sandbox: sandbox.run(show=False)))
            for name, work in peers.items():
                samples[name].append(_timed(work))
        samples = {name: values[3:] for name, values in samples.items()}
        first, second = _first_runs(home)
        # The bare runtime leaves the parent of the cgroup that this bundle names.
        cgroup = str(json.loads((kept.bundle / "config.json").read_text())["linux"].get("cgroupsPath") or "")
        if cgroup:
            BuildCgroup(cgroup.split("/")[1]).remove()
        kept.delete()
    bare = statistics.median(samples["bare runc run"])
    found = [_row("warm Sandbox.run, runc", samples["runc"], bare, "1.5 of bare runc run, below nix-store -r")]
    if "crun" in samples:
        found.append(_row("warm Sandbox.run, crun", samples["crun"], bare, "0.75 of bare runc run"))
    found += [_row(name, samples[name], bare) for name in peers]
    extra = statistics.median(a - b for a, b in zip(first, second, strict=True))
    found.append(
        {
            "what": "first run in a process, beyond a warm one",
            "median": f"{extra * 1000:.0f} ms",
            "ratio": "",
            "wanted": "400 ms",
        }
    )
    imports = [_timed(lambda: _quiet([sys.executable, "-c", "import tvixbuild_nb"])) for _ in range(10)]
    names = [_timed(lambda: _quiet([sys.executable, "-c", "from tvixbuild_nb import Sandbox"])) for _ in range(10)]
    found.append(_row("import tvixbuild_nb (whole process)", imports, None, "250 ms"))
    found.append(_row("from tvixbuild_nb import Sandbox (whole process)", names))
    return found


def _peers(bundle: Path, home: str) -> dict[str, Callable[[], None]]:
    """What else runs a trivial command here: name -> one run of it."""
    state = f"{home}/runtime-state"
    peers: dict[str, Callable[[], None]] = {}
    os.chmod(bundle, 0o711)

    def bare(runtime: str) -> Callable[[], None]:
        return lambda: _quiet([runtime, "--root", state, "run", "--bundle", str(bundle), f"bench-{time.time_ns()}"])

    peers["bare runc run"] = bare("runc")
    if shutil.which("nix-store") and shutil.which("nix-instantiate"):
        peers["nix-store -r, trivial derivation"] = _nix(home)
    if shutil.which("bwrap"):
        peers["bwrap"] = lambda: _quiet(["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"])
    return peers


def _nix(home: str) -> Callable[[], None]:
    environment = {
        **os.environ,
        "NIX_STORE_DIR": f"{home}/nix/store",
        "NIX_STATE_DIR": f"{home}/nix/var",
        "NIX_LOG_DIR": f"{home}/nix/log",
        "NIX_CONF_DIR": f"{home}/nix/etc",
        "NIX_REMOTE": "",
    }
    (Path(home) / "nix" / "etc").mkdir(parents=True)
    (Path(home) / "nix" / "etc" / "nix.conf").write_text(
        f"build-users-group =\nsubstituters =\nsandbox = true\nsandbox-paths = /bin/sh={shutil.which('busybox')}\n"
    )
    expression = (
        'derivation {{ name = "t{}"; system = builtins.currentSystem; builder = "/bin/sh"; '
        'args = ["-c" "echo > $out"]; }}'
    )
    paths = [
        subprocess.run(
            ["nix-instantiate", "--expr", expression.format(index)],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for index in range(ROUNDS + 3)
    ]
    return lambda: _quiet(["nix-store", "-r", paths.pop()], env=environment)


def _first_runs(home: str) -> tuple[list[float], list[float]]:
    first, second = [], []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", _FIRST], check=True, capture_output=True, text=True)
        a, b = done.stdout.split()
        first.append(float(a))
        second.append(float(b))
    return first, second


def main() -> None:
    """Print the rows."""
    for row in rows():
        print(f"{row['what']:50} {row['median']:>12} {row['ratio']:>6}   {row['wanted']}")


if __name__ == "__main__":
    main()
