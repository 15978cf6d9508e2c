"""What %sandbox can do: one function for each verb, which takes the rest of the line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from IPython.core.error import UsageError

from tvixbuild_nb.build import doctor
from tvixbuild_nb.castore import Tree
from tvixbuild_nb.lab.magics.session import DEFAULT, Session
from tvixbuild_nb.lab.magics.words import Words, pair, seconds, split
from tvixbuild_nb.request.model import did_you_mean
from tvixbuild_nb.sandbox import Sandbox


class Verb(NamedTuple):
    """``usage`` is what stands behind ``%sandbox``; what ``act`` returns is shown."""

    usage: str
    what: str
    act: Callable[[Session, str], Any]


def act(session: Session, line: str) -> Any:
    """Do what a line says; :class:`UsageError` names the nearest verb of one that does not exist."""
    verb, _, rest = line.strip().partition(" ")
    if not verb:
        return session.sandbox()
    if verb not in VERBS:
        raise UsageError(f"%sandbox knows no {verb!r}; {did_you_mean(verb, VERBS)} (%sandbox help lists all)")
    return VERBS[verb].act(session, rest.strip())


def _new(session: Session, line: str) -> Sandbox:
    asked = _words("new")
    asked.add_argument("name", nargs="?", default=DEFAULT)
    asked.add_argument("--input", type=pair, action="append", default=[])
    asked.add_argument("--output", action="append", default=[])
    asked.add_argument("--env", type=pair, action="append", default=[])
    asked.add_argument("--command", default="true")
    asked.add_argument("--network", action="store_true")
    found = asked.read(line)
    if not found.name.isidentifier():
        raise UsageError(f"{found.name!r} cannot be a variable's name")
    sandbox = Sandbox(
        found.command, outputs=found.output, env=dict(found.env), inputs=_inputs(session, found.input),
        network_access=found.network,
    )  # fmt: skip
    session.add(found.name, sandbox)
    return sandbox


def _inputs(session: Session, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Name -> what a variable of the notebook has (bytes, a Tree), else a path."""
    found = {}
    for name, text in pairs:
        value = session.names.get(text)
        found[name] = value if isinstance(value, bytes | Tree) else os.path.expanduser(text)
    return found


def _use(session: Session, line: str) -> Sandbox:
    asked = _words("use")
    asked.add_argument("name")
    return session.use(asked.read(line).name)


def _input(session: Session, line: str) -> Sandbox:
    asked = _words("input")
    asked.add_argument("pairs", type=pair, nargs="+")
    sandbox = session.sandbox()
    for name, value in _inputs(session, asked.read(line).pairs).items():
        sandbox.add_input(name, value)
    return sandbox


def _env(session: Session, line: str) -> str | None:
    asked = _words("env")
    asked.add_argument("pairs", type=pair, nargs="*")
    sandbox = session.sandbox()
    pairs = asked.read(line).pairs
    if pairs:
        sandbox.env = {**sandbox.env, **dict(pairs)}
        return None
    for name, value in sorted(sandbox.env.items()):
        print(sandbox.redactor.text(f"{name}={os.fsdecode(value)}"))
    return None


def _run(session: Session, line: str) -> Any:
    asked = _words("run")
    asked.add_argument("--timeout", type=seconds)
    asked.add_argument("--to")
    found = asked.read(line)
    return session.keep(session.sandbox().run(timeout=found.timeout), found.to)


def _ls(session: Session, line: str) -> Any:
    asked = _words("ls")
    asked.add_argument("path", nargs="?", default="")
    path = asked.read(line).path.strip("/")
    if not path:
        print("\n".join(session.run().outputs) or "no outputs")
        return None
    return _at(session, path)


def _cat(session: Session, line: str) -> None:
    asked = _words("cat")
    asked.add_argument("path")
    found = _at(session, asked.read(line).path.strip("/"))
    if not found.is_file():
        raise UsageError(f"{found} is a {found.kind}; %sandbox ls shows it")
    print(session.run().redactor.text(found.read_text(errors="replace")), end="")


def trees(session: Session) -> dict[str, Tree]:
    """Path inside (without the first slash) -> outputs of the last run, and inputs."""
    run = session.run()
    below = run.request.inputs_dir
    inputs = {f"{below}/{name}".lstrip("/"): tree for name, tree in run.inputs.items()}
    return {**inputs, **dict(run.outputs)}


def _at(session: Session, path: str) -> Tree:
    there = trees(session)
    for root, tree in there.items():
        if path == root:
            return tree
        if path.startswith(f"{root}/") and (found := tree / path[len(root) + 1 :]).exists():
            return found
    raise UsageError(f"no {path} among the outputs and inputs of the last run; {did_you_mean(path, there)}")


def _exec(session: Session, line: str) -> Any:
    if not line:
        raise UsageError(f"usage: %sandbox {VERBS['exec'].usage}")
    run = session.run()
    # Without what it left the command is at the start of one like it.
    return run.exec(line, fresh=run.bundle is None and not run.running)


def _diff(session: Session, line: str) -> Any:
    asked = _words("diff")
    asked.add_argument("name", nargs="?")
    name = asked.read(line).name
    if name is not None:
        other = session.named(name).last_run
        if other is None:
            raise UsageError(f"{name} has not run yet")
        return session.run().diff(other)
    history = session.sandbox().history()
    if len(history) < 2:
        raise UsageError("a difference takes two runs of this sandbox, or the name of another sandbox")
    return history[-2].diff(history[-1])


def _help(session: Session, line: str) -> None:
    verbs: Mapping[str, Verb] = VERBS
    if line:
        (word, *_) = split(line)
        if word not in verbs:
            raise UsageError(f"%sandbox knows no {word!r}; {did_you_mean(word, verbs)}")
        verbs = {word: verbs[word]}
    width = max(len(verb.usage) for verb in verbs.values())
    for verb in verbs.values():
        print(f"%sandbox {verb.usage:{width}}  {verb.what}")
    print("%%sandbox" + " " * width + "  the rest of the cell is a script that runs in the sandbox")


def _simple(get: Callable[[Session], Any]) -> Callable[[Session, str], Any]:
    def act(session: Session, line: str) -> Any:
        if line:
            raise UsageError(f"nothing was expected behind it, not {line!r}")
        return get(session)

    return act


def _words(verb: str) -> Words:
    return Words(f"%sandbox {VERBS[verb].usage}")


VERBS: dict[str, Verb] = {
    verb.usage.partition(" ")[0]: verb
    for verb in (
        Verb("new [NAME] [--input N=PATH] [--output PATH] [--env K=V] [--command TEXT] [--network]", "make one", _new),
        Verb("use NAME", "mean this one from now on", _use),
        Verb("input NAME=PATH", "give it an input: a path, or a variable with bytes or a tree", _input),
        Verb("env [K=V]", "set variables, or list them", _env),
        Verb("mounts", "what its process will see as mounts", _simple(lambda s: s.sandbox().mount_table())),
        Verb("config", "its config.json", _simple(lambda s: s.sandbox().spec)),
        Verb("preview", "config.json, each part explained", _simple(lambda s: s.sandbox().preview())),
        Verb("run [--timeout SECONDS] [--to NAME]", "run its command", _run),
        Verb("log", "the log of its last run", _simple(lambda s: s.run().log)),
        Verb("ls [PATH]", "its outputs and what is in them", _ls),
        Verb("cat PATH", "a file of an output", _cat),
        Verb("explain", "why its last run failed", _simple(lambda s: s.run().explain())),
        Verb("exec COMMAND", "a command in the sandbox of its last run", _exec),
        Verb("diff [NAME]", "its last two runs beside one another, or another sandbox's", _diff),
        Verb("doctor", "whether builds can run here", _simple(lambda s: doctor())),
        Verb("help [VERB]", "this list", _help),
    )
}
