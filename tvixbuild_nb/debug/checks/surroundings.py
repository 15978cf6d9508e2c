"""What the sandbox is on purpose and a build did not expect: read-only, homeless, offline, few ids, small."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from tvixbuild_nb.build.known import words
from tvixbuild_nb.debug.cures import scratch
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts
from tvixbuild_nb.debug.inside import MountView

_RESOLVER = "/etc/resolv.conf"
_MOST_OF_RESOLVER = 1 << 16
_CERTIFICATES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE")
_PATH = re.compile(r"(/[^\s'\":,;)\]]+)")
# An apostrophe within a word opens no quotation: "can't create 'x'".
_QUOTED = re.compile(r"(?<!\w)['‘\"]([^'’\"]+)['’\"]")
# Somebody minds whom a file belongs to; or lists it, which may have nothing to do with the failure.
_FOREIGN = r"owned by (?:uid |user )?(?:65534|nobody)|[Bb]ad owner(?:ship)? (?:or|and) (?:permissions|modes)"
_LISTED = r"^[-dlbcps][rwxsStT-]{9}\S* +\d+ +(?:65534|nobody)\b"
_OWNED = rf"{words.OWNERS}|{_FOREIGN}|{_LISTED}"


def surroundings(facts: Facts) -> Iterator[Finding]:
    """Findings from what a build that ran said about the sandbox around it, checked against the mount view."""
    if facts.result.failed_at not in ("build", "output"):
        yield from _full_host(facts)
        return
    for check in (_homeless, _read_only, _closed, _network, _certificates, _ids, _space, _processes, _open_files):
        yield from check(facts)


def _homeless(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(words.NO_HOME)[:1]:
        cure = facts.cures.variable("HOME", f"/{scratch(facts.request)}")
        cause = "HOME is /homeless-shelter, which is not there on purpose: builds have no home directory"
        yield Finding(cause, (line,), cure, "certain")


def _read_only(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(words.READ_ONLY):
        if re.search(words.NO_HOME, line.text):
            continue
        found = _PATH.search(line.text.partition(": ")[2] or line.text)
        path = None if found is None else posixpath.normpath(found[1])
        evidence = [line]
        writable = () if facts.view is None else facts.view.writable()
        if writable:
            evidence.append(Evidence("mount", f"writable are {', '.join(writable)}"))
        quoted = _QUOTED.findall(line.text)
        cause = f"{path or (quoted[-1] if quoted else 'a path')} is not below a scratch path, and the rest is read-only"
        cure = _writing(facts, path)
        if path is not None and path.lstrip("/") in facts.request.scratch_paths:
            cause = f"{path} is a scratch directory and mounted: it can be emptied, not removed or renamed"
            cure = f"# in the command: work on what is in {path}, not on itself"
        yield Finding(cause, tuple(evidence), cure, "certain")
        return


def _writing(facts: Facts, path: str | None) -> str:
    request = facts.request
    below = f"/{scratch(request)}"
    inputs = [f"/{request.input_path(name)}" for name in request.inputs]
    within = next((one for one in inputs if path is not None and f"{path}/".startswith(f"{one}/")), None)
    if within is not None:
        copy = f"{below}/{posixpath.basename(within)}"
        return f"# inputs are read-only; in the command: cp -r --no-preserve=mode {within} {copy}, and write there"
    parent = "" if path is None else posixpath.dirname(path).strip("/")
    if path is not None and not parent and facts.view is not None and facts.view.resolve(path).kind == "missing":
        # Something new at the root, which was to become a directory.
        parent = path.strip("/")
    # What the sandbox itself has there would be hidden.
    hidden = path is None or parent.partition("/")[0] in ("", "etc", "dev", "proc", "sys", "bin")
    return facts.cures.writable(None if hidden else parent)


def _closed(facts: Facts) -> Iterator[Finding]:
    """An input that may not be looked into, although the modes of all inputs are open: then its view is closed."""
    if facts.view is None:
        return
    inputs = {f"/{facts.request.input_path(name)}" for name in facts.request.inputs}
    for line, match in facts.lines(words.CLOSED):
        mount = facts.view.mount_of(match["path"])
        if mount is not None and mount.destination in inputs:
            held = Evidence("mount", f"{match['path']} is in the input at {mount.destination}")
            cause = "the view of the inputs is closed to the build's user: FUSE mounted without allow_other"
            yield Finding(cause, (line, held), facts.cures.checkout(), "likely")
            return


def _network(facts: Facts) -> Iterator[Finding]:
    constraints = facts.request.constraints
    alone = constraints is None or not constraints.network_access
    for line, _ in facts.lines(words.NO_NETWORK)[:1]:
        if alone:
            cause = "the sandbox has no network: it has a network namespace of its own"
            cure = facts.cures.network('fetch beforehand: sb.add_input("source", ...)')
            yield Finding(cause, (line,), cure, "certain")
        else:
            yield _unresolved(facts, line)
        return
    for line, _ in facts.lines(words.LOOPBACK)[:1]:
        if alone:
            cause = "the sandbox has a loopback of its own, where no server of the host listens"
            cure = facts.cures.network("start the server in the command")
            yield Finding(cause, (line,), cure, "likely")


def _unresolved(facts: Facts, line: Evidence) -> Finding:
    cause = "the sandbox has the host's network, and names were not resolved, or nobody answered, there"
    cure = f"# look at {_RESOLVER} of the host: a nameserver on 127.0.0.53 must answer inside, too; and try it outside"
    told = None if facts.view is None else _resolver(facts.view)
    if told is None:
        return Finding(cause, (line,), cure, "likely")
    return Finding(cause, (line, Evidence("file", f"{_RESOLVER} inside {told}")), cure, "likely")


def _resolver(view: MountView) -> str | None:
    """What is wrong with resolv.conf inside, in words; None when it names somebody to ask, or cannot be read."""
    entry = view.resolve(_RESOLVER)
    if entry.kind == "missing":
        return "is not there"
    file = view.open(entry)
    if file is None:
        return None
    with file:
        return None if re.search(rb"(?m)^\s*nameserver\s+\S", file.read(_MOST_OF_RESOLVER)) else "names no nameserver"


def _certificates(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(words.NO_CERTIFICATES)[:1]:
        told = (Evidence("file", f"{variable} is not set in the build's environment") for variable in _CERTIFICATES
                if variable not in facts.request.environment_vars)  # fmt: skip
        cause = "the file with the certificate authorities is not in the sandbox"
        yield Finding(cause, (line, *told), facts.cures.certificates(), "likely")
        return


def _ids(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(_OWNED)[:1]:
        evidence = [line]
        if facts.view is not None:
            options = facts.view.options
            for kind, maps in (("user", options.uid_mappings), ("group", options.gid_mappings)):
                ranges = [f"{one.container_id} to {one.container_id + one.size - 1}" for one in maps]
                evidence.append(Evidence("mount", f"{kind} ids inside: {', '.join(ranges) or 'not mapped'}"))
        if re.search(words.OWNERS, line.text):
            cause = "an owner is asked for that the id maps do not have"
            cure = "leave owners alone in the command (tar --no-same-owner, cp without -a): a store keeps none"
            yield Finding(cause, tuple(evidence), cure, "certain")
            return
        cause = "a file's owner is outside the id maps: inputs belong to nobody (65534) inside"
        cure = f"# in the command: cp -r --no-preserve=mode,ownership FILE /{scratch(facts.request)}, and use the copy"
        yield Finding(cause, tuple(evidence), cure, "likely" if re.search(_FOREIGN, line.text) else "possible")


def _space(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(words.NO_SPACE)[:1]:
        path, sure = _filled(line.text)
        if path is None or facts.view is None:
            place, tmpfs = "the disk below the bundle, or a small tmpfs of the sandbox (/dev/shm has 64 MB)", False
            evidence = [line]
        else:
            inside = path if path.startswith("/") else f"/{facts.request.working_dir}/{path}"
            mount = facts.view.mount_of(inside)
            tmpfs = mount is not None and mount.type == "tmpfs"
            size = next((one for one in (mount.options or ()) if one.startswith("size=")), "") if mount else ""
            place = "the disk below the bundle"
            if mount is not None:
                place = (
                    f"{mount.destination} ({f'a tmpfs, {size}'.rstrip(', ') if tmpfs else 'the disk below the bundle'})"
                )
            evidence = [line, Evidence("mount", f"{inside} is on {place}")]
        cure = facts.cures.variable("TMPDIR", f"/{scratch(facts.request)}") if tmpfs else facts.cures.disk()
        yield Finding(f"no space is left on {place}", tuple(evidence), cure, "certain" if sure else "likely")


def _full_host(facts: Facts) -> Iterator[Finding]:
    """The disk of the bundle, or of the store, was full before or after the command; not a limit on namespaces."""
    said = next((line for line in (facts.result.message or "").split("\n") if re.search(words.NO_SPACE, line)), None)
    if said is None or re.search(r"namespace|unshare|clone|fork/exec", said):
        return
    path, _ = _filled(said)
    what = "store or the bundles" if facts.result.failed_at == "ingest" else "bundles"
    where = f"the disk of {posixpath.dirname(path)}" if path else f"the disk of the {what}"
    cure = f"# free space there, or take another place (the store: store=, --store):\n{facts.cures.disk()}"
    yield Finding(f"no space is left on {where}", (Evidence("verdict", said.strip()),), cure, "certain")


def _filled(text: str) -> tuple[str | None, bool]:
    """The path that could not be written, and whether it is surely that: an absolute one, else what stands quoted."""
    said = re.split(words.NO_SPACE, text)
    for part in (said[0].partition(": ")[2] or said[0], said[-1]):
        paths = _PATH.findall(part)
        if paths:
            return str(paths[-1]), True
        quoted = _QUOTED.findall(part)
        if quoted:
            return str(quoted[-1]), False
    return None, False


def _processes(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(words.NO_FORK)[:1]:
        limits = None if facts.view is None else facts.view.options.limits
        most = None if limits is None else limits.pids
        evidence = (line,) if most is None else (line, Evidence("usage", f"the limit of processes is {most}"))
        cause = "as many processes and threads run as may (limits.pids, or RLIMIT_NPROC)"
        more = facts.cures.limit("pids", max(4096, 4 * (most or 0)), "or fewer jobs at a time")
        yield Finding(cause, evidence, more, "likely")


def _open_files(facts: Facts) -> Iterator[Finding]:
    for line, _ in facts.lines(words.OPEN_FILES)[:1]:
        limits = [] if facts.view is None else facts.view.options.rlimits
        figures = [limit.soft for limit in limits if limit.type == "RLIMIT_NOFILE"]
        evidence = (line, *(Evidence("usage", f"RLIMIT_NOFILE is {figure}") for figure in figures))
        cause = f"a process had {figures[0] if figures else 'all the'} files open that the sandbox allows"
        yield Finding(cause, evidence, facts.cures.more_files(figures[0] if figures else 0), "certain")
