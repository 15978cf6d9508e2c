"""Exercises about limits."""

from __future__ import annotations

from tvixbuild_nb.lab.exercises.exercise import Exercise
from tvixbuild_nb.lab.exercises.looking import a_run, wrong

_SIGKILL = 9


def _killed(run: object) -> str:
    done = a_run(run)
    spec = done.spec
    memory = None if spec is None else spec.linux.resources.memory
    if memory is None:
        raise wrong(
            "nothing limits this run's memory",
            expected="a limit on memory in config.json, below linux.resources",
            look_at='Sandbox(..., options=SpecOptions.for_host(limits={"memory": 16 << 20}))',
        )
    if done.ok and done.usage is not None and done.usage.oom_kills:
        raise wrong(
            "a process was killed for lack of memory, and the command went on and succeeded",
            expected="a run that the kill ends",
            look_at="the command's last words: a shell ends as its last program does",
        )
    if done.ok:
        raise wrong(
            f"the run succeeded within its {memory.limit:,} bytes",
            seen=str(done.usage),
            look_at="a command that takes more: `tail /dev/zero` keeps what it reads, a line without an end",
        )
    kills = None if done.usage is None else done.usage.oom_kills
    if kills:
        return (
            f"{kills} killed for lack of memory: the kernel counted that in the sandbox's cgroup. "
            "The exit status alone proves nothing, anybody may send SIGKILL."
        )
    if kills is None and (done.signal == _SIGKILL or done.exit_code == 128 + _SIGKILL):
        return "Killed, as far as it can be known: this host does not count who was killed for lack of memory."
    raise wrong(
        "the run failed, but nothing in it was killed for lack of memory",
        seen=str(done),
        look_at="run.usage.oom_kills counts such kills; run.explain() says what ended it instead",
    )


EXERCISES = (
    Exercise(
        name="limits-memory",
        question="Make a run that the kernel ends since it takes more memory than it may.",
        hint='SpecOptions.for_host(limits={"memory": ...}) is where the limit goes, in bytes. `tail /dev/zero` looks '
        "for the end of a line that never ends, and keeps all of it in memory.",
        checks=(_killed,),
        solution="""
from tvixbuild_nb import Sandbox, SpecOptions

options = SpecOptions.for_host(limits={"memory": 16 << 20})
run = Sandbox("tail /dev/zero", options=options).run(timeout=60)
""",
    ),
)
