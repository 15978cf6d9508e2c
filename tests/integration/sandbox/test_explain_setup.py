"""run.explain() where the sandbox could not be set up: hosts and configurations broken in one way, with real runtimes.

And runtimes that only say what hosts say that cannot be had here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.users import AsUser
from support.wordings import SEEN, WORDINGS
from tvixbuild_nb import Sandbox, SpecOptions
from tvixbuild_nb.castore import open_castore

pytestmark = pytest.mark.integration

ALLOWS_OTHER = "printf 'user_allow_other\\n' > /run/f.$$; mount --bind /run/f.$$ /etc/fuse.conf; rm /run/f.$$"
WITHOUT_FUSE = """
dev=/run/dev.$$; mkdir $dev; mount -t tmpfs none $dev
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty $dev/
mkdir -m 1777 $dev/shm; mkdir $dev/pts; ln -s /proc/self/fd $dev/fd
mount -t devpts -o newinstance,ptmxmode=0666 devpts $dev/pts; ln -s pts/ptmx $dev/ptmx
mount --move $dev /dev; rmdir $dev
"""
NO_MORE_NAMESPACES = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
CODE = """
import json, os, sys
from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import OCIBuildService
namespaces, inputs, path = json.loads(sys.argv[1])
os.environ["PATH"] = path
sandbox = Sandbox("true", builder=OCIBuildService(namespaces=namespaces))
sandbox.add_input("src", b"input")
run = sandbox.run(show=False, check=False, inputs=inputs)
print(json.dumps([run.result.verdict(), run.explain().to_dict(), str(run)]))
"""
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
NO_SETUID = """
for tool in newuidmap newgidmap; do
  cp /usr/bin/$tool /run/$tool.$$; chmod 755 /run/$tool.$$; mount --bind /run/$tool.$$ /usr/bin/$tool; rm /run/$tool.$$
done
"""
CLOSED_FUSE = (
    "mknod /run/fuse.$$ c 10 229; chmod 600 /run/fuse.$$; mount --bind /run/fuse.$$ /dev/fuse; rm /run/fuse.$$"
)


@pytest.mark.parametrize(
    ("before", "wrap", "asked", "cause", "cure"),
    [
        ("", ["setpriv", "--no-new-privs"], (True, "auto", PATH), "no_new_privs is set", "allowPrivilegeEscalation"),
        (NO_SETUID, [], (False, "auto", PATH), "lack their setuid bit", "chmod u+s"),
        ("", [], (False, "auto", "/usr/sbin:/sbin"), "and they are not installed", "install uidmap"),
        ("mount -t tmpfs none /proc/sys", [], (True, "auto", PATH), "parts of /proc outside are masked", "unconfined"),
        ("", [], (False, "fuse", PATH), "only where /etc/fuse.conf allows it", "sed -i"),
        (CLOSED_FUSE, [], (True, "fuse", PATH), "/dev/fuse is closed", "chmod 0666 /dev/fuse"),
        (WITHOUT_FUSE, [], (True, "fuse", PATH), "there is no /dev/fuse", "--device /dev/fuse"),
        (
            ALLOWS_OTHER,
            ["setpriv", "--no-new-privs"],
            (False, "fuse", PATH),
            "takes fusermount's setuid bit away",
            "allowPrivilegeEscalation",
        ),
        (
            "",
            ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", NO_MORE_NAMESPACES, "sh"],
            (False, "auto", PATH),
            "the limit on user namespaces",
            "max_user_namespaces",
        ),
    ],
    ids=["no-new-privs", "setuid", "uidmap", "proc", "allow-other", "fuse", "no-fuse", "fusermount", "limit"],
)
def test_a_user_where_the_host_lacks_one_thing(
    as_user: AsUser, before: str, wrap: list[str], asked: tuple[bool, str, str], cause: str, cure: str
) -> None:
    done = as_user([as_user.python, "-c", CODE, json.dumps(asked)], before=before, wrap=wrap)
    assert done.returncode == 0, done.stderr[-3000:]
    verdict, found, told = json.loads(done.stdout)
    first = found["findings"][0]
    assert verdict.startswith("failed at setup") and cause in first["cause"] and cure in first["cure"], found
    assert first["confidence"] == "certain" and first["evidence"] and f"hint: {first['cause']}" in told
    # What only follows from it is no second cause.
    assert all(one["confidence"] == "possible" for one in found["findings"][1:]), found


SAYS = """#!/bin/sh
while [ $# -gt 0 ]; do case $1 in --log) log=$2; shift ;; run) op=run ;; esac; shift; done
[ "$op" = run ] || exit 0
cat "${0%/*}/words" > "$log"
exit 1
"""


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_every_text_of_a_runtime_that_does_not_set_up(tmp_path: Path, runtime: str) -> None:
    """The real path from a runtime's log to the finding, for hosts that cannot be had here."""
    program, words = tmp_path / runtime, tmp_path / "words"
    program.write_text(SAYS)
    program.chmod(0o755)
    sandbox = Sandbox("true", store=open_castore("memory:"), runtime=str(program))
    for line, told, stage in [*SEEN, *WORDINGS]:
        if stage not in ("setup", "exec") or line.startswith(("error: ", "       Reason")):
            continue  # of those that Nix says none comes from a runtime
        words.write_text(json.dumps({"level": "error", "msg": line}) + "\n")
        run = sandbox.run(show=False, check=False, keep="never")
        found = run.explain()
        assert found, line
        first = found.findings[0]
        assert told.lower() in f"{first.cause} {first.cure}".lower() and line.strip() in str(first), str(found)
        assert run.failed_at in ("setup", "exec") and first.confidence != "possible" or "lines above" in first.cause
        run.delete()
    # What stands above the last words counts.
    said = ["nsexec-0[7]: mapping tool not present: x", "runc run failed: can't get final child's PID from pipe: EOF"]
    words.write_text("".join(json.dumps({"level": "fatal", "msg": line}) + "\n" for line in said))
    run = sandbox.run(show=False, check=False)
    (first,) = run.explain()
    assert "not installed" in first.cause and first.confidence == "certain"
    assert [one.kind for one in first.evidence] == ["file"]
    run.delete()


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_limit_above_what_the_kernel_allows(runtime: str) -> None:
    options = SpecOptions.for_host(rlimits={"NOFILE": 1 << 40})
    run = Sandbox("true", store=open_castore("memory:"), runtime=runtime, options=options).run(show=False, check=False)
    (found,) = run.explain()
    assert run.failed_at == "setup" and "above this process's hard limit" in found.cause and found.lines
    run.delete()


# A runtime that breaks the configuration in one way, and then is the real one.
BREAKS = """#!{python}
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
arguments = sys.argv[1:]
if "run" in arguments or "create" in arguments:
    place = arguments[arguments.index("--bundle") + 1] if "--bundle" in arguments else os.getcwd()
    with open(place + "/config.json") as file:
        config = json.load(file)
    with open(here + "/change") as file:
        exec(file.read(), {{"config": config, "bundle": place, "os": os}})
    with open(place + "/config.json", "w") as file:
        json.dump(config, file)
os.execvp("{runtime}", ["{runtime}", *arguments])
"""
USER = "config['process']['user']['uid'] = 4242"
NO_MAPS = "config['linux']['uidMappings'] = []; config['linux']['gidMappings'] = []"
TERMINAL = "config['process']['terminal'] = True"
CGROUP = "config['linux']['cgroupsPath'] = '/none'"
MEMORY = "config['linux']['resources'] = {'memory': {'limit': 1 << 26}}"
GROUP = "[each['options'].append('gid=5') for each in config['mounts'] if each['type'] == 'devpts']"
SYSFS = """
config['mounts'] = [each for each in config['mounts'] if each['destination'] != '/sys']
config['mounts'].append({'destination': '/sys', 'type': 'sysfs', 'source': 'sysfs', 'options': ['ro']})
config['linux']['namespaces'] = [each for each in config['linux']['namespaces'] if each['type'] != 'network']
"""
NO_NAMESPACE = """
config['linux']['namespaces'] = [each for each in config['linux']['namespaces'] if each['type'] != 'user']
del config['linux']['uidMappings'], config['linux']['gidMappings']
"""
CLOSED = "os.chmod(bundle + '/root', 0)"
OPTIONS = "[each.update(options=['bind', 'ro']) for each in config['mounts'] if 'src' in each['destination']]"
NO_POINT = "os.rmdir(bundle + '/root/sys')"
CLOSED_ABOVE = "os.chmod(bundle, 0o700)"
RANGE = "config['linux']['uidMappings'][-1]['hostID'] = 900000"
# runtime, namespaces of the keeper's own, what is broken, a word of the cause
BROKEN = [
    ("runc", False, GROUP, "gid=5"),
    ("runc", False, SYSFS, "a fresh sysfs needs"),
    ("runc", False, NO_NAMESPACE, "a config.json without a user namespace"),
    ("runc", False, CGROUP, "may not make cgroups there"),
    ("runc", False, MEMORY, "a limit needs a cgroup"),
    ("runc", False, CLOSED, "is closed (0700)"),
    ("runc", False, RANGE, "/etc/subuid gives this account no range"),
    ("runc", True, OPTIONS, "has to keep the nosuid and nodev"),
    ("runc", True, RANGE, "not in this namespace at all"),
    ("runc", True, GROUP, "gid=5"),
    ("crun", True, GROUP, "gid=5"),
    ("crun", True, NO_MAPS, "process.user names an id"),
    ("crun", True, RANGE, "the kernel takes these id maps from nobody"),
]
MANY = """
import json, os, sys
from pathlib import Path
from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import OCIBuildService
for runtime, namespaces, change, cause in json.loads(sys.argv[1]):
    Path("change").write_text(change)
    service = OCIBuildService(namespaces=namespaces, runtime=os.path.abspath(runtime))
    sandbox = Sandbox("true", builder=service)
    sandbox.add_input("src", b"input")
    run = sandbox.run(show=False, check=False)
    print(json.dumps([cause, run.result.verdict(), run.explain().to_dict()]))
    service.close()
"""


def _broken(place: Path, runtime: str, python: str = sys.executable) -> str:
    program = place / runtime
    program.write_text(BREAKS.format(python=python, runtime=shutil.which(runtime, path=PATH)))
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("runtime", "change", "cause"),
    [
        ("runc", USER, "process.user names an id"),
        ("crun", USER, "process.user names an id"),
        ("runc", NO_MAPS, "holds no id maps"),
        ("runc", TERMINAL, "process.terminal is true"),
        ("crun", TERMINAL, "process.terminal is true"),
    ],
)
def test_a_configuration_that_is_broken_in_one_way(tmp_path: Path, runtime: str, change: str, cause: str) -> None:
    (tmp_path / "change").write_text(change)
    run = Sandbox("true", store=open_castore("memory:"), runtime=_broken(tmp_path, runtime)).run(
        show=False, check=False
    )
    found = run.explain()
    assert run.failed_at == "setup" and found.first is not None, str(found)
    assert cause in found.first.cause and found.first.confidence == "certain" and len(found) == 1, str(found)
    run.delete()


@pytest.mark.parametrize("runtime", ["runc", "crun"])
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (NO_POINT, "a mount point was not made beforehand"),
        (CLOSED, "is closed (0700)"),
        (CLOSED_ABOVE, "is closed (0700)"),
        (GROUP, "gid=5"),
    ],
    ids=["mount-point", "closed-root", "closed-bundle", "gid"],
)
def test_what_the_containers_root_may_not_do_when_root_made_the_bundle(
    root: None, tmp_path: Path, runtime: str, change: str, cause: str
) -> None:
    (tmp_path / "change").write_text(change)
    run = Sandbox("true", store=open_castore("memory:"), runtime=_broken(tmp_path, runtime)).run(
        show=False, check=False
    )
    found = run.explain()
    assert run.failed_at == "setup" and len(found) == 1 and cause in found.findings[0].cause, str(found)
    assert found.findings[0].confidence == "certain" and found.findings[0].evidence
    run.delete()


def test_crun_on_a_host_with_both_versions_of_cgroups(as_user: AsUser) -> None:
    _broken(as_user.home, "crun", as_user.python)
    done = as_user([as_user.python, "-c", MANY, json.dumps([("crun", False, "", "")])], check=True)
    _, verdict, found = json.loads(done.stdout)
    hybrid = os.path.ismount("/sys/fs/cgroup/unified") and os.path.ismount("/sys/fs/cgroup/memory")
    if hybrid:
        first = found["findings"][0]
        assert "crun refuses hosts that mount cgroups of version 1 and 2" in first["cause"], found
        assert first["confidence"] == "certain" and "use runc" in first["cure"]
    else:
        assert verdict.startswith("succeeded") and not found["findings"], (verdict, found)


def test_configurations_that_somebody_who_is_not_root_cannot_have(as_user: AsUser) -> None:
    place = as_user.home / "broken"
    place.mkdir()
    for name in ("runc", "crun"):
        _broken(place, name, as_user.python)
    shutil.chown(place, as_user.user.uid, as_user.user.gid)
    done = as_user([as_user.python, "-c", MANY, json.dumps(BROKEN)], cwd=place)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(BROKEN), done.stderr[-3000:]
    for cause, verdict, found in told:
        assert found["findings"], (cause, verdict)
        first, *others = found["findings"]
        assert verdict.startswith("failed at setup") and cause in first["cause"], (verdict, found)
        assert first["confidence"] == "certain" and first["evidence"], found
        assert all(one["confidence"] == "possible" or "newuidmap" in str(one) for one in others), found


OTHER_PROC = """
echo $(($(cat /proc/sys/kernel/pid_max) - 5000)) > /proc/sys/kernel/ns_last_pid || true
exec "$@"
"""


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_proc_of_another_pid_namespace(root: None, tmp_path: Path, runtime: str) -> None:
    program = [sys.executable, "-c", MANY, json.dumps([(shutil.which(runtime, path=PATH), False, "", "")])]
    inside = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", OTHER_PROC, "sh", *program]
    done = subprocess.run(inside, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    _, verdict, found = json.loads(done.stdout)
    first = found["findings"][0]
    assert verdict.startswith("failed at setup") and "/proc belongs to another pid namespace" in first["cause"], found
    assert first["confidence"] == "certain" and "mount -t proc" in first["cure"]
