"""Trees of others: made readable and removed without ever following a link."""

from __future__ import annotations

import os
from pathlib import Path

from tvixbuild_nb.keeper.trees import adopt, remove


def _hostile_tree(base: Path, outside: Path) -> Path:
    tree = base / "tree"
    (tree / "a" / "closed").mkdir(parents=True)
    (tree / "a" / "closed" / "file").write_text("x")
    (tree / "a" / "unreadable").write_text("x")
    (tree / "a" / "runs").write_text("x")
    (tree / "link").symlink_to(outside)
    os.mkfifo(tree / "pipe")
    os.chmod(tree / "a" / "unreadable", 0o010)
    os.chmod(tree / "a" / "runs", 0o111)
    os.chmod(tree / "a" / "closed", 0)
    return tree


def test_adopt_makes_readable_and_leaves_x_bits_and_link_targets_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o711)
    tree = _hostile_tree(tmp_path, outside)
    adopt(str(tree), os.getuid(), os.getgid())
    modes = {path.name: path.lstat().st_mode & 0o777 for path in tree.rglob("*") if not path.is_symlink()}
    assert modes["closed"] == 0o700
    assert modes["unreadable"] == 0o410
    assert modes["runs"] == 0o511
    assert outside.stat().st_mode & 0o777 == 0o711


def test_remove_takes_everything_below_and_nothing_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    tree = _hostile_tree(tmp_path, outside)
    remove(str(tree))
    assert not tree.exists()
    assert (outside / "precious").exists()


def test_remove_takes_links_files_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "file").write_text("x")
    for name in ("link", "file", "absent"):
        remove(str(tmp_path / name))
    remove(str(tmp_path / "no" / "parent"))
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
