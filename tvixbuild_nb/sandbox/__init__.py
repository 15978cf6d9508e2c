"""sandbox: the two objects most people use: Sandbox describes a build, Run watches and browses one."""

from tvixbuild_nb.sandbox.history import RunHistory, RunRow, runs
from tvixbuild_nb.sandbox.log import LogLine, RunLog
from tvixbuild_nb.sandbox.many import Many, ManyRow, build_many
from tvixbuild_nb.sandbox.run import Run
from tvixbuild_nb.sandbox.sandbox import Sandbox
from tvixbuild_nb.sandbox.trees import Inputs, Origin, Outputs, RunTree

__all__ = [
    "Inputs",
    "LogLine",
    "Many",
    "ManyRow",
    "Origin",
    "Outputs",
    "Run",
    "RunHistory",
    "RunLog",
    "RunRow",
    "RunTree",
    "Sandbox",
    "build_many",
    "runs",
]
