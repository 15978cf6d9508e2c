"""Many builds by what behaves as Snix, whose builder and store are two daemons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.cli import Command
from support.snix import Contents, build_daemon, castore_daemon
from tvixbuild_nb import Sandbox, build_many
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.proto import snix_castore_pb2


def build(request: Any, contents: Contents) -> list[tuple[Any, list[int]]] | str:
    """Says what it was told to."""
    data = request.command_args[-1].encode()
    return [(snix_castore_pb2.Entry(file={"digest": contents.put_blob(data), "size": len(data)}), [])]


class Snix:
    """Both daemons."""

    def __init__(self, stack: ExitStack) -> None:
        contents = Contents()
        self.store = stack.enter_context(castore_daemon(contents))
        self.builder, _ = stack.enter_context(build_daemon(contents, build))

    def sandbox(self, word: str, near: Castore) -> Sandbox:
        sb = Sandbox(["say", word], outputs=["nix/store/o"], store=near, builder=self.builder, builder_store=self.store)
        sb.add_input("src", word.encode() * 2)
        return sb


@pytest.fixture
def snix() -> Iterator[Snix]:
    with ExitStack() as stack:
        yield Snix(stack)


@pytest.fixture
def near(tmp_path: Path) -> Iterator[Castore]:
    with open_castore(tmp_path / "near") as castore:
        yield castore


@pytest.mark.parametrize("opened", [False, True])
def test_many(snix: Snix, near: Castore, opened: bool) -> None:
    made = [snix.sandbox(word, near) for word in ("one", "two", "one")]
    with open_castore(snix.store) as theirs, ThreadPoolExecutor(2) as threads:
        store = theirs if opened else snix.store
        many = build_many(made, threads, store=near, builder=snix.builder, builder_store=store)
        assert many.wait(show=False).ok, str(many)
        said = [run.outputs["nix/store/o"].read_text() for run in many.runs if run is not None]
    assert said == ["one", "two", "one"] and len(many.rows()) == 2


def test_a_sandbox_maps_with_the_store_of_its_builder(snix: Snix, near: Castore) -> None:
    sb = snix.sandbox("one", near)
    many = sb.map([sb, snix.sandbox("two", near)])
    assert many.wait(show=False).ok, str(many)
    run = many.run(1)
    assert run is not None and run.outputs["nix/store/o"].read_text() == "two" and run.castore.address == snix.store


def test_the_command(snix: Snix, near: Castore, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    command = Command(capfdbinary)
    places = [str(tmp_path / f"{word}.json") for word in ("one", "two")]
    for place in places:
        snix.sandbox(Path(place).stem, near).save(place)
    where = ["--store", near.address, "--builder", snix.builder, "--builder-store", snix.store]
    said = json.loads(command("run-many", *places, *where, "--json"))
    assert [each["status"] for each in said["requests"]] == ["succeeded"] * 2
