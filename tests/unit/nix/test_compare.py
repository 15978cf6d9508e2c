"""What differs between two derivations: causes with the way to them, nothing that only follows."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from support.derivations import derivations
from tvixbuild_nb.nix import Derivation, InputAddressed, StorePath


def _path(letter: str, name: str) -> StorePath:
    return StorePath(letter.encode() * 20, name)


def _derivation(name: str, number: str, **changes: object) -> Derivation:
    made = Derivation(
        name=name,
        outputs={"out": InputAddressed(_path(number, name))},
        system=b"x86_64-linux",
        builder=b"/bin/sh",
        env={b"out": f"/nix/store/{_path(number, name)}".encode(), b"name": name.encode()},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def _chain(number: str, **changes: object) -> dict[StorePath, Derivation]:
    """top -> middle -> bottom, and top -> bottom; ``changes`` to the bottom one."""
    bottom = _derivation("bottom", number, **changes)
    middle = _derivation("middle", number, input_derivations={_path(number, "bottom.drv"): ("out",)})
    inputs = {_path(number, "middle.drv"): ("out",), _path(number, "bottom.drv"): ("out",)}
    top = _derivation("top", number, input_derivations=inputs)
    return {_path(number, f"{each.name}.drv"): each for each in (bottom, middle, top)}


def test_the_cause_is_found_below_with_the_shortest_way_to_it() -> None:
    old, new = _chain("1"), _chain("2", args=(b"-c", b"true"))
    tops = old[_path("1", "top.drv")], new[_path("2", "top.drv")]
    found = tops[0].diff(tops[1], old.__getitem__, new.__getitem__)
    assert found and str(found) == "top > bottom:\n  args[0]: + -c\n  args[1]: + true"
    assert found.to_dicts()[0]["way"] == ["top", "bottom"]


def test_without_the_inputs_their_paths_are_told() -> None:
    found = _chain("1")[_path("1", "top.drv")].diff(_chain("2")[_path("2", "top.drv")])
    [only] = found
    assert {change.field for change in only.changes} == {
        "input_derivations[bottom.drv]",
        "input_derivations[middle.drv]",
    }


def test_fields_and_sources_are_told_the_smallest_first() -> None:
    old = _derivation("x", "1", env={b"A": b"1", b"LONG": b"l" * 100}, input_sources=(_path("3", "src"),))
    new = _derivation("x", "1", env={b"A": b"2", b"NEW\x1b": b""}, input_sources=(_path("4", "src"),))
    [only] = old.diff(new)
    assert [change.field for change in only.changes] == ["env[NEW\\x1b]", "env[A]", "env[LONG]", "input_sources[src]"]


def test_only_another_path_is_told_when_nothing_else_is() -> None:
    found = _derivation("x", "1").diff(_derivation("x", "2"))
    assert found and {change.field for change in found.found[0].changes} == {"env[out]", "outputs[out]"}


@given(derivations(), derivations())
def test_equal_ones_have_no_difference_and_others_have_one(old: Derivation, new: Derivation) -> None:
    assert not old.diff(old) and str(old.diff(old)) == "no difference"
    assert bool(old.diff(new)) == (old != new) == bool(len(old.diff(new)))
