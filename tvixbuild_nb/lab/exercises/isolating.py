"""Exercises about what keeps a sandbox apart: ids, mounts, capabilities."""

from __future__ import annotations

from collections.abc import Iterable

from tvixbuild_nb.lab.exercises.exercise import Exercise
from tvixbuild_nb.lab.exercises.looking import a_run, a_success, wrong
from tvixbuild_nb.oci import SpecOptions

_INSIDE = 1000
_PLACES = {
    "/": False,
    "/build": True,
    "/dev/shm": True,
    "/etc": False,
    "/nix/store": True,
    "/tmp": True,
    "/usr": False,
}


def _host_id(owner: object) -> str:
    options = SpecOptions.for_host()
    expected = options.host_id("uid", _INSIDE)
    if expected is None:
        raise wrong(
            "this host has no id maps, so there is no answer here",
            seen="; ".join(problem.message for problem in options.problems),
            look_at="doctor() says what it lacks",
        )
    if owner == _INSIDE:
        raise wrong(
            f"{_INSIDE} is the number inside",
            expected="the number that the same user has on the host",
            look_at='SpecOptions.for_host().host_id("uid", ...)',
        )
    if isinstance(owner, bool) or not isinstance(owner, int):
        raise wrong("this is no number", expected="a user id, as a number", seen=repr(owner))
    if owner != expected:
        raise wrong(
            "this is somebody else",
            expected=f"the id outside of {_INSIDE} inside",
            seen=str(owner),
            look_at="the table of id maps in sandbox.isolation()",
        )
    return "The file has one owner and two numbers for him, and names are told by whatever /etc/passwd is read."


def _writable(places: object) -> str:
    if isinstance(places, str) or not isinstance(places, Iterable) or not all(isinstance(each, str) for each in places):
        raise wrong("this is no set of paths", expected='{"/build", ...}', seen=repr(places))
    places = {place.rstrip("/") or "/" for place in places}
    strange = sorted(places - _PLACES.keys())
    if strange:
        raise wrong(f"{strange[0]} was not asked for", expected="some of " + ", ".join(_PLACES))
    wrongly = sorted(place for place in places if not _PLACES[place])
    if wrongly:
        raise wrong(
            f"a build cannot write to {wrongly[0]}",
            look_at=f'Sandbox("touch {wrongly[0].rstrip("/")}/file").run(): what does the kernel say?',
        )
    lacking = sum(_PLACES.values()) - len(places)
    if lacking:
        raise wrong(
            f"{lacking} more can be written to",
            look_at="sandbox.mount_table(): scratch paths are writable, and so are file systems in memory (tmpfs)",
        )
    return "Scratch paths and file systems in memory: what a build writes there ends with it, but for its outputs."


def _one_capability(run: object) -> str:
    done = a_run(run)
    spec = done.spec
    kept = () if spec is None else spec.process.capabilities.effective
    if not any("chown 0" in word for word in done.request.command_args):
        raise wrong("the command was changed", expected="a command that gives a file to root: chown 0")
    if not kept:
        raise wrong(
            "it has no capability at all",
            seen=str(done),
            look_at='options=SpecOptions.for_host(capabilities=["..."]); notebook 5 lists what each allows',
        )
    if not done.ok:
        raise wrong(
            f"{', '.join(kept)} does not help", seen=str(done), look_at="the name is almost that of the program"
        )
    if len(kept) > 1:
        raise wrong(f"{len(kept)} capabilities are more than it needs", expected="one", seen=", ".join(kept))
    a_success(done)
    return f"{kept[0]} is enough, and without a user namespace it would be a great deal: it gives away any file."


EXERCISES = (
    Exercise(
        name="host-id",
        question=f"Which number has the user {_INSIDE} of a sandbox on this host?",
        hint='SpecOptions.for_host() knows the id maps; its method host_id("uid", ...) looks a number up.',
        checks=(_host_id,),
        solution=f"""
from tvixbuild_nb import SpecOptions

owner = SpecOptions.for_host().host_id("uid", {_INSIDE})
""",
    ),
    Exercise(
        name="writable",
        question=f"To which of these can a build write: {', '.join(_PLACES)}?",
        hint="A mount table says of each row whether it is writable; a directory without a row of its own is in root/, "
        "which is read-only.",
        checks=(_writable,),
        solution="""
places = {"/build", "/dev/shm", "/nix/store", "/tmp"}
""",
    ),
    Exercise(
        name="one-capability",
        question="Give a build that must give a file to root the only capability that it needs.",
        hint='capabilities=["..."] of SpecOptions.for_host(), and the program is called chown.',
        checks=(_one_capability,),
        solution="""
from tvixbuild_nb import Sandbox, SpecOptions

mine = Sandbox(
    "touch /nix/store/file && chown 0 /nix/store/file",
    outputs=["nix/store/file"],
    options=SpecOptions.for_host(capabilities=["CHOWN"]),
)
run = mine.run()
""",
    ),
)
