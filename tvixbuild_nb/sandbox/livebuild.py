"""A build that goes on in a thread of this process, and the stop button while somebody awaits it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from tvixbuild_nb.build import BuildContext, BuildResult, BuildService
from tvixbuild_nb.request import BuildRequest


class LiveBuild:
    """The thread that runs one build for a Run of this process."""

    def __init__(self, service: BuildService, request: BuildRequest, context: BuildContext) -> None:
        self.context = context
        self.future: Future[BuildResult] = Future()
        self.done = threading.Event()
        self._service = service
        self._request = request
        self._refused: BaseException | None = None

    def begin(self) -> None:
        """Start, and return once the request was accepted; raises what refused it."""
        # A daemon: when the interpreter ends, the build ends with it, by the keeper's hand.
        threading.Thread(target=self._build, name=f"build {self.context.record.id}", daemon=True).start()
        try:
            self.context.accepted.wait()
        except BaseException:
            # Interrupted before anybody has the run to cancel it.
            self.context.cancel.cancel()
            raise
        if self._refused is not None:
            self.context.record.delete()
            raise self._refused

    def _build(self) -> None:
        try:
            with self.context.record.held():
                result = self._service.do_build(self._request, self.context)
            self.future.set_result(result)
        except BaseException as error:
            if self.context.accepted.is_set():
                self.future.set_exception(error)
            else:
                self._refused = error
        finally:
            self.done.set()
            self.context.accepted.set()

    @property
    def result(self) -> BuildResult | None:
        """What the service returned, or None."""
        return self.future.result() if self.future.done() and self.future.exception() is None else None

    def wait(self, timeout: float | None) -> None:
        """Until it is over; what the service raised unexpectedly is raised here."""
        try:
            self.future.result(timeout)
        except TimeoutError:
            if not self.done.is_set():
                raise TimeoutError(f"run {self.context.record.id} is not over after {timeout} s") from None
            raise


@contextlib.contextmanager
def interrupt_cancels(cancel: Callable[[], None]) -> Iterator[None]:
    """While awaiting at a notebook's top level, the stop button (SIGINT) calls ``cancel``.

    Nobody else would: the event loop is idle, and what other handlers do reaches the waiting task only
    when something else wakes the loop. The handler before is restored in any case.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: cancel())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
