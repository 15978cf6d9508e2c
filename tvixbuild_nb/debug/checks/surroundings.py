"""What the sandbox is on purpose and a build did not expect: read-only, homeless, offline, few ids, small."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts

_PATH = re.compile(r"(/[^\s'\":,;)]+)")
_NETWORK = r"Could not resolve host|bad address '|Network is unreachable|[Nn]ame resolution|Name or service not known"


def surroundings(facts: Facts) -> Iterator[Finding]:
    """Findings from what a build that ran said about the sandbox around it, checked against the mount view."""
    if facts.result.failed_at not in ("build", "output"):
        return
    for check in (_homeless, _read_only, _network, _ids, _space, _open_files):
        yield from check(facts)


def _homeless(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(r"/homeless-shelter")[:1]:
        cure = f'sb.env["HOME"] = "/{_scratch(facts)}"'
        cause = "HOME is /homeless-shelter, which is not there on purpose: builds have no home directory"
        yield Finding(cause, (line,), cure, "certain")


def _read_only(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(r"Read-only file system")[:1]:
        evidence = [line]
        path = _PATH.search(line.text)
        writable = () if facts.view is None else facts.view.writable()
        if writable:
            evidence.append(Evidence("mount", f"writable are {', '.join(writable)}"))
        what = path[1] if path else "a path"
        directory = what.strip("/").rpartition("/")[0] or what.strip("/")
        cure = f'sb.scratch_paths = (*sb.scratch_paths, "{directory}")  # or write below /{_scratch(facts)}'
        if path is None or path[1].count("/") < 2:
            cure = f"write below /{_scratch(facts)}: sb.working_dir, and no absolute paths elsewhere in the command"
        yield Finding(
            f"{what} is not below a scratch path, and the rest is read-only", tuple(evidence), cure, "certain"
        )


def _network(facts: Facts) -> Iterator[Finding]:
    constraints = facts.request.constraints
    for line, _ in facts.lines(_NETWORK)[:1]:
        if constraints is None or not constraints.network_access:
            cause, sure = "the sandbox has no network: it has a network namespace of its own", True
            cure = 'sb.network_access = True  # or fetch beforehand: sb.add_input("source", ...)'
        else:
            cause, sure = "the sandbox has the host's network, and names were not resolved in it", False
            cure = "look at /etc/resolv.conf of the host: a nameserver on 127.0.0.53 must answer inside, too"
        yield Finding(cause, (line,), cure, "certain" if sure else "possible")


def _ids(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(r"ch(?:own|grp)\b.*: Invalid argument|\b65534\b|nobody:nogroup|nobody +nogroup")[:1]:
        evidence = [line]
        if facts.view is not None:
            options = facts.view.options
            for kind, maps in (("user", options.uid_mappings), ("group", options.gid_mappings)):
                ranges = [f"{one.container_id} to {one.container_id + one.size - 1}" for one in maps]
                evidence.append(Evidence("mount", f"{kind} ids inside: {', '.join(ranges) or 'not mapped'}"))
        sure = "Invalid argument" in line.text
        cause = (
            "an owner is asked for that the id maps do not have" if sure else "a file's owner is outside the id maps"
        )
        cure = "leave owners alone in the command (tar --no-same-owner, cp without -a): a store keeps none"
        yield Finding(cause, tuple(evidence), cure, "certain" if sure else "possible")


def _space(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(r"No space left on device")[:1]:
        path = next((one for one in _PATH.findall(line.text) if not one.startswith("/bin/")), None)
        place = "the disk below the bundle, or a small tmpfs of the sandbox (/dev/shm has 64 MB)"
        evidence = [line]
        if path is not None:
            place = next((name for name in ("/dev/shm", "/dev", "/tmp") if f"{path}/".startswith(f"{name}/")), "")
            place = f"{place} (a tmpfs)" if place else "the disk below the bundle"
            evidence.append(Evidence("mount", f"{path} is on {place}"))
        tmpfs = "tmpfs)" in place and path is not None
        cure = f'sb.env["TMPDIR"] = "/{_scratch(facts)}"' if tmpfs else 'sb.run(builder="oci:/PATH/ON/A/BIGGER/DISK")'
        if not tmpfs:
            cure = 'sb = Sandbox(..., builder="oci:/path/on/a/bigger/disk")  # or free space below the bundle root'
        yield Finding(f"no space is left on {place}", tuple(evidence), cure, "certain" if path else "likely")


def _open_files(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(r"[Tt]oo many open files")[:1]:
        limits = [] if facts.view is None else facts.view.options.rlimits
        figures = [limit.soft for limit in limits if limit.type == "RLIMIT_NOFILE"]
        evidence = (line, *(Evidence("usage", f"RLIMIT_NOFILE is {figure}") for figure in figures))
        cause = f"a process had {figures[0] if figures else 'all the'} files open that the sandbox allows"
        cure = 'sb.options = SpecOptions.for_host(rlimits={"NOFILE": 65536})'
        yield Finding(cause, evidence, cure, "certain")


def _scratch(facts: Facts) -> str:
    paths = facts.request.scratch_paths
    return "build" if "build" in paths else (paths[0] if paths else "tmp")
