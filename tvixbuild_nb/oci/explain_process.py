"""What is said about the configuration as a whole, its root, and the process."""

from __future__ import annotations

from tvixbuild_nb.oci.explanation import Place, Reference, Rule
from tvixbuild_nb.oci.meanings import CAPABILITIES, CAPABILITY_SETS, RLIMITS

_CONFIG = "config.md"
_TOP = Reference(_CONFIG, "Configuration", "configuration")
_VERSION = Reference(_CONFIG, "Specification version", "configSpecificationVersion")
_ROOT = Reference(_CONFIG, "Root", "configRoot")
_PROCESS = Reference(_CONFIG, "Process", "configProcess")
_POSIX = Reference(_CONFIG, "POSIX process", "configPOSIXProcess")
_LINUX = Reference(_CONFIG, "Linux Process", "configLinuxProcess")
_USER = Reference(_CONFIG, "POSIX-platform User", "configPOSIXUser")
_HOSTNAME = Reference(_CONFIG, "Hostname", "configHostname")
_ANNOTATIONS = Reference(_CONFIG, "Annotations", "configAnnotations")

_TVIX = "default, as Tvix has it"


def _argument(place: Place) -> str:
    if place.index == 0:
        return "the program that is executed: a path inside, or a name looked for on the PATH of env"
    return f"argument {place.index} of the program"


def _lost_argument(place: Place) -> str:
    return "there would be nothing to run" if place.index == 0 else "the program would be called without it"


def _variable(place: Place) -> str:
    return f"the environment variable {place.value.partition('=')[0]}"


def _who_asked_for_variable(place: Place) -> str:
    return f"environment_vars[{place.value.partition('=')[0]!r}]"


def _capabilities(place: Place) -> str:
    if place.options.capabilities is not None:
        return "options.capabilities"
    return "default, as Tvix has it" + (" in a user namespace" if place.options.rootless else " without user namespace")


def _capability(place: Place) -> str:
    return f"the right to {CAPABILITIES.get(place.value, 'do what it names')}, within the sandbox's namespaces"


def _lost_capability(place: Place) -> str:
    return f"the build could not {CAPABILITIES.get(place.value, 'do that')}"


def _limited(place: Place) -> str:
    kind = place.config["process"]["rlimits"][int(place.keys[2])]["type"]
    return RLIMITS.get(kind, "the resource named by type")


def _user_origin(place: Place) -> str:
    return place.origin("user")


PROCESS_RULES: dict[str, Rule] = {
    "": Rule(
        "the whole configuration: the runtime makes a container of it and runs one process inside",
        "the request and the options", _TOP, "a bundle without config.json cannot be run",
    ),
    "/ociVersion": Rule(
        "the version of the runtime-spec that this configuration follows", _TVIX, _VERSION,
        "the runtime would refuse: it must know how to read the rest",
    ),
    "/root": Rule(
        "the file system on which everything else is mounted", _TVIX, _ROOT, "there would be no place to mount anything"
    ),
    "/root/path": Rule(
        "the directory in the bundle that becomes / inside; it holds mount points and /etc, nothing else", _TVIX, _ROOT,
        "the runtime would refuse",
    ),
    "/root/readonly": Rule(
        "whether / itself is read-only: only scratch paths, /tmp and /dev can be written to", _TVIX, _ROOT,
        "the build could write anywhere, and what it wrote there would be lost",
    ),
    "/hostname": Rule(
        "the host name inside; it needs the uts namespace", lambda place: place.origin("hostname"), _HOSTNAME,
        "the build would see another name on every host, and could put it into its outputs",
    ),
    "/annotations": Rule(
        "notes for other tools, none here; they change nothing inside", _TVIX, _ANNOTATIONS, "nothing"
    ),
    "/process": Rule("what is run, as whom, and what it may do", "the request", _PROCESS, "nothing would be run"),
    "/process/terminal": Rule(
        "whether the process gets a terminal of its own instead of pipes", lambda place: place.origin("terminal"),
        _PROCESS, "the runtime takes false",
    ),
    "/process/user": Rule(
        "the ids of the process, as they are inside", _user_origin, _USER, "the build would run as root of its sandbox"
    ),
    "/process/user/uid": Rule(
        "the user id inside; outside it is what uidMappings make of it", _user_origin, _USER,
        "the build would run as root of its sandbox",
    ),
    "/process/user/gid": Rule(
        "the group id inside; outside it is what gidMappings make of it", _user_origin, _USER,
        "the build would run in root's group",
    ),
    "/process/args": Rule("the command, word by word: no shell splits it", "command_args", _POSIX, "nothing to run"),
    "/process/args/*": Rule(
        _argument, lambda place: f"command_args[{place.index}]", _POSIX, _lost_argument
    ),
    "/process/env": Rule(
        "the environment of the process, and all of it: nothing of the host's comes in", "environment_vars", _POSIX,
        "the process would have no variable at all",
    ),
    "/process/env/*": Rule(_variable, _who_asked_for_variable, _POSIX, "the variable would not be set"),
    "/process/cwd": Rule(
        "the directory the process starts in", "working_dir", _PROCESS, "the runtime would refuse: it must be absolute"
    ),
    "/process/capabilities": Rule(
        "which of root's powers the process has; each counts in the sandbox's namespaces only", _capabilities, _LINUX,
        "the process would have none",
    ),
    **{
        f"/process/capabilities/{name}": Rule(
            f"the {name} set: {what}", _capabilities, _LINUX, f"the set would be empty: {without}"
        )
        for name, (what, without) in CAPABILITY_SETS.items()
    },
    **{
        f"/process/capabilities/{name}/*": Rule(_capability, _capabilities, _LINUX, _lost_capability)
        for name in CAPABILITY_SETS
    },
    "/process/rlimits": Rule(
        "limits of each process", lambda place: place.origin("rlimits"), _POSIX, "the limits of whoever runs it"
    ),
    "/process/rlimits/*": Rule(
        lambda place: f"limits {_limited(place)}", lambda place: place.origin("rlimits"), _POSIX,
        "the limit of whoever runs it would stand, which differs from host to host",
    ),
    "/process/rlimits/*/type": Rule(
        lambda place: f"which limit: {_limited(place)}", lambda place: place.origin("rlimits"), _POSIX,
        "the runtime would refuse",
    ),
    "/process/rlimits/*/hard": Rule(
        "how far the process itself may raise the limit", lambda place: place.origin("rlimits"), _POSIX,
        "the runtime would refuse",
    ),
    "/process/rlimits/*/soft": Rule(
        "the limit in force", lambda place: place.origin("rlimits"), _POSIX, "the runtime would refuse"
    ),
    "/process/noNewPrivileges": Rule(
        "executing a file never gives more rights: set-user-id programs run with the rights of who starts them",
        lambda place: place.origin("no_new_privileges"), _LINUX,
        "a set-user-id program in an input could give the build other ids",
    ),
}  # fmt: skip
