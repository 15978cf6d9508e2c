"""Answers to questions about builds as tables and lines: what they say, bounds, harmless, no secrets."""

from __future__ import annotations

import dataclasses

import pytest

from support.answers import HOSTILE, SECRET, folder, harmless
from support.cli import request_of
from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.castore import Node, SymlinkNode, open_castore
from tvixbuild_nb.debug import why
from tvixbuild_nb.debug.diffoscope import Said
from tvixbuild_nb.debug.origins import Origin
from tvixbuild_nb.debug.processes import Process, ProcessTree
from tvixbuild_nb.debug.script import script_of
from tvixbuild_nb.debug.variations import VARIATIONS
from tvixbuild_nb.oci import Diff, IdMapping, SpecOptions, render_spec
from tvixbuild_nb.oci.compare import between
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.sandbox import Run
from tvixbuild_nb.sandbox.checking import Cause, Checked
from tvixbuild_nb.sandbox.executing import Executed
from tvixbuild_nb.sandbox.minimizing import Minimized
from tvixbuild_nb.widgets.answers import (
    checked_forms,
    executed_forms,
    minimized_forms,
    processes_forms,
    script_forms,
    why_forms,
)
from tvixbuild_nb.widgets.answers.checked import MAX_SAID
from tvixbuild_nb.widgets.answers.executed import MAX_COMMAND
from tvixbuild_nb.widgets.answers.minimized import MAX_INPUTS
from tvixbuild_nb.widgets.answers.script import MAX_TEXT
from tvixbuild_nb.widgets.answers.why import MAX_REFERENCES

REDACTOR = Redactor({"TOKEN": SECRET})


# -- why --------------------------------------------------------------------------------------------------------------


def test_why_marks_the_needle_in_its_context() -> None:
    store = open_castore("memory:")
    tree = folder(
        store, {f"a{HOSTILE}".encode(): f"{SECRET} see needle{HOSTILE}".encode(), b"l": SymlinkNode(b"/needle")}
    )
    found = why(store, {"build/out": tree}, b"needle", REDACTOR)
    bundle = why_forms(found).bundle()
    html = harmless(bundle["text/html"])
    assert bundle["text/plain"] == str(found) and "in 2 places" in html and html.count("<b style") == 2
    assert ">needle</b>&lt;img" in html and "[secret TOKEN] see <b" in html and "target of the symlink" in html
    assert 'scope="col">path' in html and "build/out/a&lt;img" in html
    none = why(store, {}, b"x", REDACTOR)
    assert why_forms(none).bundle()["text/html"] == f"<p>{none}</p>"


def test_many_places_are_bounded() -> None:
    store = open_castore("memory:")
    html = why_forms(why(store, {"o": store.ingest_bytes(b"a" * 20_000)}, b"a", REDACTOR)).bundle()["text/html"]
    assert "in 10,000 or more places" in html and f"{10_000 - MAX_REFERENCES:,} more places" in html
    assert len(html) < 200_000


# -- minimize ---------------------------------------------------------------------------------------------------------


def test_minimized_tells_what_can_go_and_what_proves_it() -> None:
    store = open_castore("memory:")
    names = ("used", f"spare{HOSTILE}", f"needed-{SECRET}")
    inputs: dict[str, Node] = {name: folder(store, {b"f": b"12345"}) for name in names}
    sandbox = Sandbox("true", inputs=inputs, env={"TOKEN": SECRET}, secrets=["TOKEN"], store=store)
    found = Minimized((names[1],), (names[2],), "base", "proof", size=5, inputs=inputs, sandbox=sandbox)
    bundle = minimized_forms(found).bundle()
    html = harmless(bundle["text/html"])
    assert "1 of 3 inputs can go" in html and "5 B" in html and "can go</b>" in html and "1 entry" in html
    assert (
        "needed-[secret TOKEN]" in html and "needed: nothing of it was looked at" in html and "1 input was used" in html
    )
    assert "proof: run proof" in html and bundle["text/plain"] == str(found) and "hunter" not in str(found)
    none = minimized_forms(Minimized((), (), "base", None, inputs=inputs)).bundle()["text/html"]
    assert "all 3 inputs are needed" in none and "table" not in none
    chance = minimized_forms(Minimized((), (), "base", None, deterministic=False)).bundle()["text/html"]
    assert "nothing can be proved" in chance


def test_many_inputs_are_bounded() -> None:
    names = tuple(f"i{number}" for number in range(3000))
    inputs: dict[str, Node] = dict.fromkeys(names, SymlinkNode(b"x"))
    html = minimized_forms(Minimized(names, (), "base", "proof", inputs=inputs)).bundle()["text/html"]
    assert f"{3000 - MAX_INPUTS:,} more inputs" in html and len(html) < 100_000


# -- check ------------------------------------------------------------------------------------------------------------


def test_checked_tells_the_variation_the_files_and_where_it_began() -> None:
    store = open_castore("memory:")
    sides = [store.tree(folder(store, {HOSTILE.encode(): f"{SECRET} {name}\n".encode()})) for name in ("here", "there")]
    diff = sides[0].diff(sides[1])
    files = [store.tree(store.ingest_bytes(f"{name}\n".encode())) for name in ("first", "second")]
    origin = Origin("/build/conf", False, 1.5, files[0].diff(files[1]), 2)
    cause = Cause(VARIATIONS["hostname"], "other", {"nix/store/out": diff}, origin, "the hostname")
    checked = Checked(("one", "other"), ("hostname", "timezone", "order"), (cause,), False, ("nproc",), REDACTOR)
    forms = checked_forms(checked)
    bundle = forms.bundle()
    html = harmless(bundle["text/html"])
    assert bundle["text/plain"] == str(checked) and "✗ the build may not be deterministic" in html
    assert html.count(">no</td>") == 2 and "<b>yes</b>" in html and "another time zone (TZ)" in html
    assert "likely the hostname" in html and "the first that differs is /build/conf, an intermediate file" in html
    assert ">-first<" in html and ">+second<" in html and ">-[secret TOKEN] here<" in html
    assert "not varied: nproc" in html and "one, other" in html
    assert forms.live is not None and forms.live().names == ["/build/conf", "nix/store/out"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("checked", "said"),
    [
        (Checked(("1", "2", "3"), ("cores",)), ("✓ the outputs of 3 runs are the same", ">no<")),
        (Checked(("1", "2"), ()), ("nothing was varied",)),
        (Checked(("1", "2"), ("cores",), (Cause(None, "2"),)), ("not known: they differ by themselves", "by itself")),
        (Checked(("1", "2"), ("cores",), (Cause(VARIATIONS["cores"], "2", steady=False),)), ("once, and not again",)),
        (Checked(("1", "2"), ("cores",), (Cause(VARIATIONS["cores"], "2"),), together=True), ("not alone",)),
        (
            Checked(("1", "2"), (), (Cause(None, "2", failure=f"failed {HOSTILE} {SECRET}"),), redactor=REDACTOR),
            ("did not succeed: failed &lt;img", "[secret TOKEN]"),
        ),
    ],
)
def test_what_a_variation_shows(checked: Checked, said: tuple[str, ...]) -> None:
    html = harmless(checked_forms(checked).bundle()["text/html"])
    assert all(text in html for text in said) and bool(checked) == ("✓" in html)


def test_what_diffoscope_says_takes_the_place_of_the_contents() -> None:
    store = open_castore("memory:")
    trees = [store.tree(store.ingest_bytes(data)) for data in (b"1\n", b"2\n")]
    said = Said("│ -1 <b>\n" * 1000, "said more")
    cause = Cause(None, "2", {"out": trees[0].diff(trees[1])}, diffoscope={"out": said})
    html = checked_forms(Checked(("1", "2"), (), (cause,))).bundle()["text/html"]
    assert "│ -1 &lt;b&gt;" in html and ">-1<" not in html and f"{1001 - MAX_SAID:,} more lines" in html


# -- exec -------------------------------------------------------------------------------------------------------------


def executed(command: tuple[str, ...], output: str, reason: str | None = None, diff: Diff | None = None) -> Executed:
    record = RunRecord.create()
    record.write_secrets(("TOKEN",))
    record.write_request(request_of("true", environment_vars={"TOKEN": SECRET}))
    code = None if reason else 0
    return Executed(command, Run(record), code, None, reason, output, 0, diff or Diff("run first", ()))


def test_executed_shows_command_output_and_what_is_not_as_in_the_run() -> None:
    rows = between(
        {"process": {"args": ["a", HOSTILE, SECRET]}}, {"process": {"args": ["b"]}}, "run first", (REDACTOR,)
    )
    command = ("/bin/sh", "-c", f"echo {SECRET} '{HOSTILE}'")
    shell = executed(command, f"\x1b[31mred\x1b[0m {HOSTILE} {SECRET}\n", diff=rows)
    bundle = executed_forms(shell).bundle()
    html = harmless(bundle["text/html"])
    assert "<b>echo [secret TOKEN] &#x27;&lt;img" in html and "✓ <b>ended with status 0</b>" in html
    assert "background:#cd000040" in html and "differs from that of run first in process.args[0]" in html
    assert "log: 1 line" in html
    assert ">this command</th>" in html and "[secret TOKEN]" in html and bundle["text/plain"] == str(shell)


def test_executed_says_how_it_failed_and_is_bounded() -> None:
    failed = executed(("ls", "-l", "a b"), "", f"no {HOSTILE} {SECRET}")
    html = harmless(executed_forms(failed).bundle()["text/html"])
    assert "✗ <b>no &lt;img" in html and "it wrote nothing" in html
    assert "<b>ls -l &#x27;a b&#x27;</b>" in html and "its config.json is that of run first" in html
    long = executed_forms(executed(("/bin/sh", "-c", "x" * 9000), "line\n" * 50_000)).bundle()["text/html"]
    assert f"[{9000 - MAX_COMMAND:,} more characters]" in long and "49,700 lines are not shown here" in long
    assert len(long) < 100_000
    cut = dataclasses.replace(executed(("make it",), f"half of {SECRET[:4]}\n{SECRET[4:]}\n"), left_out=70_000)
    html = harmless(executed_forms(cut).bundle()["text/html"])
    assert "70,000 more bytes were not kept" in html and "<b>make it</b>" in html


# -- script -----------------------------------------------------------------------------------------------------------


def test_a_script_tells_what_it_asks_for_and_is_bounded() -> None:
    store = open_castore("memory:")
    outputs = [f"nix/store/{number}-{'x' * 100}" for number in range(200)]
    request = request_of(f"echo '{HOSTILE}'", outputs=outputs, environment_vars={"TOKEN": SECRET})
    maps = (IdMapping(container_id=0, host_id=100_000), IdMapping(container_id=1000, host_id=100_001))
    groups = (IdMapping(container_id=0, host_id=100_000), IdMapping(container_id=100, host_id=100_001))
    spec = render_spec(request, SpecOptions.tvix().replace(uid_mappings=maps, gid_mappings=groups))
    script = script_of("the-run", request, spec, store, REDACTOR)
    bundle = script_forms(script).bundle()
    html = harmless(bundle["text/html"])
    assert "asks for the values of TOKEN" in html and "#!/bin/sh" in html and bundle["text/plain"] == str(script)
    assert f"{len(script.text) - MAX_TEXT:,} more characters are not shown" in html and len(html) < 2 * MAX_TEXT


# -- processes --------------------------------------------------------------------------------------------------------


def test_processes_are_a_table_of_who_waits_for_what() -> None:
    def process(pid: int, parent: int, command: tuple[str, ...], doing: str) -> Process:
        return Process(pid, parent, "name", command, "S", doing, 2.0, 0.5, 4096, 1, "/build")

    tree = ProcessTree(
        "when time was up",
        0.0,
        (
            process(1, 0, ("make",), "waits for its child 2 (sh)"),
            process(2, 1, ("sh", f"{HOSTILE}\x1b[2J"), "sleeps"),
            *(process(pid, 2, (), "sleeps") for pid in range(3, 400)),
        ),
    )
    bundle = processes_forms(tree).bundle()
    html = harmless(bundle["text/html"])
    assert "399 processes, when time was up" in html and "199 more processes are not shown" in html
    assert 'waits for its child <span data-volatile="pid">2</span> (sh)' in html
    assert ' of <span data-volatile="pid">1</span></span>' in html and "sh &lt;img" in html
    assert "\x1b" not in html and bundle["text/plain"] == str(tree) and len(html) < 200_000
