"""The text of .drv files: read and written byte for byte, anything else refused where it differs."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.derivations import BASENAMES, STORE, derivations, golden
from tvixbuild_nb.errors import InvalidDerivation
from tvixbuild_nb.nix import Derivation, Fixed, InputAddressed, StoreDir, StorePath, parse_aterm, write_aterm

SIMPLE = (STORE / golden("simple")).read_bytes()
FIXED = (STORE / golden("fixed-md5-flat")).read_bytes()
CHAIN = (STORE / golden("diamond")).read_bytes()
PATH = b"/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a"


@pytest.mark.parametrize("basename", BASENAMES)
def test_goldens_are_read_and_written(basename: str) -> None:
    data = (STORE / basename).read_bytes()
    derivation = parse_aterm(data)
    assert write_aterm(derivation) == data
    assert f"{derivation.name}.drv" == StorePath.parse(basename).name


@given(derivations())
def test_every_derivation_survives(derivation: Derivation) -> None:
    data = write_aterm(derivation)
    assert parse_aterm(data, derivation.name) == derivation
    assert not set(data) & set(b"\r\t") or set(derivation.system) & set(b"\r\t")


@given(st.sampled_from(BASENAMES), st.data())
def test_every_truncation_is_refused_at_its_place(basename: str, data: st.DataObject) -> None:
    whole = (STORE / basename).read_bytes()
    size = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(InvalidDerivation) as refused:
        parse_aterm(whole[:size])
    assert refused.value.index is not None and refused.value.index <= size


@given(st.sampled_from([SIMPLE, FIXED, CHAIN]), st.data())
def test_what_is_read_is_what_would_be_written(whole: bytes, data: st.DataObject) -> None:
    """However the bytes are damaged: either they are refused, or they are exactly a derivation's text."""
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 12)))
    inserted = data.draw(
        st.one_of(st.binary(max_size=4), st.sampled_from([b'"', b"\\", b"\n", b",", b"[]", b"()", b'"",']))
    )
    damaged = whole[:start] + inserted + whole[end:]
    try:
        derivation = parse_aterm(damaged, "x")
    except InvalidDerivation as refused:
        assert refused.path == "derivation"
    else:
        assert write_aterm(derivation) == damaged


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    for candidate in (data, b"Derive(" + data, b"Derive([" + data):
        with pytest.raises(InvalidDerivation):
            parse_aterm(candidate)


def text(**parts: bytes) -> bytes:
    """A derivation's text with some of its parts replaced."""
    usual = {
        "outputs": b'("out","%b","","")' % PATH,
        "drvs": b"",
        "sources": b"",
        "system": b'"s"',
        "builder": b'"b"',
        "args": b"",
        "env": b'("name","n")',
        "end": b")",
    }
    return b"Derive([%(outputs)b],[%(drvs)b],[%(sources)b],%(system)b,%(builder)b,[%(args)b],[%(env)b]%(end)b" % {
        key.encode(): value for key, value in (usual | parts).items()
    }


@pytest.mark.parametrize(
    "parts, marked, message",
    [
        ({"env": b'("b",""),("a","")'}, b'("a"', "environment: out of order"),
        ({"env": b'("a",""),("a","")'}, b'("a","")]', "environment: twice the same"),
        ({"env": b'("\xff",""),("z","")'}, b'("z"', "out of order"),
        ({"env": b'("a","\\x")'}, b"\\x", "does not write an escape like this"),
        ({"env": b'("a","\\")'}, b'"\\")])', "the string does not end"),
        ({"env": b'("a","\n")'}, b"\n", "does not write a character like this"),
        ({"env": b'("a" ,"")'}, b' ,""', "expected ','"),
        ({"env": b'("a"),'}, b"),]", "expected ','"),
        ({"args": b'"a",'}, b"],[(", "expected '\"'"),
        ({"args": b",'a'"}, b",'a'", "expected '\"'"),
        ({"outputs": b""}, None, "at least one output"),
        ({"outputs": b'("b","","",""),("a","","","")'}, b'("a"', "outputs: out of order"),
        ({"outputs": b'("a/b","","","")'}, b"/b", "holds no '/'"),
        ({"outputs": b'("","","","")'}, b'","","","")', "not empty"),
        ({"outputs": b'("out","/nix/store/../a","","")'}, None, "not a store path"),
        ({"outputs": b'("out","/tmp/a","","")'}, b"/tmp/a", "not below /nix/store"),
        ({"outputs": b'("out","%b/x","","")' % PATH}, b"/x", "holds no '/'"),
        ({"outputs": b'("out","%b","","00")' % PATH}, b'"00"', "a hash but no algorithm"),
        ({"outputs": b'("out","%b","r:sha256","")' % PATH}, b'"' + PATH, "only its contents can tell"),
        ({"outputs": b'("out","","sha1","%b")' % (b"0" * 40)}, b'"out"', "a hash but no path"),
        ({"outputs": b'("out","%b","sha1","00")' % PATH}, b'"00"', "wrong length"),
        ({"outputs": b'("out","%b","sha1","%b")' % (PATH, b"A" * 40)}, b'"AAAA', "lower case"),
        ({"outputs": b'("out","%b","sha9","00")' % PATH}, b'"sha9', "unknown hash algorithm"),
        ({"outputs": b'("out","%b","git:sha1","00")' % PATH}, b'"git', "unknown hash algorithm"),
        ({"outputs": b'("out","\xff","","")'}, b"\xff", "ASCII"),
        ({"outputs": b'("dev","","",""),("out","%b","","")' % PATH}, None, "of one kind"),
        ({"outputs": b'("dev","%b","sha1","%b")' % (PATH, b"0" * 40)}, None, "has that one only, called out"),
        ({"outputs": b'("a","","sha1",""),("b","","md5","")'}, None, "of one algorithm"),
        ({"drvs": b'("%b",["out"])' % PATH}, None, "an input is no derivation"),
        ({"drvs": b'("%b.drv",["out","dev"])' % PATH}, b'"dev"', "outputs of an input: out of order"),
        ({"sources": b'"%b","%b"' % (PATH, PATH)}, b'"%b"],"s"' % PATH, "input sources: twice the same"),
        ({"system": b'"\\n"'}, b"\\n", "no escape in this string"),
        ({"end": b")\n"}, b"\n", "something follows"),
        ({"end": b""}, None, "expected ')', found the end"),
        ({"env": b""}, None, "does not say its name"),
        ({"env": b'("__json","{")'}, None, "__json is no JSON"),
        ({"env": b'("__json","[]")'}, None, "does not say its name"),
        ({"env": b'("name","a b")'}, None, "holds no ' '"),
    ],
)
def test_what_is_wrong_is_said_with_its_offset(parts: dict[str, bytes], marked: bytes | None, message: str) -> None:
    data = text(**parts)
    with pytest.raises(InvalidDerivation) as refused:
        parse_aterm(data, source="x.drv")
    assert message in refused.value.message and refused.value.path == "x.drv"
    if marked is not None:
        assert refused.value.index == data.index(marked)
        assert f"x.drv, byte {data.index(marked)}: " in str(refused.value)


@given(st.text('\\"rntx\r\n\t').map(str.encode))
def test_every_row_of_escapes(value: bytes) -> None:
    made = Derivation("n", {"out": InputAddressed(StorePath(bytes(20), "n"))}, b"s", value, env={value: value})
    data = write_aterm(made)
    assert parse_aterm(data, "n") == made
    expected = value.decode().replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    expected = expected.replace("\t", "\\t")
    assert f'"{expected}"' in data.decode()


def test_dynamic_derivations_are_refused_by_name() -> None:
    with pytest.raises(InvalidDerivation, match="dynamic derivations"):
        parse_aterm(b'DrvWithVersion("xp-dyn-drv",' + SIMPLE.removeprefix(b"Derive("))


def test_a_system_that_nix_could_not_read_again_is_refused() -> None:
    for system in (b'"', b"\\"):
        with pytest.raises(InvalidDerivation, match="system"):
            Derivation("x", {"out": InputAddressed(StorePath(bytes(20), "x"))}, system, b"")


def test_methods_of_fixed_outputs() -> None:
    for prefix, method in ((b"", "flat"), (b"r:", "nar"), (b"text:", "text")):
        read = parse_aterm(text(outputs=b'("out","%b","%bsha1","%b")' % (PATH, prefix, b"0" * 40)))
        output = read.outputs["out"]
        assert isinstance(output, Fixed) and output.method == method


def test_another_store_directory() -> None:
    data = SIMPLE.replace(b"/nix/store", b"/gnu/store")
    assert write_aterm(parse_aterm(data, store_dir=StoreDir("/gnu/store"))) == data
    with pytest.raises(InvalidDerivation, match="not below /nix/store"):
        parse_aterm(data)


@pytest.mark.parametrize(
    "value", [b"x" * 8_000_000, b"\\n" * 4_000_000, b"\\\\" * 4_000_000], ids=["plain", "escapes", "backslashes"]
)
def test_long_strings_take_memory_and_time_in_proportion(value: bytes) -> None:
    data = text(env=b'("name","n"),("z","%b")' % value)
    for end in (b")", b""):
        tracemalloc.start()
        began = time.monotonic()
        try:
            parse_aterm(data[:-1] + end)
        except InvalidDerivation:
            assert not end
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 10 * len(value) and time.monotonic() - began < 60
    with pytest.raises(InvalidDerivation, match="does not end"):
        parse_aterm(data[: len(data) // 2 * 2 - 20])


@pytest.mark.parametrize("part", ["env", "args", "sources", "drvs", "outputs"])
def test_many_small_things_take_memory_in_proportion(part: str) -> None:
    paths = sorted(StorePath(number.to_bytes(20, "little"), "a.drv").basename.encode() for number in range(10_000))
    pieces = {
        "env": [b'("name","n")', *(b'("z%b","")' % path for path in paths)],
        "args": [b'""' for _ in paths],
        "sources": [b'"/nix/store/%b"' % path for path in paths],
        "drvs": [b'("/nix/store/%b",["out"])' % path for path in paths],
        "outputs": [b'("%b","%b","","")' % (path, PATH) for path in paths],
    }
    data = text(**{part: b",".join(pieces[part])})
    tracemalloc.start()
    parse_aterm(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * len(data)


def test_brackets_by_the_million_are_refused_at_once() -> None:
    for piece in (b"[", b"(", b'("",', b"[[", b'"'):
        with pytest.raises(InvalidDerivation) as refused:
            parse_aterm(b"Derive([" + piece * 1_000_000)
        assert len(str(refused.value)) < 500
