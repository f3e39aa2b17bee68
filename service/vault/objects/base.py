"""What an object store must do, whoever runs it.

Every implementation passes ``tests/contract/test_object_stores.py``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from service.vault.errors import ObjectExists, ObjectMissing, StoreMisconfigured, StoreUnreachable, VaultIntegrityError

_LONGEST_PATH: Final = 240
"""A file name has at most 255 bytes, and stores join segments to one."""
_PATH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){0,5}")


@dataclass(frozen=True)
class StoredObject:
    """An object in a listing: its path, its size in bytes, and when the store took it (UTC, the store's clock)."""

    path: str
    size: int
    modified: datetime


class ObjectStore(Protocol):
    """Named bytes that are written once.

    What must hold:

    - Paths are one to six segments of ``A-Z a-z 0-9 . _ -``, parted by ``/``, each beginning with a letter or digit,
      240 characters together; anything else is a `ValueError` and reaches no store.
    - What was put is durable once the call returns, and no reader ever sees a part of an object under its path.
    - Nothing is overwritten, not even under a race.
    - All methods may be called from several threads of the process that opened the store, and are safe to repeat after
      any error: putting the same content under the same path again succeeds, so does deleting what is gone.
    - A store that is away, refuses, has no room or answers too late is `StoreUnreachable`; whether the call had an
      effect is then unknown. No call waits for ever.

    The store is not trusted to give back what was put: that is checked by whoever knows what to expect (`Vault`).
    """

    def put_new(self, path: str, content: bytes) -> None:
        """Store ``content``.

        Raises:
            ObjectExists: another content stands under this path.
        """
        ...

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Store several (path, content) together, cheaper than one by one.

        After an error any of them may be stored, each whole.

        Raises:
            ObjectExists: another content stands under one of the paths.
        """
        ...

    def get(self, path: str, *, limit: int) -> bytes:
        """All bytes of the object.

        Raises:
            ObjectMissing: the store says that it has no such object.
            VaultIntegrityError: it has more than ``limit`` bytes; they are not read.
        """
        ...

    def delete_many(self, paths: Sequence[str]) -> None:
        """Remove these objects, durably; those that are gone already count as removed."""
        ...

    def listing(self, prefix: str = "") -> Iterator[StoredObject]:
        """The objects below the folder ``prefix`` (whole segments; empty for all), in any order.

        Objects put or deleted meanwhile may be in it or not.
        """
        ...

    def sweep(self, before: datetime) -> int:
        """Remove what interrupted puts before that time left behind invisibly; return how much was removed."""
        ...


def checked(path: str) -> str:
    """``path`` if it is one that all stores can take; a store's own syntax never sees anything else."""
    if len(path) > _LONGEST_PATH or _PATH.fullmatch(path) is None:
        raise ValueError("not a path of an object store")
    return path


def refuse_forked(process: int) -> None:
    """Refuse a store that another process opened: its threads did not survive the fork, and waiting for them hangs.

    Raises:
        StoreMisconfigured: this is not the process with id ``process``.
    """
    if process != os.getpid():
        raise StoreMisconfigured("The document store was opened before this process was forked.")


def missing(path: str) -> ObjectMissing:
    """The error for an object that the store does not have."""
    return ObjectMissing("A stored document is missing.", context={"object": path})


def too_large(path: str) -> VaultIntegrityError:
    """The error for an object larger than anything that was stored there."""
    return VaultIntegrityError("A stored document is larger than what was written.", context={"object": path})


def exists(path: str) -> ObjectExists:
    """The error for a path that is taken by another content."""
    return ObjectExists("Another content is stored under this name.", context={"object": path})


def unreachable(cause: str) -> StoreUnreachable:
    """The error for a store that is away; ``cause`` is for logs and names no content."""
    return StoreUnreachable("The document store cannot be reached at this moment.", context={"cause": cause})
