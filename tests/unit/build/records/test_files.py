"""Record files: what goes in comes out, nothing secret goes in, and nothing that is not as it should be comes out."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.records import SECRET, fails, ran, rewritten, said
from tvixbuild_nb import Run
from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.build.records import RecordFile, open_record, sweep_opened
from tvixbuild_nb.build.records.content import directory_pieces, gathered
from tvixbuild_nb.build.records.hiding import Hiding
from tvixbuild_nb.build.records.manifest import BLOBS, DIRECTORIES
from tvixbuild_nb.build.visits import Visit
from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, FileNode, open_castore
from tvixbuild_nb.castore.memory import MemoryStore
from tvixbuild_nb.errors import InvalidRecord, InvalidValue, NotFound, TvixBuildError
from tvixbuild_nb.oci import SpecOptions, render_spec
from tvixbuild_nb.request import Redactor


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A record with everything."""
    run = ran()
    run.record.note_visit(Visit(command=("ls",), exit_code=0, output="x\n"))
    path = tmp_path / "run.tvixrun"
    run.save(path, outputs=True, inputs=True)
    return path


def test_what_goes_in_comes_out(record: Path) -> None:
    [before] = [Run(each) for each in RunRecord.all()]
    after = Run.load(record)
    assert after.request == before.request and after.log.bytes() == before.log.bytes()
    assert [event.time for event in after.events] == [event.time for event in before.events]
    assert (after.status, after.timings, after.id) == (before.status, before.timings, before.id)
    tree = after.outputs["nix/store/x"]
    assert (tree / "inner" / "file").read_bytes() == b"contents\n" * 1000 and (tree / "tool").executable
    assert after.inputs["src"].read_bytes() == b"source\n"
    assert after.recorded is not None and str(after.recorded).startswith("recorded 20")


def test_the_same_run_gives_the_same_bytes(record: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tvixrun"
    [run] = [Run(each) for each in RunRecord.all()]
    with pytest.raises(NotFound):
        # Its store was in memory, and is not this run's.
        run.save(again, outputs=True)
    assert not again.exists()
    run.save(again)
    before = again.read_bytes()
    run.save(again)
    assert again.read_bytes() == before and sorted(os.listdir(tmp_path)).count("again.tvixrun") == 1
    loaded = tmp_path / "loaded.tvixrun"
    Run.load(record).save(loaded, outputs=True, inputs=True)
    assert loaded.read_bytes() == record.read_bytes()


def test_a_trivial_run_is_small(record: Path) -> None:
    assert record.stat().st_size < 30_000


def test_no_member_names_who_recorded_it(record: Path) -> None:
    with zipfile.ZipFile(record) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            assert os.uname().nodename.encode() not in data, name
            assert os.environ["XDG_STATE_HOME"].encode() not in data, name


def test_while_it_goes_on_it_cannot_be_saved(tmp_path: Path) -> None:
    run = ran()
    (run.record.path / "result.json").unlink()
    with run.record.held(), pytest.raises(InvalidValue, match="still goes on"):
        Run(run.record).save(tmp_path / "x.tvixrun")
    # Its process died: that is a verdict, too, which does not know the store.
    Run(run.record).save(tmp_path / "x.tvixrun")
    assert Run.load(tmp_path / "x.tvixrun").status == "cancelled"
    assert not Path("unknown").exists()
    with pytest.raises(InvalidValue, match="tvixrun"):
        run.save(tmp_path / "x.zip")


def test_it_is_unpacked_once_and_swept_when_nobody_looks(record: Path, tmp_path: Path) -> None:
    one, two = open_record(record), open_record(record)
    assert one.record.path == two.record.path
    assert sweep_opened() == []
    del one
    assert sweep_opened(dry_run=True) == sweep_opened() == []
    place = two.record.path.parent
    del two
    assert sweep_opened(dry_run=True) == [place] and place.exists()
    assert sweep_opened() == [place] and not place.exists()
    assert Run.load(record).ok


# -- secrets ----------------------------------------------------------------------------------------


def _leaks(request: object, build: object) -> object:
    value = SECRET.encode()
    build.print(b"token=" + value[:7])  # type: ignore[attr-defined]
    build.print(b"in between\n", "stderr")  # type: ignore[attr-defined]
    build.print(value[7:] + b" and " + value + b"\n")  # type: ignore[attr-defined]
    return said(request, build)  # type: ignore[arg-type]


def test_values_of_secrets_are_in_no_member(tmp_path: Path) -> None:
    run = ran(
        _leaks,
        command=["echo", SECRET],
        env={"TOKEN": SECRET, "URL": f"https://me:{SECRET}@host"},
        secrets=["TOKEN"],
        additional_files={"etc/netrc": f"password {SECRET}\n"},
    )
    path = tmp_path / "x.tvixrun"
    (run.record.path / "processes.json").write_text(json.dumps({"time": 1.0, "processes": [_process(SECRET)]}))
    run.record.write_config(render_spec(run.request, SpecOptions.tvix().replace(hostname=SECRET)).to_json())
    run.save(path, outputs=True, inputs=True)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            assert b"hunter" not in archive.read(name), name
    loaded = Run.load(path)
    assert loaded.log.text() == "token=[secret TOKEN]in between\n and [secret TOKEN]\none\ntwo\n"
    assert loaded.log.text("stdout") == "token=[secret TOKEN] and [secret TOKEN]\none\n"
    assert loaded.result is not None and loaded.result.log_size == loaded.log.size
    assert loaded.manifest.request == run.request.digest != loaded.request.digest
    assert loaded.request.environment_vars["URL"] == b"https://me:[secret TOKEN]@host"
    assert loaded.manifest.secrets == ("TOKEN",) and (list(loaded.events)[-1]).type == "end"


def _process(word: str) -> dict[str, object]:
    numbers = dict.fromkeys(("age", "cpu", "memory"), 0)
    return {
        "pid": 1, "parent": 0, "name": "sh", "command": ["sh", word], "state": "S", "threads": "S", "cwd": "/",
        "call": None, "where": None, "bits": 64, "files": [], **numbers,
    }  # fmt: skip


def _in_contents(request: object, build: object) -> object:
    return {"nix/store/x": build.castore.ingest_bytes(b"a" * (1 << 20) + SECRET.encode())}  # type: ignore[attr-defined]


def test_contents_with_a_secret_are_refused_in_words(tmp_path: Path) -> None:
    run = ran(_in_contents, env={"TOKEN": SECRET}, secrets=["TOKEN"])
    with pytest.raises(InvalidValue, match="holds the value of the secret TOKEN") as refused:
        run.save(tmp_path / "x.tvixrun", outputs=True)
    assert "outputs=False" in str(refused.value) and SECRET not in str(refused.value)
    assert os.listdir(tmp_path) == ["xdg-state"]
    run.save(tmp_path / "x.tvixrun")
    assert not Run.load(tmp_path / "x.tvixrun").manifest.content.outputs


# -- what is refused --------------------------------------------------------------------------------


def _set(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.__setitem__(name, data)


def _json(name: str, **fields: object) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.__setitem__(name, json.dumps({**json.loads(members[name]), **fields}).encode())


_BLOB = struct.Struct(">32sQ")


def _stray_blob(members: dict[str, bytes]) -> None:
    from blake3 import blake3

    members[BLOBS] += _BLOB.pack(blake3(b"stray").digest(), 5) + b"stray"


def _other_blob(members: dict[str, bytes]) -> None:
    members[BLOBS] = members[BLOBS].replace(b"contents\n", b"CONTENTS\n")


def _turned_directories(members: dict[str, bytes]) -> None:
    found, rest = [], members[DIRECTORIES]
    while rest:
        length = int.from_bytes(rest[:4], "big")
        found.append(rest[: 4 + length])
        rest = rest[4 + length :]
    members[DIRECTORIES] = b"".join(reversed(found))


WRONG = {
    "no document": (_set("request.json", b"nonsense"), "request.json"),
    "deep document": (_set("accesses.json", b"[" * 100_000), "accesses.json"),
    "wrong type": (_json("result.json", started="never"), "result.json"),
    "unknown field": (_json("result.json", extra=1), "result.json"),
    "another run's": (_json("result.json", id="other"), "result.json"),
    "events after the end": (lambda m: m.__setitem__("events.jsonl", m["events.jsonl"] * 2), "events.jsonl"),
    "a list": (_set("explanation.json", b"[]"), "explanation.json"),
    "index without a log": (_set("log.index", b"x" * 24), "log.index"),
    "index of another log": (_set("log", b"longer than it was"), "log.index"),
    "processes": (_set("processes.json", b'{"time": 1, "processes": [{"pid": "x"}]}'), "processes.json"),
    "visits": (_set("visits.jsonl", b'{"command": 5}\n'), "visits.jsonl"),
    "inside": (_set("inside.json", b'{"status": 5}'), "inside.json"),
    "config": (_set("config.json", b'{"process": 5}'), "config.json"),
    "options": (_set("options.json", b'{"hostname": 5}'), "options.json"),
    "stray blob": (_stray_blob, "nothing has a blob"),
    "another blob": (_other_blob, "digest"),
    "no blobs": (_set(BLOBS, b""), "blobs are missing"),
    "half a blob": (lambda m: m.__setitem__(BLOBS, m[BLOBS][:-1]), "too early"),
    "directories before what they hold": (_turned_directories, "does not come before"),
    "half a directory": (lambda m: m.__setitem__(DIRECTORIES, m[DIRECTORIES][:-1]), "too early"),
    "a stray directory": (lambda m: m.__setitem__(DIRECTORIES, b"\0\0\0\0" + m[DIRECTORIES]), "reaches"),
    "a directory twice": (lambda m: m.__setitem__(DIRECTORIES, m[DIRECTORIES] * 2), "twice"),
    "contents missing": (lambda m: m.pop(BLOBS), "contents are missing"),
    "a name that leads out": (_set("../../etc/passwd", b"x"), "no member"),
    "an absolute name": (_set("/etc/passwd", b"x"), "no member"),
    "an unknown name": (_set("run.sh", b"x"), "no member"),
    "no result": (lambda m: m.pop("result.json"), "result.json is missing"),
    "no log": (lambda m: m.pop("log"), "belong together"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_as_it_should_be_is_refused_with_the_reason(what: str, record: Path, tmp_path: Path) -> None:
    change, reason = WRONG[what]
    damaged = rewritten(record, change, tmp_path / "damaged.tvixrun")
    with pytest.raises(InvalidRecord, match=reason) as refused:
        Run.load(damaged)
    assert "damaged.tvixrun" in str(refused.value)
    opened = Path(os.environ["XDG_STATE_HOME"]) / "tvixbuild-nb" / "records"
    assert not any(path.is_dir() for path in opened.iterdir())


@pytest.mark.parametrize("name", ["request.json", "log", "events.jsonl", BLOBS])
def test_bytes_that_are_not_those_of_the_manifest(name: str, record: Path, tmp_path: Path) -> None:
    damaged = rewritten(record, lambda m: m.__setitem__(name, m[name][::-1]), tmp_path / "d.tvixrun", honest=False)
    with pytest.raises(InvalidRecord, match="digest"):
        Run.load(damaged)


def test_foreign_newer_and_no_files(record: Path, tmp_path: Path) -> None:
    path = tmp_path / "f.tvixrun"
    for data in (b"", b"x" * 100, b"PK\5\6" + b"\0" * 18, record.read_bytes()[:-30], record.read_bytes() + b"more"):
        path.write_bytes(data)
        with pytest.raises(InvalidRecord):
            RecordFile(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", b"<x/>")
    with pytest.raises(InvalidRecord, match="no record of a run"):
        RecordFile(path)
    with zipfile.ZipFile(record) as archive:
        fields = json.loads(archive.read("record.json"))
    newer = rewritten(record, _set("record.json", json.dumps({**fields, "format": 2}).encode()), path)
    with pytest.raises(InvalidRecord, match="its format is 2") as refused:
        RecordFile(newer)
    assert refused.value.hint is not None and "pip" in refused.value.hint
    with pytest.raises(FileNotFoundError):
        RecordFile(tmp_path / "none.tvixrun")


def test_a_member_twice(record: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.tvixrun"
    path.write_bytes(record.read_bytes())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("request.json", b"{}")
    with pytest.raises(InvalidRecord, match="twice"):
        RecordFile(path)


def test_bombs_are_refused_before_they_are_unpacked(record: Path, tmp_path: Path) -> None:
    big = rewritten(record, _set("secrets.json", b" " * (2 << 20)), tmp_path / "big.tvixrun")
    with pytest.raises(InvalidRecord, match="more than secrets.json may have"):
        RecordFile(big)
    with zipfile.ZipFile(record) as archive:
        fields = json.loads(archive.read("record.json"))
    fields["members"]["log"]["size"] = 1 << 40
    lying = rewritten(record, _set("record.json", json.dumps(fields).encode()), tmp_path / "lying.tvixrun")
    with pytest.raises(InvalidRecord, match="may have"):
        RecordFile(lying)
    fields["members"]["log"]["size"] = 1 << 20
    lying = rewritten(record, _set("record.json", json.dumps(fields).encode()), tmp_path / "lying.tvixrun")
    with pytest.raises(InvalidRecord, match="the manifest says"):
        RecordFile(lying)
    # A directory of the archive that declares to be huge.
    data = bytearray(record.read_bytes())
    data[-10:-6] = (1 << 31).to_bytes(4, "little")
    (tmp_path / "wide.tvixrun").write_bytes(data)
    with pytest.raises(InvalidRecord, match="directory"):
        RecordFile(tmp_path / "wide.tvixrun")


def test_a_size_in_the_archive_that_is_not_that_of_what_comes_out(record: Path, tmp_path: Path) -> None:
    """Both headers and the manifest agree on 9 bytes; a megabyte would come out."""
    path = rewritten(record, _set("secrets.json", b"[" + b" " * (1 << 20) + b"]"), tmp_path / "x.tvixrun")
    data = path.read_bytes()
    size = ((1 << 20) + 2).to_bytes(4, "little")
    assert data.count(size) == 2
    lying = data.replace(size, (9).to_bytes(4, "little"))
    path.write_bytes(lying)
    with pytest.raises(InvalidRecord):
        Run.load(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_anywhere_is_refused_or_changes_nothing(record: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(record.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        match data.draw(st.sampled_from(("flip", "cut", "insert"))):
            case "flip":
                whole[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del whole[at : at + data.draw(st.integers(1, 40))]
            case _:
                whole[at:at] = data.draw(st.binary(min_size=1, max_size=40))
    path = tmp_path / "fuzzed.tvixrun"
    path.write_bytes(whole)
    try:
        run = Run.load(path)
    except TvixBuildError as error:
        assert isinstance(error, InvalidRecord), error
    else:
        assert run.log.text() == "one\ntwo\n" and run.outputs["nix/store/x"].exists()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=8), each, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["request.json", "result.json", "host.json", "policy.json", "events.jsonl", "record.json",
    "visits.jsonl"]), data=st.data())  # fmt: skip
def test_documents_of_wrong_types_are_refused(name: str, record: Path, tmp_path: Path, data: st.DataObject) -> None:
    def change(members: dict[str, bytes]) -> None:
        lines = members[name].splitlines() if name.endswith("l") else [members[name]]
        fields = json.loads(lines[0])
        key = data.draw(st.sampled_from(sorted(fields) or ["observe"]))
        fields[key] = data.draw(_VALUES)
        members[name] = b"\n".join([json.dumps(fields).encode(), *lines[1:]]) + b"\n"

    with zipfile.ZipFile(record) as archive:
        manifest = archive.read("record.json")

    def with_manifest(members: dict[str, bytes]) -> None:
        members["record.json"] = manifest
        change(members)

    path = rewritten(record, with_manifest if name == "record.json" else change, tmp_path / "fuzzed.tvixrun")
    try:
        run = Run.load(path)
    except InvalidRecord:
        return
    assert str(run) and repr(run) and str(run.explain()) is not None and run.record.read_visits() is not None


def test_directories_are_kept_in_memory_by_their_digests_only() -> None:
    """A graph that a naive reader would walk for ever: every directory holds the one below it twice."""
    castore = Castore(MemoryStore())
    node: FileNode | DirectoryNode = castore.ingest_bytes(b"leaf")
    with castore.batch() as batch:
        for _ in range(40):
            directory = Directory({b"a": node, b"b": node})
            node = DirectoryNode(batch.put_directory(directory), directory.size)
        batch.commit(node)
    pieces = list(directory_pieces(gathered(castore, [node]), Hiding(Redactor())))
    assert len(pieces) == 40


def test_the_size_is_known_beforehand() -> None:
    run = ran()
    size = run.save_size()
    assert size.outputs == 9010 and size.inputs == 7 and size.run > 500


def test_a_failed_run_keeps_its_explanation(tmp_path: Path) -> None:
    run = ran(fails)
    run.save(tmp_path / "x.tvixrun")
    loaded = Run.load(tmp_path / "x.tvixrun")
    assert loaded.explain() == run.explain() and str(loaded.explain()) == str(run.explain())
    assert open_castore("memory:") is not None
