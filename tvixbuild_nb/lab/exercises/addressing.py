"""Exercises about contents that are their own address: digests, trees that share."""

from __future__ import annotations

from collections.abc import Iterator

from tvixbuild_nb.castore import Digest, Tree
from tvixbuild_nb.lab.exercises.exercise import Exercise
from tvixbuild_nb.lab.exercises.looking import short, wrong

_TEXT = b"upon\n"


def _digest(answer: object) -> str:
    text = str(answer) if isinstance(answer, Digest) else answer
    if not isinstance(text, str) or len(text) != 64:
        raise wrong("this is no digest", expected="64 hexadecimal digits", seen=short(repr(answer)))
    if text.lower() == str(Digest.of(_TEXT.rstrip())):
        raise wrong(
            "this is the digest of another file: without the line end",
            look_at=f"{_TEXT!r} has {len(_TEXT)} bytes",
        )
    if text.lower() != str(Digest.of(_TEXT)):
        raise wrong("this is the digest of something else", look_at="which bytes were hashed, and with which function")
    return "Every store of castore in the world has this file under this name, if it has it."


def _shared(left: object, right: object) -> str:
    for tree in (left, right):
        if not isinstance(tree, Tree) or not tree.is_dir():
            raise wrong("this is no tree of a directory", expected="what ingest() returns", seen=short(repr(tree)))
    assert isinstance(left, Tree) and isinstance(right, Tree)
    if left.digest == right.digest:
        raise wrong(
            "the two trees are the same",
            seen=f"the digest of both is {left.digest}",
            look_at="add a file to one of the directories before it is ingested",
        )
    shared = set(_files(left)) & set(_files(right))
    if not shared:
        raise wrong(
            "the two trees have no file in common",
            look_at="leave one file as it is in both, and add another one to one of them",
        )
    return f"Both hold the file {min(map(str, shared))[:12]}…, which is stored once."


def _files(tree: Tree) -> Iterator[Digest]:
    for child in tree:
        if child.is_dir():
            yield from _files(child)
        elif child.digest is not None:
            yield child.digest


EXERCISES = (
    Exercise(
        name="digest",
        question=f"What is the digest of a file that holds {_TEXT!r}?",
        hint="A file's digest is the BLAKE3 of its bytes, and the line end is one of them.",
        checks=(_digest,),
        solution=f"""
from blake3 import blake3

answer = blake3({_TEXT!r}).hexdigest()
""",
    ),
    Exercise(
        name="shared-file",
        question="Make two different trees that have a file in common.",
        hint="Two directories with the same file are the same tree; another file in one of them makes two of it.",
        checks=(_shared,),
        solution="""
import tempfile
from pathlib import Path

from tvixbuild_nb import ingest

left_place, right_place = (Path(tempfile.mkdtemp()) for _ in range(2))
for where in (left_place, right_place):
    (where / "poem").write_text("so much depends\\n")
(right_place / "more").write_text("upon\\n")
left, right = ingest(left_place, "memory:"), ingest(right_place, "memory:")
""",
    ),
)
