"""Hypothesis strategies for valid requests."""

from __future__ import annotations

from hypothesis import strategies as st

from tvixbuild_nb.castore import Digest, DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.request import BuildConstraints, BuildRequest

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)
NAME = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0/"), min_size=1, max_size=6).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 256
)
PATH = st.lists(NAME, min_size=1, max_size=3).map("/".join)
DIGEST = st.binary(min_size=32, max_size=32).map(Digest)
SIZE = st.integers(0, 2**64 - 1)
NODE: st.SearchStrategy[Node] = st.one_of(
    st.builds(FileNode, DIGEST, SIZE, st.booleans()),
    st.builds(DirectoryNode, DIGEST, SIZE),
    st.builds(SymlinkNode, st.binary(min_size=1, max_size=20).filter(lambda target: b"\0" not in target)),
)
KEY = TEXT.filter(lambda key: key != "" and "=" not in key)
CONSTRAINTS = st.builds(
    BuildConstraints,
    system=TEXT.filter(bool),
    min_memory=SIZE,
    available_ro_paths=st.lists(PATH.map("/{}".format), max_size=3, unique=True),
    network_access=st.booleans(),
    provide_bin_sh=st.booleans(),
)


@st.composite
def requests(draw: st.DrawFn) -> BuildRequest:
    scratch = draw(st.lists(PATH, max_size=3, unique=True))
    inputs = draw(st.dictionaries(NAME, NODE, max_size=3))
    inputs_dir = draw(st.one_of(st.just(""), PATH))
    taken = {f"{inputs_dir}/{name}" if inputs_dir else name for name in inputs}
    outputs = draw(st.lists(st.tuples(st.sampled_from(scratch), PATH).map("/".join), max_size=3)) if scratch else []
    return BuildRequest(
        inputs=inputs,
        command_args=[draw(TEXT.filter(bool)), *draw(st.lists(TEXT, max_size=3))],
        working_dir=draw(st.one_of(st.just(""), PATH)),
        scratch_paths=scratch,
        inputs_dir=inputs_dir,
        outputs=sorted(set(outputs) - taken),
        environment_vars=draw(st.dictionaries(KEY, TEXT, max_size=3)),
        constraints=draw(st.one_of(st.none(), CONSTRAINTS)),
        additional_files=draw(st.dictionaries(PATH, st.binary(max_size=10), max_size=3)),
        refscan_needles=draw(st.lists(TEXT.filter(bool), max_size=3, unique=True)),
    )
