"""What workers tell of a build, written into the run's record here: in order, and nothing twice."""

from __future__ import annotations

import time

from tvixbuild_nb.build.events import StageEvent, recorded_event
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.build.workers.job import Answer, LogTold, Message
from tvixbuild_nb.keeper.log import STREAMS, LogWriter, StreamName


class Arriving:
    """The record's log and stages of one build, fed from messages that may be lost and an answer that has it all.

    A build that is done again begins its log anew below a line that says so.
    """

    def __init__(self, context: BuildContext) -> None:
        self._context = context
        self._log = LogWriter(str(context.record.log_path), str(context.record.index_path))
        self._stages = 0
        self._taken = 0

    def take(self, message: Message) -> None:
        """A stage or a chunk of the log; what does not follow what there is waits for the answer."""
        if message["told"] == "stage" and message["number"] == self._stages:
            self._stage(message["event"])
        elif message["told"] == "log":
            self._chunk(LogTold(message["time"], message["stream"], message["offset"], message["data"]))

    def again(self, words: str) -> None:
        """What was told so far is of a worker that is lost."""
        self.say(words)
        self._stages = self._taken = 0

    def say(self, words: str) -> None:
        """A line of ours in the log."""
        self._write("stderr", f"[{words}]\n".encode(), time.time())

    def finish(self, answer: Answer) -> None:
        """All that was not told before."""
        number = 0
        for event in answer.events:
            if isinstance(event, LogTold):
                if answer.left_out and event.offset > self._taken:
                    self.say(f"{event.offset - self._taken} bytes of the log stayed on the worker")
                    self._taken = event.offset
                self._chunk(event)
                continue
            if number == self._stages:
                self._stage(event.event)
            number += 1

    def close(self) -> None:
        self._log.close()

    def _stage(self, text: str) -> None:
        event = recorded_event.validate_json(text)
        self._stages += 1
        if isinstance(event, StageEvent):
            self._context.retell(event.model_copy(update={"log_offset": self._log.size}))

    def _chunk(self, chunk: LogTold) -> None:
        known = self._taken - chunk.offset
        if 0 <= known < len(chunk.data):
            self._write(chunk.stream, chunk.data[known:], chunk.time)
            self._taken = chunk.offset + len(chunk.data)

    def _write(self, stream: StreamName, data: bytes, when: float) -> None:
        self._log.write(STREAMS.index(stream), data, when)
        self._context.log_size = self._log.size
