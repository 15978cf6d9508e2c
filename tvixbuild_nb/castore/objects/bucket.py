"""Bucket: the few things that a store does with object storage, with typed errors and many at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from obstore.exceptions import AlreadyExistsError, BaseError

from tvixbuild_nb.castore.objects.troubles import store_error
from tvixbuild_nb.errors import StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Objects

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Requests wait for the network nearly all of their time. More at once do not help much, and some storages slow down.
_AT_ONCE = 32

# More than any list of chunks or any directory needs; what is called so and larger is not read into memory.
_MAX_BYTES = 1 << 30

# A listing answers with a thousand keys a request.
_PAGE = 1000


class Bucket:
    """Objects by key below ``address``, read and written whole; safe for several threads.

    Parameters: ``questions`` is the same storage for requests that move no contents, with less patience.

    What an object storage answers otherwise than with yes or no is a :class:`StoreError`. A key that is distrusted is
    as good as absent, until it is written again: its object is damaged.
    """

    def __init__(self, objects: Objects, address: str, *, questions: Objects | None = None) -> None:
        self._objects = objects
        self._questions = objects if questions is None else questions
        self.address = address
        self._pool: ThreadPoolExecutor | None = None
        self._mutex = threading.Lock()
        self._distrusted: set[str] = set()

    def size(self, key: str) -> int | None:
        """Bytes of an object, None when there is none."""
        if key in self._distrusted:
            return None
        with self._errors():
            try:
                return self._questions.head(key)["size"]
            except FileNotFoundError:
                return None

    def get(self, key: str, most: int | None = None) -> bytes | None:
        """An object, None when there is none, or one of more than ``most`` bytes."""
        if key in self._distrusted:
            return None
        with self._errors():
            try:
                answer = self._objects.get(key)
                if most is not None and answer.meta["size"] > most:
                    return None
                if answer.meta["size"] > _MAX_BYTES:
                    raise StoreError(f"an object of {answer.meta['size']:,} bytes", path=f"{self.address}/{key}")
                return bytes(answer.bytes())
            except FileNotFoundError:
                return None

    def ask(self, key: str) -> bytes | None:
        """A very small object, None when there is none; without much patience."""
        with self._errors():
            try:
                return bytes(self._questions.get(key).bytes())
            except FileNotFoundError as error:
                # Asked for an object, S3 says so; asked for its size, it gives no reason.
                if "NoSuchBucket" in str(error):
                    raise store_error(error, self.address) from None
                return None

    def begin(self, key: str, size: int) -> bytes | None:
        """The first ``size`` bytes of an object that has at least so many; None when there is none."""
        if key in self._distrusted:
            return None
        with self._errors():
            try:
                return bytes(self._objects.get_range(key, start=0, end=size))
            except FileNotFoundError:
                return None

    def put(self, key: str, data: bytes) -> None:
        """Write an object: all of it is there afterwards, or nothing of it."""
        with self._errors():
            self._objects.put(key, data, use_multipart=False)
        with self._mutex:
            self._distrusted.discard(key)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; whether it was written."""
        with self._errors():
            try:
                self._objects.put(key, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def delete(self, key: str) -> None:
        """Delete an object, which is there."""
        with self._errors():
            self._objects.delete(key)

    def pages(self, prefix: str) -> Iterator[list[tuple[str, int]]]:
        """Keys below ``prefix`` and the sizes of the objects, a request's answer at a time, in any order."""
        with self._errors():
            for page in self._questions.list(prefix, chunk_size=_PAGE):
                yield [(meta["path"], meta["size"]) for meta in page if meta["path"] not in self._distrusted]

    def distrust(self, key: str) -> None:
        """Count the object as absent until it is written again."""
        with self._mutex:
            self._distrusted.add(key)

    def submit(self, function: Callable[[Item], Answer], item: Item) -> Future[Answer]:
        """Call ``function`` beside the caller: a request or two; it must not wait for others that were submitted."""
        with self._mutex:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_AT_ONCE, "castore-objects")
            return self._pool.submit(function, item)

    def each(self, function: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
        """The answers of ``function``, many requests at once, in order; the first error ends it, and is raised."""
        futures = [self.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        with self._mutex:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise store_error(error, self.address) from None
