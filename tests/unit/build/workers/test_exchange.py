"""Lines to workers on this host: who is told to end, who cannot be reached, who only pretends."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from multiprocessing.connection import Client
from typing import Any

from tvixbuild_nb.build import CancelToken
from tvixbuild_nb.build.workers.exchange import SocketExchange


def asked(exchange: SocketExchange, job: str) -> bool:
    """Whether a worker that takes ``job`` now is told to end it."""
    cancel = CancelToken()
    voice = exchange.line.open(job)
    voice.obey(cancel)
    told = cancel.wait(3 if job == "unwanted" else 0.3)
    voice.close()
    return told


def test_a_job_that_nobody_waits_for_any_more_is_told_to_end() -> None:
    exchange = SocketExchange()
    for job in ("wanted", "unwanted"):
        exchange.hear(job, lambda message: None)
    exchange.forget("unwanted")
    assert asked(exchange, "unwanted") and not asked(exchange, "wanted")
    exchange.close()


def test_a_job_whose_owner_is_gone_is_ended_and_one_of_elsewhere_goes_on() -> None:
    exchange = SocketExchange()
    line = exchange.line
    exchange.close()
    assert asked(exchange, "unwanted")
    elsewhere = CancelToken()
    voice = type(line)(line.address, line.key, "another place").open("job")
    voice.obey(elsewhere)
    assert not elsewhere.asked and "process" in voice.worker
    voice.close()


def test_who_does_not_introduce_itself_keeps_nobody_waiting() -> None:
    exchange = SocketExchange()
    strangers = [Client(exchange.line.address) for _ in range(3)]
    heard: Future[dict[str, Any]] = Future()
    exchange.hear("job", heard.set_result)
    wrong = type(exchange.line)(exchange.line.address, b"wrong key", exchange.line.place)
    assert "process" in wrong.open("job").worker
    voice = exchange.line.open("job")
    voice.tell({"told": "started"})
    assert heard.result(10) == {"told": "started"}
    exchange.forget("job")
    voice.close()
    for each in strangers:
        each.close()
    exchange.close()


def test_threads_end_with_it() -> None:
    before = threading.active_count()
    exchange = SocketExchange()
    exchange.close()
    assert threading.active_count() <= before
