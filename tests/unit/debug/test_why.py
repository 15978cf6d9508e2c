"""run.why(): every place of a reference, also across what is read at once, harmless and without secrets."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from support.cli import Command, request_of
from tvixbuild_nb.build import BuildContext, DummyBuild, DummyBuildService, RunRecord
from tvixbuild_nb.castore import Directory, DirectoryNode, FileNode, Node, SymlinkNode, open_castore
from tvixbuild_nb.debug import Why, needle_of, why
from tvixbuild_nb.errors import InvalidValue, NotFound
from tvixbuild_nb.request import BuildRequest, Redactor
from tvixbuild_nb.sandbox import Run

HASH = "0123456789abcdfghijklmnpqrsvwxyz"
PIECE = 256 * 1024


def _asked(data: bytes, needle: bytes, secrets: Mapping[str, str] | None = None) -> Why:
    castore = open_castore("memory:")
    return why(castore, {"nix/store/out": castore.ingest_bytes(data)}, needle, Redactor(secrets))


def test_contents_targets_and_names_are_looked_into() -> None:
    castore = open_castore("memory:")
    file = castore.ingest_bytes(b"\x1b[2Jneedle")
    inner = Directory({b"b\nneedle": SymlinkNode(b"/x/needle"), b"a": file, b"c": file})
    root = DirectoryNode(castore.directories.put(inner), inner.size)
    found = why(castore, {"build/out": root}, b"needle", Redactor())
    assert [(place.path, place.kind, place.offset) for place in found] == [
        ("build/out/a", "contents", 4),
        (r"build/out/b\nneedle", "name", 2),
        (r"build/out/b\nneedle", "symlink", 3),
        ("build/out/c", "contents", 4),
    ]
    assert found.references[0].context == r"\x1b[2Jneedle" and str(found).count("\n") == 4
    assert found._repr_mimebundle_()["text/plain"] == str(found)


@pytest.mark.parametrize("at", [0, PIECE - 70, PIECE - 36, PIECE - 3, PIECE, 2 * PIECE - 1, 3 * PIECE - 6])
def test_every_place_in_a_big_file_is_found_once(at: int) -> None:
    data = bytearray(3 * PIECE)
    data[at : at + 6] = b"needle"
    (place,) = _asked(bytes(data), b"needle")
    assert place.offset == at and "needle" in place.context


def test_overlapping_ones_and_too_many() -> None:
    assert [place.offset for place in _asked(b"aaa", b"aa")] == [0, 1]
    many = _asked(b"a" * 20_000, b"a")
    assert len(many) == 10_000 and not many.complete and str(many).endswith("the first 10000")


def test_no_part_of_a_secret_is_shown_wherever_the_context_ends() -> None:
    secret = "hunter2-hunter2-hunter2"
    for gap in range(40):
        data = secret.encode() + b"." * gap + b"needle" + b"." * gap + secret.encode()
        shown = str(_asked(data, b"needle", {"TOKEN": secret}))
        assert "hun" not in shown and "er2" not in shown and "needle" in shown
        (place,) = _asked(data, b"needle", {"TOKEN": secret})
        assert place.context[slice(*place.marked)] == "needle"
    assert secret not in repr(_asked(secret.encode(), secret.encode(), {"TOKEN": secret}))


@pytest.mark.parametrize(
    ("data", "needle", "shown", "marked"),
    [
        (b"see needle here", b"needle", "see needle here", "needle"),
        (b"\x1bx1b", b"x1b", r"\x1bx1b", "x1b"),  # not what the byte before is written as
        ("é".encode(), b"\xa9", r"\xc3\xa9", r"\xa9"),
        (b"-hunter2-", b"nt", "-[secret TOKEN]-", "[secret TOKEN]"),
        (b"-hunter2-", b"2-", "-[secret TOKEN]-", "[secret TOKEN]-"),
        (b"." * 50 + b"\n" + b"." * 50, b"\n", "..." + "." * 32 + r"\n" + "." * 32 + "...", r"\n"),
    ],
)
def test_the_needle_is_marked_in_its_context(data: bytes, needle: bytes, shown: str, marked: str) -> None:
    (place,) = _asked(data, needle, {"TOKEN": "hunter2"})
    assert (place.context, place.context[slice(*place.marked)]) == (shown, marked)


def test_an_input_is_looked_for_as_its_needle() -> None:
    node = open_castore("memory:").ingest_bytes(b"input")
    request = request_of("x", inputs={f"{HASH}-dep": node, "plain": SymlinkNode(b"t")}, refscan_needles=["zz"])
    assert needle_of(request, node) == needle_of(request, f"/nix/store/{HASH}-dep") == HASH.encode()
    assert needle_of(request, SymlinkNode(b"t")) == b"plain"  # wholly, none of its needles is in the name
    assert needle_of(request, "a text") == b"a text" and needle_of(request, b"\xff") == b"\xff"
    known = request_of("x", inputs={"plain": node}, refscan_needles=["la", "lai"])
    assert needle_of(known, "plain") == b"lai"
    for wrong in ("", b"", SymlinkNode(b"other")):
        with pytest.raises(InvalidValue):
            needle_of(request, wrong)


def test_what_the_store_lacks_is_not_found() -> None:
    node = open_castore("memory:").ingest_bytes(b"elsewhere" * 100)
    assert isinstance(node, FileNode)
    with pytest.raises(NotFound):
        why(open_castore("memory:"), {"build/out": node}, b"x", Redactor())


def test_a_run_is_asked_in_python_and_on_the_command_line(
    command: Command, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TVIXBUILD_NB_STORE", f"{tmp_path}/store")

    def script(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        return {path: build.castore.ingest_bytes(b"see /nix/store/dep/lib") for path in request.outputs}

    with open_castore() as castore:
        request = request_of("x", inputs={"dep": castore.ingest_bytes(b"input")})
        run = Run.begin(DummyBuildService(castore, script), request, BuildContext(RunRecord.create())).wait()
        assert [place.offset for place in run.why("dep")] == [15] and not run.why("other")
    assert "nix/store/out, byte 15: see /nix/store/dep/lib" in command("why", run.id, "dep")
    assert command.json("why", run.id, "dep")["references"][0]["offset"] == 15
    assert command("why", run.id, "other") == "other is not in the outputs\n"
    command("why", run.id, "", status=2)


def test_without_outputs_it_says_so() -> None:
    assert str(why(open_castore("memory:"), {}, b"x", Redactor())) == "the run has no outputs to look into"
