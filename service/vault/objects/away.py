"""A store that is not there, for whoever must work all the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from service.vault.errors import StoreUnreachable
from service.vault.objects.base import StoredObject, unreachable


class AwayStore:
    """Stands in an operator's command for a folder that can't be opened now: every call says that it is away."""

    def put_new(self, path: str, content: bytes) -> None:
        """Fail."""
        raise _away(path, content)

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Fail."""
        raise _away(items)

    def get(self, path: str, *, limit: int) -> bytes:
        """Fail."""
        raise _away(path, limit)

    def delete_many(self, paths: Sequence[str]) -> None:
        """Fail."""
        raise _away(paths)

    def listing(self, prefix: str = "") -> Iterator[StoredObject]:
        """Fail."""
        raise _away(prefix)

    def sweep(self, before: datetime) -> int:
        """Fail."""
        raise _away(before)


def _away(*_asked: object) -> StoreUnreachable:
    return unreachable("AwayStore")
