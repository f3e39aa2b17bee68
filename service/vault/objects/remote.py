"""Objects in a store that obstore speaks to: S3 in service, memory in tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import MemoryStore, S3Store

from service.vault.errors import ObjectMissing, VaultIntegrityError
from service.vault.objects.base import StoredObject, checked, exists, missing, refuse_forked, too_large, unreachable

_THREADS: Final = 8
_Result = TypeVar("_Result")


class RemoteStore:
    """An `ObjectStore` over ``store``; ``read_back``: what the store acknowledged is read before it counts.

    S3 answers a PUT only when the object is durable. Objects travel in one request each: several parts would leave
    pieces behind when a process dies, and create-if-absent holds for whole requests only.
    """

    def __init__(self, store: S3Store | MemoryStore, *, read_back: bool = False) -> None:
        self._store = store
        self._read_back = read_back
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="vault-objects")
        self._process = os.getpid()

    def put_new(self, path: str, content: bytes) -> None:
        """See `ObjectStore.put_new`."""
        refuse_forked(self._process)
        checked(path)
        try:
            _translated(path, lambda: obstore.put(self._store, path, content, mode="create", use_multipart=False))
        except _TakenError:
            # Our own first attempt may have arrived although its answer did not.
            self._confirm(path, content)
        else:
            if self._read_back:
                self._look(path, content)

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """See `ObjectStore.put_many`."""
        refuse_forked(self._process)
        for path, _ in items:
            checked(path)
        puts = [self._threads.submit(self.put_new, path, content) for path, content in items]
        # All are awaited before an error is raised: nothing is written behind the back of a caller who cleans up.
        for error in [put.exception() for put in puts]:
            if error is not None:
                raise error

    def get(self, path: str, *, limit: int) -> bytes:
        """See `ObjectStore.get`."""
        refuse_forked(self._process)
        checked(path)

        def fetch() -> bytes:
            found = obstore.get(self._store, path)
            if found.meta["size"] > limit:
                raise too_large(path)
            return bytes(found.bytes())

        return _translated(path, fetch)

    def delete_many(self, paths: Sequence[str]) -> None:
        """See `ObjectStore.delete_many`."""
        refuse_forked(self._process)
        for path in paths:
            checked(path)
        if paths:
            try:
                _translated("", lambda: obstore.delete(self._store, list(paths)))
            except ObjectMissing:
                # Some stores call it an error; one by one, the others are still removed.
                self._delete_each(paths)

    def listing(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.listing`."""
        refuse_forked(self._process)
        below = checked(prefix.removesuffix("/")) + "/" if prefix else None
        pages = _translated(prefix, lambda: obstore.list(self._store, prefix=below))
        while page := _translated(prefix, lambda: next(pages, None)):
            for found in page:
                yield StoredObject(found["path"], found["size"], found["last_modified"])

    def sweep(self, before: datetime) -> int:  # noqa: ARG002 - single requests leave nothing behind
        """See `ObjectStore.sweep`."""
        return 0

    def _delete_each(self, paths: Sequence[str]) -> None:
        for path in paths:
            try:
                _translated(path, partial(obstore.delete, self._store, path))
            except ObjectMissing:
                continue

    def _look(self, path: str, content: bytes) -> None:
        """Find out whether the store has what it said it took.

        What it has instead stays under its path, unknown to everybody but the collector: names are never used twice.
        """
        try:
            whole = self.get(path, limit=len(content)) == content
        except (ObjectMissing, VaultIntegrityError):
            whole = False
        if not whole:
            raise unreachable("what was stored can't be read back")

    def _confirm(self, path: str, content: bytes) -> None:
        try:
            if self.get(path, limit=len(content)) == content:
                return
        except ObjectMissing:
            raise unreachable("the object was taken and is not there") from None
        raise exists(path)


class _TakenError(Exception):
    """Something stands under the path already."""


def _translated(path: str, call: Callable[[], _Result]) -> _Result:
    """The result of ``call``, with obstore's errors in our words.

    Raises:
        ObjectMissing: there is no such object.
        StoreUnreachable: anything that says nothing about the object: no answer, a refusal, no such bucket.
        _TakenError: the path is taken.
    """
    try:
        return call()
    except FileNotFoundError as error:
        # A store that lost the whole bucket must not pass for one that lost this object.
        if "NoSuchBucket" in str(error):
            raise unreachable("NoSuchBucket") from error
        raise missing(path) from None
    except (AlreadyExistsError, PreconditionError):
        raise _TakenError from None
    except (BaseError, OSError) as error:
        # Its text holds the address of the store and the object's path: ids and hashes, no credentials.
        raise unreachable(type(error).__name__) from error
