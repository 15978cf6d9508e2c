"""Which shell somebody gets who enters a sandbox, and how it begins; phases of stdenv are run up to one of them."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvixbuild_nb.debug.inside import MountView
from tvixbuild_nb.errors import InvalidValue, NotFound
from tvixbuild_nb.oci import recover_options

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.entering import Entrance
    from tvixbuild_nb.sandbox.run import Run

SHELLS = ("bash", "sh", "ash", "dash")
_PHASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class ShellPlan:
    """``program`` inside, and ``prelude``: what it executes before anybody may say something, or None."""

    program: str
    prelude: str | None = None

    @property
    def interactive(self) -> tuple[str, ...]:
        """The arguments for a terminal."""
        if self.prelude is None:
            return (self.program,)
        # A process substitution leaves no file behind.
        begin = 'exec "$BASH" --rcfile <(printf %s "$1") -i'
        return (self.program, "-c", begin, self.program, f"{self.prelude}\n{_PROMPT}")

    @property
    def reading(self) -> tuple[str, ...]:
        """The arguments for commands that come on standard input."""
        if self.prelude is None:
            return (self.program, "-s")
        return (self.program, "-c", _READ_ALL, self.program, self.prelude)


# A pipe of the caller's cannot be opened again by the sandbox's user, only read.
_READ_ALL = 'eval "$1"; IFS= read -r -d "" __tvixbuild_said || :; eval "$__tvixbuild_said"'
_PROMPT = "case ${PS1-} in *'\\\\s'*) PS1='\\w \\$ ';; esac"


def shell_for(sandbox: Entrance, phase: str | None) -> ShellPlan:
    """The shell of ``sandbox``: its builder when that is one, /bin/sh, one of an input, the tools' own.

    ``phase``: a bash that has sourced stdenv's setup and run all phases before this one. :class:`InvalidValue` when
    there is no such shell, when ``phase`` is no name, or nothing here is of stdenv.
    """
    if phase is None:
        found = next(_shells(sandbox), None)
        if found is None and sandbox.tools is not None:
            found = sandbox.tools.shell
        if found is None:
            raise InvalidValue(
                "no shell was found in this sandbox", path="shell", hint='run.shell(tools=["bash"]) brings one'
            )
        return ShellPlan(found)
    _check_phase(sandbox.run, phase)
    bash = next((path for path in _shells(sandbox) if os.path.basename(path) == "bash"), None)
    if bash is None:
        raise InvalidValue("the phases of stdenv need the build's bash, which was not found", path="phase")
    return ShellPlan(bash, _up_to(phase))


def words_of(sandbox: Entrance, command: Sequence[str] | str) -> tuple[str, ...]:
    """Program and arguments; a text is for the first shell there is. :class:`InvalidValue` when there is none."""
    if not isinstance(command, str):
        return tuple(command)
    return (shell_for(sandbox, None).program, "-c", command)


def _check_phase(run: Run, phase: str) -> None:
    if not _PHASE.match(phase):
        raise InvalidValue(f"{phase!r} is no name of a phase", path="phase", hint="such as buildPhase")
    request = run.request
    if "stdenv" not in request.environment_vars and "build/.attrs.sh" not in request.additional_files:
        raise InvalidValue(
            "this build has no stdenv, and so no phases", path="phase", hint="run.shell() enters it as it is"
        )


def _shells(sandbox: Entrance) -> Iterator[str]:
    request = sandbox.request
    view = MountView(request, recover_options(request, sandbox.spec), sandbox.run.castore)
    places = [sandbox.run.request.command_args[0], "/bin/bash", "/bin/sh"]
    places += [f"/{request.input_path(name)}/bin/{shell}" for shell in SHELLS for name in request.inputs]
    for path in places:
        if os.path.basename(path) in SHELLS and _starts(view, path):
            yield path


def _starts(view: MountView, path: str) -> bool:
    """Whether ``path`` is there to be executed, as far as can be told from outside."""
    try:
        entry = view.resolve(path)
    except NotFound:
        return False
    return entry.kind == "unknown" or (entry.kind == "file" and bool(entry.executable))


def _up_to(phase: str) -> str:
    """Bash that sources stdenv's setup, runs the phases before ``phase``, and goes on with what they left behind.

    They run in a subshell, so that one that fails, or ends the shell, does not end this one; its variables,
    functions, options and directory are taken over, whatever the version of stdenv. Nothing is left in a file.
    """
    names = " ".join(f'"${{!{letter}@}}"' for letter in string.ascii_letters + "_")
    return _SCRIPT.replace("@phase@", phase).replace("@names@", names)


# What is sourced knows nothing of this: the names begin as nobody else's do. compgen is missing in the bash of builds.
_SCRIPT = r"""
__tvixbuild_state=$(
  exec 8>&1 1>&2
  __tvixbuild_keep() {
    local status=$? name attributes
    trap - EXIT
    set +eux
    if [ -n "${__tvixbuild_said-}" ]; then
      echo "$__tvixbuild_said" >&2
    elif [ "$status" != 0 ]; then
      echo "${curPhase:-the setup} ended with status $status; this is the state it left" >&2
    else
      echo "there is no @phase@ here, or it is skipped; everything else was run" >&2
    fi
    for name in @names@; do
      case $name in
        __tvixbuild_*|BASH_*|BASHPID|FUNCNAME|PIPESTATUS|RANDOM|SECONDS|LINENO|SRANDOM|EPOCH*) continue;;
      esac
      attributes=$(declare -p "$name" 2>/dev/null) || continue
      attributes=${attributes#declare -}; attributes=${attributes%% *}
      case $attributes in *r*) continue;; esac
      declare -p "$name" >&8
    done
    declare -f >&8
    shopt -p >&8
    printf 'cd %q\n' "$PWD" >&8
    exit 0
  }
  __tvixbuild_stop() {
    if [ -n "${__tvixbuild_own+x}" ]; then @phase@=$__tvixbuild_own; else unset @phase@; fi
    __tvixbuild_said="stopped before @phase@; go on with: runPhase @phase@"
    declare -F runPhase >/dev/null || __tvixbuild_said='stopped before @phase@; go on with: eval "${@phase@:-@phase@}"'
    exit 0
  }
  __tvixbuild_begin() {
    trap __tvixbuild_keep EXIT
    if [ -n "${buildCommand-}${buildCommandPath-}" ]; then
      __tvixbuild_said="the build is one buildCommand without phases; setup is sourced"
    elif ! declare -F genericBuild >/dev/null; then
      __tvixbuild_said="its setup has no genericBuild; it is sourced"
    else
      if [ -n "${@phase@+x}" ]; then __tvixbuild_own=$@phase@; fi
      @phase@=__tvixbuild_stop
      genericBuild
      # Nobody stopped it: what was put in place of the phase goes again.
      if [ -n "${__tvixbuild_own+x}" ]; then @phase@=$__tvixbuild_own; else unset @phase@; fi
    fi
  }
  trap __tvixbuild_keep EXIT
  set -e
  if [ -e "${NIX_ATTRS_SH_FILE:-/build/.attrs.sh}" ]; then source "${NIX_ATTRS_SH_FILE:-/build/.attrs.sh}"; fi
  source "$stdenv/setup"
  __tvixbuild_begin
)
eval "$__tvixbuild_state"
unset __tvixbuild_state
unset -f __tvixbuild_keep __tvixbuild_stop __tvixbuild_begin 2>/dev/null
set +eu +o pipefail
"""
