"""Exercises about builds and stores elsewhere: what has to travel there, and what need not."""

from __future__ import annotations

from tvixbuild_nb.castore import Directory, DirectoryNode, FileNode, open_castore, sync
from tvixbuild_nb.lab.exercises.exercise import Exercise
from tvixbuild_nb.lab.exercises.looking import short, wrong

_QUESTION = """
A store elsewhere holds this project. Then one line of src/util.c changes. How many blobs and how many directories
have to travel there for the next build?

    project/
        README
        docs/
            guide.txt
        src/
            main.c
            util.c
""".strip()


def _travels(blobs: object, directories: object) -> str:
    for name, answer in (("blobs", blobs), ("directories", directories)):
        if not isinstance(answer, int) or isinstance(answer, bool):
            raise wrong(f"{name} is no number", expected="a whole number", seen=short(repr(answer)))
    found = _tried()
    if blobs != found[0]:
        raise wrong(
            "another number of blobs travels",
            seen=f"{blobs}",
            look_at="a blob is the contents of one file: which files hold other bytes than before?",
        )
    if directories != found[1]:
        raise wrong(
            "another number of directories travels",
            seen=f"{directories}",
            look_at="a directory is the list of names and digests in it: in which lists does a digest change?",
        )
    return "One file, and every directory on the way to it: whose digest changes changes the list that names it."


def _tried() -> tuple[int, int]:
    """What a sync copies of the changed project to where the first one is."""
    with open_castore("memory:") as near, open_castore("memory:") as far:

        def folder(entries: dict[bytes, FileNode | DirectoryNode]) -> DirectoryNode:
            made = Directory(entries)
            return DirectoryNode(near.directories.put(made), made.size)

        def project(util: bytes) -> DirectoryNode:
            texts = {name: near.ingest_bytes(name) for name in (b"README", b"guide.txt", b"main.c")}
            source = folder({b"main.c": texts[b"main.c"], b"util.c": near.ingest_bytes(util)})
            docs = folder({b"guide.txt": texts[b"guide.txt"]})
            return folder({b"README": texts[b"README"], b"docs": docs, b"src": source})

        sync(near, far, [project(b"one line")])
        report = sync(near, far, [project(b"another line")])
    return report.blobs, report.directories


EXERCISES = (
    Exercise(
        name="travels",
        question=_QUESTION,
        hint="What is named by its digest and is there already need not travel. Go up from the file that changed.",
        checks=(_travels,),
        solution="""
blobs = 1  # src/util.c
directories = 2  # src, and project, which names src by its digest
""",
    ),
)
