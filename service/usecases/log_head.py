"""The last signed head of the ledger, kept in the object store beside the documents."""

import hashlib
import time
from typing import Final

from service.vault.objects.base import ObjectStore

LARGEST: Final = 64 * 1024


class StoredHead:
    """A ``HeadStore`` over the object store: each head is a new object, the newest one counts, older ones go.

    A crash between writing and removing leaves two; the newer one counts.
    """

    def __init__(self, store: ObjectStore, origin: str) -> None:
        self._store = store
        self._folder = f"ledger-head-{hashlib.sha256(origin.encode()).hexdigest()[:16]}"

    def read(self) -> bytes | None:
        """The last head that was written, or None for a log that never signed."""
        paths = self._paths()
        return self._store.get(paths[-1], limit=LARGEST) if paths else None

    def signed_size(self) -> int | None:
        """How many leaves the last signed head covers, as it says itself; whether to believe it is the sequencer's."""
        content = self.read()
        if content is None:
            return None
        size = content.split(b"\n", 2)[1:2]
        return int(size[0]) if size and size[0].isdigit() else 0

    def write(self, content: bytes, /) -> None:
        """Keep a head; durable once this returns."""
        before = self._paths()
        # Wide enough to sort as text; later than what is there even when the clock was set back.
        last = int(before[-1].rsplit("/", 1)[-1]) if before else 0
        stamp = max(time.time_ns(), last + 1)
        self._store.put_new(f"{self._folder}/head/{stamp:020d}", content)
        self._store.delete_many(before)

    def _paths(self) -> list[str]:
        return sorted(each.path for each in self._store.listing(self._folder))
