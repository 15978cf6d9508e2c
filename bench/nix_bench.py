"""NARs and closures beside Nix's own commands, on a freshly made loop-mounted ext4 (needs root and Nix).

``rows()`` measures and returns the table; run as a program it prints it. Trees are warm; ours are timed in a process of
their own without the interpreter's start, Nix's as whole processes. The closure is made up: paths that refer to each
other, with small files in them, registered in a Nix store of its own.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from castore_bench import BIG_BYTES, TREE, fresh_file_system, settle

from tvixbuild_nb.nix import NIX_STORE, StorePath
from tvixbuild_nb.nix.nar import sum_of_path

ROUNDS = 3
PATHS = 1500
_FILES, _REFERENCES = 12, 8

_BEGIN = "import sys, time\nfrom tvixbuild_nb.castore import open_castore\nfrom tvixbuild_nb.nix.nar import *\n"
_END = "\nprint(time.perf_counter() - start)\n"
_HASH = "start = time.perf_counter(); sum_of_path(sys.argv[1])"
_DUMP = (
    "start = time.perf_counter()\nwith open('/dev/null', 'wb', buffering=0) as out:\n"
    "    for chunk in nar_of_path(sys.argv[1]): out.write(chunk)"
)
_STORED = "castore = open_castore(sys.argv[1]); node = castore.ingest(sys.argv[2])\n"
_HASH_STORED = f"{_STORED}start = time.perf_counter(); sum_of_node(castore, node)"
_RESTORE = (
    "start = time.perf_counter()\nwith open(sys.argv[1], 'rb', buffering=0) as file:\n"
    "    restore(nar_events(file), sys.argv[2])"
)
_INGEST = (
    "start = time.perf_counter()\nwith open_castore(sys.argv[2]) as castore:\n"
    "    ingest_nar(castore, open(sys.argv[1], 'rb', buffering=0))"
)
_LIST = (
    "start = time.perf_counter()\nwith open(sys.argv[1], 'rb', buffering=0) as file:\n"
    "    for entry in list_nar(file): pass"
)
_CLOSURE = (
    "from tvixbuild_nb import Sandbox\nstart = time.perf_counter()\n"
    "Sandbox.from_derivation(sys.argv[1], f'local?root={sys.argv[2]}', store=sys.argv[3])"
)


def _ours(code: str, *argv: str | Path) -> float:
    settle()
    command = [sys.executable, "-c", f"{_BEGIN}{code}{_END}", *map(str, argv)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _theirs(*argv: str | Path, stdin: Path | None = None, env: dict[str, str] | None = None) -> float:
    settle()
    with open(stdin or os.devnull, "rb") as file:
        start = time.perf_counter()
        subprocess.run(argv, check=True, stdin=file, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        return time.perf_counter() - start


class _Store:
    """A Nix store below ``root`` with a made-up closure, and a derivation ``drv`` that needs all of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NIX_")}
        self.env = kept | {"NIX_CONF_DIR": str(root / "etc"), "NIX_REMOTE": f"local?root={root / 'root'}"}
        (root / "etc").mkdir(parents=True)
        (root / "etc" / "nix.conf").write_text("build-users-group =\nexperimental-features = nix-command\n")
        chance = random.Random(1)
        registered, paths = "", list[StorePath]()
        for number in range(PATHS):
            path = StorePath(sha256(b"%d" % number).digest()[:20], f"package-{number}")
            needed = {*chance.sample(paths, min(len(paths), _REFERENCES)), *paths[-1:]}
            references = [NIX_STORE.join(each) for each in sorted(needed)]
            place = root / "root/nix/store" / path.basename
            (place / "share").mkdir(parents=True)
            (place / "references").write_text("\n".join(references))
            for file in range(_FILES):
                (place / "share" / f"{file}").write_bytes(chance.randbytes(chance.choice((200, 2000, 20_000))))
            total = sum_of_path(place)
            known = [NIX_STORE.join(path), total.hash.base16, total.size, "", len(references), *references]
            registered += "".join(f"{each}\n" for each in known)
            paths.append(path)
        self.top = NIX_STORE.join(paths[-1])
        subprocess.run(["nix-store", "--load-db"], input=registered, text=True, check=True, env=self.env)
        expression = (
            'derivation { name = "top"; system = builtins.currentSystem; builder = "/bin/sh"; '
            f'args = [ (builtins.storePath "{self.top}") ]; }}'
        )
        made = subprocess.run(
            ["nix-instantiate", "--expr", expression], check=True, capture_output=True, text=True, env=self.env
        )
        self.drv = root / "root" / made.stdout.strip().lstrip("/")


def rows(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """One dict for each thing measured: what, who, seconds (median), and ours as a part of Nix's."""
    seconds: dict[tuple[str, str], list[float]] = {}

    def note(what: str, who: str, value: float) -> None:
        seconds.setdefault((what, who), []).append(value)

    if shutil.which("nix-store") is None:
        raise SystemExit("needs Nix: package nix-bin")
    with tempfile.TemporaryDirectory(prefix="nix-bench-") as work:
        big, nar = Path(work, "big"), Path(work, "tree.nar")
        with open(big, "wb") as file:
            for _ in range(BIG_BYTES >> 24):
                file.write(os.urandom(1 << 24))
        with open(nar, "wb") as file:
            subprocess.run(["nix-store", "--dump", TREE], check=True, stdout=file)
        store = _Store(Path(work, "nix"))
        for _ in range(rounds):
            with fresh_file_system() as at:
                _measure_trees(at, big, nar, note)
                _measure_closure(at, store, note)
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    return [
        {"what": what, "who": who, "seconds": median, "of": _of(medians, what) if who == "ours" else None}
        for (what, who), median in medians.items()
    ]


def _of(medians: dict[tuple[str, str], float], what: str) -> float | None:
    """Our seconds as a part of the quickest other's; None where there is no other."""
    others = [median for (same, who), median in medians.items() if same == what and who != "ours"]
    return medians[what, "ours"] / min(others) if others else None


def _measure_trees(at: Path, big: Path, nar: Path, note: Callable[[str, str, float], None]) -> None:
    for name, place in (("tree", TREE), ("1 GiB file", big)):
        note(f"NAR hash of a {name}", "nix-hash --type sha256", _theirs("nix-hash", "--type", "sha256", place))
        note(f"NAR hash of a {name}", "ours", _ours(_HASH, place))
        note(f"NAR dump of a {name}", "nix-store --dump", _theirs("nix-store", "--dump", place))
        note(f"NAR dump of a {name}", "ours", _ours(_DUMP, place))
    note("NAR hash of a stored tree", "ours", _ours(_HASH_STORED, at / "stored", TREE))
    note("NAR to files", "nix-store --restore", _theirs("nix-store", "--restore", at / "theirs", stdin=nar))
    note("NAR to files", "ours", _ours(_RESTORE, nar, at / "restored"))
    note("NAR to castore", "ours", _ours(_INGEST, nar, at / "ingested"))
    note("NAR listed", "nix nar ls -R", _theirs(
        "nix", "--extra-experimental-features", "nix-command", "nar", "ls", "-R", nar, "/"
    ))  # fmt: skip
    note("NAR listed", "ours", _ours(_LIST, nar))


def _measure_closure(at: Path, store: _Store, note: Callable[[str, str, float], None]) -> None:
    copy = ("nix", "copy", "--no-check-sigs", "--to", f"local?root={at / 'copy'}", store.top)
    for what in (f"closure of {PATHS} paths", f"closure of {PATHS} paths again"):
        note(what, "nix copy", _theirs(*copy, env=store.env))
        note(what, "ours", _ours(_CLOSURE, store.drv, store.root / "root", at / "castore"))


if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS):
        of = "" if row["of"] is None else f"{row['of']:.2f} of the quickest other"
        print(f"{row['what']:32} {row['who']:24} {row['seconds']:8.3f} s  {of}")
