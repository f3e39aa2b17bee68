"""A bucket that the print house reads, with the protocol of S3.

S3 has no rename. A put makes an object appear whole or not at all, and so does a copy within the store; so a parcel is
put under its ``.TMP`` name, copied to its own, and the ``.TMP`` is deleted. A process that dies between the last two
leaves both, which counts as handed over. For this to be safe the print house only reads: whoever took the parcel away
within that moment would be given it again. So its access allows no deletion, and a rule of the bucket deletes old ones.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import obstore
from obstore.exceptions import BaseError, GenericError, NotFoundError
from obstore.store import S3Store

from printing.providers.base import unavailable
from printing.providers.staged import Far, StagedProvider

T = TypeVar("T")

_KEY_LINES: Final = 2


@dataclass(frozen=True)
class Bucket:
    """Where a print house reads, and who we are there.

    Attributes:
        endpoint: ``https://…``; plain HTTP only where ``allow_http`` says so.
        key_file: two lines, the access key's name and its secret.
        folder: the prefix of parcels, without a slash at its end.
        incoming: the prefix of what the print house tells us; None for nowhere.
        seconds: how long one request may take.
    """

    endpoint: str
    bucket: str
    region: str
    key_file: Path
    folder: str
    incoming: str | None = None
    allow_http: bool = False
    seconds: float = 30.0


class S3Provider(StagedProvider):
    """Parcels as objects; the digest is that of what is read back."""

    def __init__(self, bucket: Bucket) -> None:
        """Nothing is asked yet.

        Raises:
            ValueError: the endpoint, the key file or an option can't be used; nothing of the key is in the sentence.
        """
        super().__init__(inbox=bucket.incoming is not None)
        if not bucket.endpoint.startswith("https://" if not bucket.allow_http else ("https://", "http://")):
            raise ValueError("the endpoint begins with https://")
        try:
            lines = bucket.key_file.read_text("utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the key file can't be read ({type(error).__name__})") from None
        if len(lines) != _KEY_LINES:
            raise ValueError("the key file has two lines: the access key's name and its secret")
        self._bucket, self._key = bucket, (lines[0], lines[1])

    def look(self) -> None:
        """As the protocol says: the bucket can be listed by us."""
        try:
            with self.outgoing_folder():
                pass
        except OSError as error:
            raise unavailable() from error

    def outgoing_folder(self) -> AbstractContextManager[Far]:
        """The prefix of parcels."""
        return self._open(self._bucket.folder)

    def incoming_folder(self) -> AbstractContextManager[Far]:
        """The prefix of the inbox."""
        assert self._bucket.incoming is not None
        return self._open(self._bucket.incoming)

    @contextmanager
    def _open(self, prefix: str) -> Iterator[Far]:
        told = self._bucket
        timeout = timedelta(seconds=told.seconds)
        # A store of each call's own: nothing of it is shared by processes that fork.
        store = S3Store(
            told.bucket,
            prefix=prefix,
            config={
                "endpoint": told.endpoint,
                "region": told.region,
                "access_key_id": self._key[0],
                "secret_access_key": self._key[1],
                "checksum_algorithm": "SHA256",
            },
            client_options={"allow_http": told.allow_http, "timeout": timeout, "connect_timeout": timeout},
            retry_config={"max_retries": 2, "retry_timeout": timeout},
        )
        # A bucket that is not there must never look as if the print house had taken everything away.
        _asked(lambda: obstore.list_with_delimiter(store), missing=False)
        yield Prefix(store)


class Prefix:
    """The objects below a prefix, as `Far` says."""

    def __init__(self, store: S3Store) -> None:
        """``store`` is opened at the prefix."""
        self._store = store

    def size(self, name: str) -> int | None:
        """In bytes."""
        try:
            return int(_asked(lambda: obstore.head(self._store, name))["size"])
        except FileNotFoundError:
            return None

    def sha256(self, name: str) -> str | None:
        """Of what is read back."""

        def digest() -> str:
            found = hashlib.sha256()
            for chunk in obstore.get(self._store, name):
                found.update(chunk)
            return found.hexdigest()

        return _asked(digest)

    def write(self, name: str, data: bytes | Path) -> None:
        """In one request, which is answered when the object is durable; its SHA-256 goes with it."""
        content = data if isinstance(data, bytes) else data.read_bytes()
        _asked(lambda: obstore.put(self._store, name, content, use_multipart=False))

    def sync(self, *names: str) -> None:
        """What is answered is durable."""

    def rename(self, name: str, new: str) -> None:
        """A copy, then a deletion; see above."""
        _asked(lambda: obstore.copy(self._store, name, new))
        self.unlink(name)

    def unlink(self, name: str) -> None:
        """Take it away."""
        _asked(lambda: obstore.delete(self._store, name))

    def listed(self) -> Sequence[tuple[str, int]]:
        """Objects right below the prefix."""
        found = _asked(lambda: obstore.list_with_delimiter(self._store))
        return [(each["path"], each["size"]) for each in found["objects"]]

    def read(self, name: str, most: int) -> bytes:
        """The whole object, or as much of it as is asked for."""

        def fetch() -> bytes:
            parts = bytearray()
            for chunk in obstore.get(self._store, name):
                parts += bytes(chunk)[: most - len(parts)]
                if len(parts) >= most:
                    break
            return bytes(parts)

        return _asked(fetch)


def _asked(ask: Callable[[], T], *, missing: bool = True) -> T:
    """What the store answers; every failure is an OSError, as `Far` says."""
    try:
        return ask()
    except NotFoundError as error:
        if missing:
            raise FileNotFoundError from error
        raise OSError("NotFoundError") from error
    except (BaseError, GenericError) as error:
        # Not the text: addresses and answers stand in it.
        raise OSError(type(error).__name__) from None
