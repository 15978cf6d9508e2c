"""What a check is made of, without builds: variations, guesses, the file in which two runs parted first."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from support.cli import request_of
from tvixbuild_nb.build import BuildPolicy
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.debug.guesses import guess, guesses
from tvixbuild_nb.debug.origins import ScratchPlace, first_difference
from tvixbuild_nb.debug.variations import VARIATIONS, Trial, varied
from tvixbuild_nb.oci import SpecOptions


@pytest.mark.parametrize("name", VARIATIONS)
def test_a_variation_changes_one_thing_and_another_each_round(name: str) -> None:
    plain = Trial(request_of("true"), SpecOptions.tvix(), BuildPolicy(), room=1 << 20)
    rounds = [varied(plain, [VARIATIONS[name]], round) for round in range(3)]
    assert plain not in rounds
    parts = [
        sum(getattr(plain, part) != getattr(trial, part) for part in ("request", "options", "policy"))
        for trial in rounds
    ]
    # What a build is told of the number of cores is one thing, what it counts another.
    assert parts == [2 if name == "cores" else 1] * 3
    assert name == "order" or len({str(trial) for trial in rounds}) == 3


def test_the_number_of_cores_is_never_the_one_before() -> None:
    for count in ("1", "3"):
        plain = Trial(
            request_of("true", environment_vars={"NIX_BUILD_CORES": count}), SpecOptions.tvix(), BuildPolicy()
        )
        for round in range(4):
            trial = varied(plain, [VARIATIONS["cores"]], round)
            assert trial.request.environment_vars["NIX_BUILD_CORES"] != count.encode()
            here = len(os.sched_getaffinity(0))
            assert trial.policy.processors is not None and 1 <= trial.policy.processors < max(here, 2)


def _gzip(data: bytes, when: int = 0) -> bytes:
    return gzip.compress(data, mtime=when)


def _tar(names: bytes, when: int = 0) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(chr(name))
            member.mtime, member.size = when, 1
            archive.addfile(member, io.BytesIO(b"1"))
    return file.getvalue()


def _ar(names: bytes, when: int = 0) -> bytes:
    rest = "0     0     644     3         `\nabc\n"
    members = [f"{chr(name)}/".ljust(16) + str(when).ljust(12) + rest for name in names]
    return b"!<arch>\n" + "".join(members).encode()


def _zip(year: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a", (year, 1, 1, 0, 0, 0)), "1")
    return file.getvalue()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"b\na\n", b"a\nb\n", "same lines"),
        (b"x = b a\n", b"x = a b\n", "same words"),
        (b"built 1763971200\n", b"built 1763971201\n", "a time"),
        (b"at 10:00:01\n", b"at 10:00:02\n", "a time"),
        (b"on localhost\n", b"on otherhost\n", "hostname"),
        (b"on localhost with 2\n", b"on localhost with 1\n", None),
        (b"x\0Nov 28 2026\0", b"x\0Nov  9 2027\0", "a time"),
        (b"['a', 'b']\n", b"['b', 'a']\n", "same words"),
        (_gzip(b"x", 1), _gzip(b"x", 2), "gzip -n"),
        (_gzip(b"b\na\n"), _gzip(b"a\nb\n"), "same lines in another order (inside the gzip file)"),
        (_gzip(_tar(b"ab", 1)), _gzip(_tar(b"ab", 2)), "archive (tar); tar --mtime"),
        (_tar(b"ab"), _tar(b"ba"), "archive (tar) in another order"),
        (_tar(b"ab"), _tar(b"ac"), None),
        (_ar(b"ab", 1), _ar(b"ab", 2), "ar D"),
        (_ar(b"ab"), _ar(b"ba"), "archive (ar) in another order"),
        (_zip(1990), _zip(1991), "archive (zip); SOURCE_DATE_EPOCH"),
        (b"\xa7\r\r\n" + bytes(12) + b"code", b"\xa7\r\r\n" + b"1" * 12 + b"code", "compiled Python"),
        (b"\x1f\x8bbroken", b"\x1f\x8bother", None),
        (b"!<arch>\nbroken", b"!<arch>\nother", None),
        (b"1\n", b"2\n", None),
        (b"1\n", b"2\n3\n", None),
        (b"same", b"same", None),
    ],
)
def test_a_difference_is_guessed_at(before: bytes, after: bytes, said: str | None) -> None:
    found = guess(before, after, ["localhost", "otherhost"])
    assert found is None if said is None else found is not None and said in found
    store = open_castore("memory:")
    diff = store.tree(store.ingest_bytes(before)).diff(store.tree(store.ingest_bytes(after)))
    assert guesses(diff, ["localhost", "otherhost"]) == found


def _written(top: Path, files: dict[str, tuple[bytes, float]]) -> Path:
    for name, (data, when) in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (when, when))
    return top


def test_the_first_file_that_differs_is_the_one_written_first(tmp_path: Path) -> None:
    store = open_castore("memory:")
    old = {"same": (b"s", 100.0), "late": (b"1", 109.0), "sub/early": (b"1", 103.0), "copied": (b"1", 50.0)}
    new = {"same": (b"s", 101.0), "late": (b"2", 108.0), "sub/early": (b"2", 104.5), "copied": (b"2", 50.0)}
    place = ScratchPlace("build", _written(tmp_path / "old", old), _written(tmp_path / "new", new))
    origin = first_difference(store, [place], ["build/late"], started=(100.0, 100.0))
    assert origin is not None and (origin.path, origin.seconds, origin.others) == ("/build/sub/early", 4.5, 2)
    assert origin.diff is not None and list(origin.diff) and not origin.output
    assert first_difference(store, [ScratchPlace("build", place.before, place.before)], [], (100.0, 100.0)) is None


def test_files_that_only_one_run_wrote_and_links(tmp_path: Path) -> None:
    store = open_castore("memory:")
    old, new = _written(tmp_path / "old", {}), _written(tmp_path / "new", {"new": (b"", 105.0)})
    old.mkdir(exist_ok=True)
    for top, target in ((old, "a"), (new, "b")):
        (top / "link").symlink_to(target)
        os.utime(top / "link", (106.0, 106.0), follow_symlinks=False)
    origin = first_difference(store, [ScratchPlace("nix/store", old, new)], ["nix/store/new"], started=(100.0, 100.0))
    assert origin is not None and origin.path == "/nix/store/new" and origin.output and origin.diff is None
    assert "a file of an output" in origin.headline and "1 more differ" in origin.headline


def test_a_time_that_was_set_by_hand_is_not_when_it_was_written(tmp_path: Path) -> None:
    store = open_castore("memory:")
    now = time.time()
    files = {"touched": 0.0, "ahead": now + 1e6, "written": now + 2}
    old = _written(tmp_path / "old", {name: (b"1", when) for name, when in files.items()})
    new = _written(tmp_path / "new", {name: (b"2", when) for name, when in files.items()})
    origin = first_difference(store, [ScratchPlace("build", old, new)], [], started=(now, now))
    # What the times say would be: never, in the far future, after two seconds.
    assert origin is not None and origin.path in ("/build/touched", "/build/ahead") and origin.seconds < 2


def test_a_link_of_one_run_does_not_lead_the_other_ones_paths_to_the_host(tmp_path: Path) -> None:
    store = open_castore("memory:")
    host = _written(tmp_path / "host", {"secret": (b"of the host", 100.0)})
    old, new = _written(tmp_path / "old", {"sub/secret": (b"mine", 100.0)}), tmp_path / "new"
    new.mkdir()
    (new / "sub").symlink_to(host)
    for before, after in ((old, new), (new, old)):
        origin = first_difference(store, [ScratchPlace("build", before, after)], [], started=(100.0, 100.0))
        assert origin is not None and origin.diff is None and "by one of the runs only" in origin.headline
        assert origin.others == 1 and origin.path == "/build/sub/secret"
