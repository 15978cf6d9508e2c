"""A build service that builds nothing: the seam for tests of everything above."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tvixbuild_nb.build.events import FailedAt, Status, Stream
from tvixbuild_nb.build.recorded import RunHost
from tvixbuild_nb.build.result import BuildOutput, BuildResult, Usage
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.castore.castore import Castore, open_castore
from tvixbuild_nb.castore.nodes import Node
from tvixbuild_nb.errors import Cancelled, OutputError
from tvixbuild_nb.keeper.log import STREAMS, LogWriter
from tvixbuild_nb.request import BuildRequest

Script = Callable[[BuildRequest, "DummyBuild"], Mapping[str, Node]]


class DummyBuild:
    """What a script may do: print, wait (cancellably), and store nodes in ``castore``."""

    def __init__(self, castore: Castore, context: BuildContext, log: LogWriter) -> None:
        self.castore = castore
        self._context = context
        self._log = log

    def print(self, data: bytes | str, stream: Stream = "stdout") -> None:
        """Write to the build's log."""
        data = data.encode() if isinstance(data, str) else data
        self._log.write(STREAMS.index(stream), data, time.time())
        self._context.log_size = self._log.size

    def sleep(self, seconds: float) -> None:
        """Wait; :class:`Cancelled` as soon as the build is cancelled."""
        self._context.cancel.wait(seconds)
        self._context.cancel.check()


class DummyBuildService:
    """Runs a Python ``script`` in place of every build; without one, each build fails and says why.

    The script gets the request and a :class:`DummyBuild` and returns the outputs' nodes by path.
    """

    def __init__(self, castore: Castore | None = None, script: Script | None = None) -> None:
        self._castore = castore if castore is not None else open_castore("memory:")
        self._script = script

    @property
    def address(self) -> str:
        return "dummy:"

    @property
    def castore(self) -> Castore:
        return self._castore

    def close(self) -> None:
        """Nothing is held."""

    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        """See :class:`BuildService`; nothing is started."""
        started = time.time()
        context.take_down(request)
        context.record.write_host(RunHost.here())
        context.accept()
        log = LogWriter(str(context.record.log_path), str(context.record.index_path))
        outputs: tuple[BuildOutput, ...] = ()
        status: Status = "succeeded"
        failed_at: FailedAt | None = None
        message: str | None = None
        try:
            with context.stage("run"):
                nodes = self._run(request, DummyBuild(self._castore, context, log))
            missing = [path for path in request.outputs if path not in nodes]
            if missing:
                status, failed_at, message = "failed", "output", f"missing outputs: {', '.join(missing)}"
            else:
                outputs = tuple(BuildOutput(path=path, node=nodes[path]) for path in request.outputs)
                if context.check is not None:
                    context.check(request, outputs)
        except OutputError as refused:
            status, failed_at, message = "failed", "output", refused.message
        except Cancelled as cancelled:
            status, message = "cancelled", cancelled.message
        except NoScript as refused:
            status, failed_at, message = "failed", "setup", str(refused)
        finally:
            log.close()
        context.log_size = log.size
        result = BuildResult(
            id=context.record.id,
            request_digest=request.digest,
            service=self.address,
            status=status,
            failed_at=failed_at,
            exit_code=0 if status == "succeeded" else None,
            message=message,
            outputs=outputs if status == "succeeded" else (),
            rejected=outputs if failed_at == "output" else (),
            store=self._castore.address,
            started=started,
            finished=time.time(),
            timings=dict(context.timings),
            usage=Usage(wall=time.time() - started, source="the dummy service runs no process"),
            log_size=log.size,
        )
        return context.end(result)

    def _run(self, request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        if self._script is None:
            raise NoScript("the dummy build service builds nothing; give it a script, or use oci:")
        return self._script(request, build)


class NoScript(Exception):
    """The service was asked to build but has nothing to do it with."""
