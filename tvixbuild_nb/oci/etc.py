"""The /etc of a sandbox: who the ids are, and what localhost is. Tvix leaves it empty."""

from __future__ import annotations

from tvixbuild_nb.oci.options import SpecOptions


def files(options: SpecOptions, working_dir: str) -> dict[str, bytes]:
    """Path inside -> contents of passwd, group and hosts; the names are those of Nix's sandbox."""
    uid, gid = options.user.uid, options.user.gid
    home = f"/{working_dir}"
    # A colon or a line break in the directory's name would make another field or line of it.
    if ":" in home or "\n" in home:
        home = "/"
    people = {0: "root:x:0:0:root", 65534: "nobody:x:65534:65534:Nobody"}
    people.setdefault(uid, f"nixbld:x:{uid}:{gid}:build user")
    groups = {0: "root:x:0:", 65534: "nogroup:x:65534:"}
    groups.setdefault(gid, f"nixbld:x:{gid}:")
    homes = {uid: home}
    passwd = [f"{people[number]}:{homes.get(number, '/')}:/bin/sh" for number in sorted(people)]
    names = "localhost" if options.hostname == "localhost" else f"localhost {options.hostname}"
    return {
        "/etc/passwd": _lines(passwd),
        "/etc/group": _lines([groups[number] for number in sorted(groups)]),
        "/etc/hosts": _lines([f"127.0.0.1 {names}", f"::1 {names}"]),
    }


def _lines(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
