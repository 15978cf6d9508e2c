"""The commands that take a request: what it becomes, and the build itself."""

from __future__ import annotations

import argparse

from tvixbuild_nb.cli.parsers.commands import Commands, count, seconds


def add_requests(commands: Commands) -> None:
    config = commands.add(
        "config", "requests:config", "print the config.json that a request becomes", "request", "json"
    )
    config.add_argument(
        "--explain",
        action="store_true",
        help="say of every part what it does, who asked for it, where it is specified, what would be without it",
    )
    config.add_argument("--tvix", action="store_true", help="exactly as Tvix renders it, nothing of this host in it")
    form = config.add_mutually_exclusive_group()
    form.add_argument("--rootless", dest="rootless", action="store_true", default=True, help="the default")
    form.add_argument(
        "--root", dest="rootless", action="store_false", help="without user namespace: to compare, never run"
    )
    config.add_argument("--sandbox-shell", metavar="PATH", help="static shell of the host to stand at /bin/sh")
    commands.add("mounts", "requests:mounts", "print what gets mounted in a request's sandbox", "request", "json")
    run = commands.add(
        "run", "runs:run", "build a request; the live log goes to standard error",
        "request", "json", "store", "builder",
        more="Exit status 0 when the build succeeded, 1 when it did not, 2 when it was refused and nothing started.",
    )  # fmt: skip
    add_policy(run)
    many = commands.add(
        "run-many", "many:run_many", "build several requests together; what becomes of them goes to standard error",
        "json", "store", "builder",
        more="The same request twice is built once. Exit status as of run: 1 when one did not succeed.",
    )  # fmt: skip
    many.add_argument("requests", metavar="REQUEST", nargs="+", help="file with a build request as protobuf-JSON")
    many.add_argument(
        "--jobs", type=count, metavar="N", help="how many at once, as many as the build service runs unless given"
    )
    add_policy(many)
    check = commands.add(
        "check", "checking:check", "build a request several times in other surroundings and compare the outputs",
        "request", "json", "store", "builder",
        more="When they differ, more runs find out what does it and where it began. Exit status: 0 the same, 1 not, "
        "or the build failed.",
    )  # fmt: skip
    check.add_argument("-n", dest="count", metavar="N", type=int, default=3, help="how many runs, 3 unless given")
    check.add_argument(
        "--vary", metavar="NAMES", type=lambda text: text.split(",") if text else [],
        help="what to vary, with commas between: hostname, timezone, locale, order, cores; all unless given",
    )  # fmt: skip
    minimize = commands.add(
        "minimize", "checking:minimize", "find the inputs of a request that its build does without",
        "request", "json", "store", "builder",
        more="What it looks at in one run tells which; runs without them prove it.",
    )  # fmt: skip
    minimize.add_argument("-o", dest="output", metavar="FILE", help="write the smaller request here")
    for parser in (check, minimize):
        parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="end each run after that time")
        parser.add_argument("--runtime", metavar="NAME", help="runc (default), crun, or a path")


def add_policy(run: argparse.ArgumentParser) -> None:
    """How to build, as opposed to what."""
    run.add_argument("--timeout", type=seconds, metavar="SECONDS", help="end the command after that time")
    run.add_argument(
        "--silent-timeout", type=seconds, metavar="SECONDS",
        help="end it when it writes nothing for that time; `tvixbuild-nb processes RUN` tells who waited for what",
    )  # fmt: skip
    run.add_argument(
        "--keep",
        choices=("failure", "always", "never"),
        default="failure",
        help="which bundles stay, failure unless given",
    )
    run.add_argument("--inputs", choices=("auto", "fuse", "checkout"), default="auto", help="how inputs get inside")
    run.add_argument("--strict", action="store_true", help="refuse rather than do without something")
    run.add_argument("--observe", action="store_true", help="record what the container looks like before it starts")
    run.add_argument("--no-trace", dest="trace", action="store_false", help="do not record what is read of the inputs")
    run.add_argument("--runtime", metavar="NAME", help="runc (default), crun, or a path")
