"""Bundles in memory: where they may stand, what refuses it, and what a tree takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tvixbuild_nb.build import BuildPolicy
from tvixbuild_nb.build.inmemory import bytes_taken, check_room, file_system, own_directory
from tvixbuild_nb.errors import HostRefused, InvalidValue


def _mounts(tmp_path: Path, path: Path, kind: str) -> str:
    device = path.stat().st_dev
    file = tmp_path / "mountinfo"
    lines = [
        "21 1 0:99999 / /elsewhere rw,relatime - ext4 /dev/x rw",
        f"22 1 {os.major(device)}:{os.minor(device)} / /here rw,relatime shared:1 - {kind} none rw",
    ]
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def test_the_type_of_a_file_system_is_told_by_its_device(tmp_path: Path) -> None:
    assert file_system(tmp_path, _mounts(tmp_path, tmp_path, "xfs")) == "xfs"
    assert file_system(tmp_path / "nowhere", _mounts(tmp_path, tmp_path, "xfs")) is None
    assert file_system(Path("/proc")) == "proc"


def test_what_is_no_file_system_in_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostRefused, match="no file system in memory"):
        check_room(Path("/proc"), 0, Path("/proc"))


def test_too_little_room_and_no_difference_are_refused() -> None:
    places = [Path(name) for name in ("/dev/shm", "/dev", "/run") if file_system(Path(name)) == "tmpfs"]
    assert places, "every Linux has one of them in memory"
    for place in places:
        with pytest.raises(HostRefused, match="too little room|executed"):
            check_room(Path("/proc"), 1 << 60, place)
        with pytest.raises(HostRefused, match="as it is"):
            check_room(place, 0)


def test_a_directory_of_this_user_is_made_and_anything_else_of_its_name_refused(tmp_path: Path) -> None:
    path = own_directory(tmp_path)
    assert path == own_directory(tmp_path) and path.stat().st_mode & 0o777 == 0o711
    path.rmdir()
    path.symlink_to(tmp_path)
    with pytest.raises(HostRefused, match="not this user's"):
        own_directory(tmp_path)


def test_a_tree_is_measured_and_links_are_not_followed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "sub").mkdir(parents=True)
    before = bytes_taken(top)
    (top / "sub" / "file").write_bytes(os.urandom(100_000))
    (top / "link").symlink_to("/")
    assert 100_000 <= bytes_taken(top) - before < 300_000


def test_a_policy_refuses_other_counts() -> None:
    assert BuildPolicy(processors=1, room=0).processors == 1
    for wrong in ({"processors": 0}, {"processors": True}, {"processors": 1.5}, {"room": -1}):
        with pytest.raises(InvalidValue, match="whole number"):
            BuildPolicy(**wrong)  # type: ignore[arg-type]
