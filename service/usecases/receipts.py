"""Receipts: what went out, kept beside the documents and not in the database, so that a restore can't forget it.

A receipt is written before what it is about can be seen outside (a batch's rename), or right after (notices). Its name
tells its day and subject; it carries a keyed hash, so that nobody without the key ring can make one. It holds ids,
numbers and times, nothing personal. See docs/crash-order.md.
"""

import hashlib
import hmac
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import msgspec

from service.db.ids import new_id
from service.vault.errors import ObjectExists, ObjectMissing, VaultIntegrityError
from service.vault.keyring.base import IndexKeys
from service.vault.objects.base import ObjectStore

FOLDER: Final = "receipts"
_BATCH: Final = "batch"
_NOTICES: Final = "notices"
_LARGEST: Final = 4 * 1024 * 1024
_SEAL: Final = 64
_PURPOSE: Final = b"zending receipt v1\0"


class LetterReceipt(msgspec.Struct, frozen=True):
    """A letter by its delivery, leg and attempt, its place in the batch, and the number in its sheets' codes."""

    delivery: uuid.UUID
    leg: int
    attempt: int
    sequence: int
    set: int | None = None


class BatchReceipt(msgspec.Struct, frozen=True):
    """A batch that was uploaded whole: from here on it may have been handed over. Times in UTC, sizes in bytes.

    ``place`` is where, as print houses have it (`Printer.place`); None in one that was written before places were.
    """

    id: uuid.UUID
    number: int
    provider: str
    product: str
    file_name: str
    frozen_at: datetime
    at: datetime
    path: str
    sha256: str
    size: int
    pages: int
    sheets: int
    letters: tuple[LetterReceipt, ...]
    place: str | None = None


class NoticesReceipt(msgspec.Struct, frozen=True):
    """Notices that the mail server took: (delivery, leg) each, or (signature request, position of the signer)."""

    at: datetime
    notices: tuple[tuple[uuid.UUID, int], ...]


_Receipt = TypeVar("_Receipt", BatchReceipt, NoticesReceipt)


class Receipts:
    """The receipts of an installation, in its object store.

    All methods raise `StoreUnreachable` when the store is away, and `VaultIntegrityError` for a receipt that is not as
    it was written.
    """

    def __init__(self, store: ObjectStore, keys: IndexKeys) -> None:
        self._store = store
        self._keys = keys

    def uploaded(self, receipt: BatchReceipt) -> None:
        """Keep the receipt of a batch; the first one stands. Durable once it returns."""
        try:
            self._store.put_new(_batch_path(receipt.frozen_at, receipt.id), self._sealed(receipt))
        except ObjectExists:
            # Another attempt came as far; its receipt says the same but for the moment.
            if self.batch(receipt.frozen_at, receipt.id) is None:
                raise

    def batch(self, frozen_at: datetime, batch_id: uuid.UUID) -> BatchReceipt | None:
        """The receipt of a batch, if there is one."""
        try:
            return self._read(_batch_path(frozen_at, batch_id), BatchReceipt)
        except ObjectMissing:
            return None

    def noticed(self, notices: Sequence[tuple[uuid.UUID, int]], *, now: datetime) -> None:
        """Keep one receipt for notices that were sent together."""
        if notices:
            path = f"{FOLDER}/{_day(now)}/{_NOTICES}/{new_id()}"
            self._store.put_new(path, self._sealed(NoticesReceipt(now, tuple(notices))))

    def batches(self) -> Iterator[BatchReceipt]:
        """Every batch's receipt that is kept."""
        return (self._read(path, BatchReceipt) for path in self._paths(_BATCH))

    def notices(self) -> Iterator[NoticesReceipt]:
        """Every receipt of notices that is kept."""
        return (self._read(path, NoticesReceipt) for path in self._paths(_NOTICES))

    def prune(self, before: datetime) -> int:
        """Remove the receipts of whole days before that time; returns how many."""
        last = _day(before - timedelta(days=1))
        old = [path for path in self._paths(None) if path.split("/")[1] < last]
        self._store.delete_many(old)
        return len(old)

    def _paths(self, what: str | None) -> list[str]:
        found = (each.path for each in self._store.listing(FOLDER))
        return sorted(path for path in found if what is None or path.split("/")[2] == what)

    def _sealed(self, receipt: BatchReceipt | NoticesReceipt) -> bytes:
        content = msgspec.json.encode(receipt)
        return _hash(self._keys.writing, content) + content

    def _read(self, path: str, kind: type[_Receipt]) -> _Receipt:
        raw = self._store.get(path, limit=_LARGEST)
        known = [_hash(key, raw[_SEAL:]) for key in (self._keys.writing, *self._keys.others)]
        if not any(hmac.compare_digest(raw[:_SEAL], each) for each in known):
            raise VaultIntegrityError("A receipt was changed, or is another installation's.", context={"object": path})
        return msgspec.json.decode(raw[_SEAL:], type=kind)


def _hash(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, _PURPOSE + content, hashlib.sha256).hexdigest().encode()


def _batch_path(frozen_at: datetime, batch_id: uuid.UUID) -> str:
    return f"{FOLDER}/{_day(frozen_at)}/{_BATCH}/{batch_id}"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%d}"
