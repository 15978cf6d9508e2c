"""The shell's part of a script that reproduces a run: everything up to where the archive with the bundle begins."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tvixbuild_nb.oci import scratch_name, scratch_of
from tvixbuild_nb.oci.plan import BundlePlan

SHELL = "shell"
TIDY = "tidy"

_TEXT = r"""#!/bin/sh
# Reproduces run {run} of tvixbuild-nb with plain runc. Needs: sh, tar, gzip, sed, awk, runc; Linux with user
# namespaces, as root or as a user with subordinate ids (newuidmap). {network}
# It unpacks in $TMPDIR or /tmp, which root's builds must be able to walk to, and leaves nothing there.
# Outputs are copied to ./{outputs}, which must not exist; the exit status is that of the command.
# Not as in the run: inputs are files beside the configuration instead of a FUSE view, no cgroup of their own{terminal}.
# shellcheck disable=SC2317  # what traps call is called
set -eu
umask 022
{secrets}results=$PWD/{outputs}
if [ -e "$results" ]; then echo "$results is there already" >&2; exit 2; fi
for program in tar gzip sed awk runc; do
  command -v "$program" >/dev/null || {{ echo "$program is missing" >&2; exit 2; }}
done
bundle='' container='' running='' untidy=''
# In the background: a shell heeds signals while it waits, not while a program runs.
run() {{
  container=$2
  (cd "$1" && exec runc --root "$bundle/state" run --bundle "$1" "$2") </dev/null &
  running=$!
  wait "$running" && status=0 || status=$?
  running=''
}}
stop() {{
  runc --root "$bundle/state" delete -f "$container" 2>/dev/null || :
  kill -KILL "$running" 2>/dev/null || :
  wait "$running" 2>/dev/null || :
  runc --root "$bundle/state" delete -f "$container" 2>/dev/null || :
  running=''
}}
# What a user's build made belongs to subordinate ids: only something with the same id maps can hand it over.
tidy() {{
  if [ -n "$untidy" ]; then untidy=''; run "$bundle/{tidy}" "tvixbuild-tidy-$$"; fi
}}
clean() {{
  trap '' HUP INT TERM
  if [ -z "$bundle" ]; then return; fi
  if [ -n "$running" ]; then stop; fi
  tidy
  chmod -R u+rwX "$bundle" 2>/dev/null || :
  rm -rf "$bundle" || echo "$bundle could not be removed" >&2
}}
trap clean EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
bundle=$(mktemp -d "${{TMPDIR:-/tmp}}/tvixbuild-XXXXXXXXXX")
bundle=$(cd "$bundle" && pwd)
chmod 711 "$bundle"
tail -n +{skip} "$0" | gzip -dc | tar -xpf - -C "$bundle"
if [ "$(id -u)" = 0 ]; then
  u0={root_u0} u1={root_u1} g0={root_g0} g1={root_g1}
{chown}else
  me=$(id -un) u0=$(id -u) g0=$(id -g)
  u1=$(awk -F: -v me="$me" -v id="$u0" '$1 == me || $1 == id {{ print $2; exit }}' /etc/subuid)
  g1=$(awk -F: -v me="$me" -v id="$u0" '$1 == me || $1 == id {{ print $2; exit }}' /etc/subgid)
  if [ -z "$u1" ] || [ -z "$g1" ]; then
    echo "no subordinate ids: usermod --add-subuids 165536-231071 --add-subgids 165536-231071 $me" >&2; exit 2
  fi
fi
configure() {{
  sed -e "s/@U0@/$u0/; s/@U1@/$u1/; s/@G0@/$g0/; s/@G1@/$g1/"{expressions} "$1/config.in" > "$1/config.json"
}}
configure "$bundle"
if [ "$(id -u)" != 0 ] && [ -e "$bundle/{tidy}" ]; then configure "$bundle/{tidy}"; untidy=yes; fi
run "$bundle" "tvixbuild-$$"
ended=$status
tidy
# Of an output: its scratch directory, the path below that, what it is called, the name of the copy. No link on the
# way is followed.
copy() {{
  at=$1 rest=$2
  while [ "${{rest#*/}}" != "$rest" ]; do
    at=$at/${{rest%%/*}} rest=${{rest#*/}}
    if [ -L "$at" ]; then echo "a symlink leads to the output $3" >&2; return; fi
  done
  if [ -e "$at/$rest" ] || [ -L "$at/$rest" ]; then
    mkdir -p "$results"
    cp -dR "$at/$rest" "$results/$4"
  else
    echo "there is no output $3" >&2
  fi
}}
{copies}exit "$ended"
"""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is another one in each script.

    ``secrets``: names of variables that it asks for; ``ids``: those that root takes, by ``u0``, ``u1``, ``g0``,
    ``g1``; ``owner``: the shell's words for uid and gid of the build's user.
    """

    run: str
    plan: BundlePlan
    secrets: tuple[str, ...]
    ids: Mapping[str, int]
    owner: tuple[str, str]


def text_of(parts: Parts) -> str:
    """The script, its last line ended: the archive is to begin right behind it."""
    constraints = parts.plan.request.constraints
    owner = ":".join(parts.owner)
    fields: dict[str, object] = {
        "run": parts.run,
        "network": "It has "
        + ("the network of its surroundings." if constraints and constraints.network_access else "no network."),
        "terminal": ", no terminal" if parts.plan.options.terminal else "",
        "outputs": f"outputs-{parts.run}",
        "secrets": "".join(_asking(parts.secrets)),
        "expressions": "".join(f' -e "s/@S{index}@/$s{index}/"' for index in range(len(parts.secrets))),
        "chown": "".join(f'  chown -h "{owner}" "$bundle"/{shlex.quote(path)}\n' for path in parts.plan.owned),
        "copies": "".join(_copies(parts.plan)),
        "tidy": TIDY,
        **{f"root_{name}": number for name, number in parts.ids.items()},
    }
    lines = _TEXT.format(skip=0, **fields).count("\n")
    return _TEXT.format(skip=lines + 1, **fields)


def _asking(secrets: tuple[str, ...]) -> Iterator[str]:
    for name in secrets:
        yield f': "${{{name}:?is a secret of the run and not in this script}}"\n'
    for index, name in enumerate(secrets):
        yield f"s{index}=$(printf %s \"${name}\" | sed -e 's/[\\\\\"]/\\\\&/g' -e 's/[\\\\/&]/\\\\&/g')\n"


def _copies(plan: BundlePlan) -> Iterator[str]:
    taken: set[str] = set()
    for index, output in enumerate(plan.request.outputs):
        held = scratch_of(output, plan.request.scratch_paths)
        assert held is not None, "a request's outputs lie below its scratch paths"
        name = output.replace("/", "-")
        if name in taken:
            name = f"{name}-{index}"
        taken.add(name)
        words = " ".join(map(shlex.quote, (held[1], output, name)))
        yield f'copy "$bundle"/scratch/{scratch_name(held[0])} {words}\n'
