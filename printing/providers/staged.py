"""Ways over a far side with files and renames: what they share. Each brings its own `Far`."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from printing.errors import Problem, ProviderRefused
from printing.providers.base import (
    MOST_INCOMING,
    Incoming,
    Parcel,
    RemoteKind,
    RemoteState,
    check_incoming,
    is_incoming,
    too_big,
    unavailable,
)

CHUNK: Final = 1 << 20


class Far(Protocol):
    """A folder at the far side, as long as it is open.

    Every failure is an OSError: FileNotFoundError where the file is not there, anything else for all others.
    """

    def size(self, name: str) -> int | None:
        """In bytes; None when there is no such file."""
        ...

    def sha256(self, name: str) -> str | None:
        """In hexadecimal; None where the far side does not let it be known."""
        ...

    def write(self, name: str, data: bytes | Path) -> None:
        """Write a file anew, over whatever is there, and make it durable as far as the far side can promise that."""
        ...

    def sync(self, *names: str) -> None:
        """Make files and the folder's own list of them durable."""
        ...

    def rename(self, name: str, new: str) -> None:
        """In one step."""
        ...

    def unlink(self, name: str) -> None:
        """Take a file away."""
        ...

    def listed(self) -> Sequence[tuple[str, int]]:
        """Plain files (no links, no folders) with their sizes."""
        ...

    def read(self, name: str, most: int) -> bytes:
        """The first bytes of a plain file, at most so many; never follows a link."""
        ...


class StagedProvider(ABC):
    """A way that writes ``.TMP`` and renames; what must hold is said by `PrintProvider`."""

    def __init__(self, *, inbox: bool) -> None:
        """``inbox``: whether there is a second folder for what the print house tells us."""
        self._has_inbox = inbox

    @abstractmethod
    def outgoing_folder(self) -> AbstractContextManager[Far]:
        """Open the folder of parcels; OSError or `ProviderUnavailable` when it is not there."""

    @abstractmethod
    def incoming_folder(self) -> AbstractContextManager[Far]:
        """Open the inbox, likewise."""

    def state(self, parcel: Parcel) -> RemoteState:
        """As the protocol says."""
        parcel.check_name()
        try:
            with self.outgoing_folder() as far:
                return _state(far, parcel)
        except OSError as error:
            raise unavailable() from error

    def upload(self, parcel: Parcel, data: bytes | Path) -> RemoteState:
        """As the protocol says; after a transfer that broke the far side is opened anew and looked at."""
        parcel.check_name()
        failure: OSError | None = None
        try:
            with self.outgoing_folder() as far:
                before = _state(far, parcel)
                if before.kind is RemoteKind.HANDED_OVER:
                    return before
                far.write(parcel.temporary, data)
                after = _state(far, parcel)
        except OSError as error:
            failure = error
            after = self.state(parcel)
        if after.kind is RemoteKind.PARTIAL or after.kind is RemoteKind.ABSENT:
            raise unavailable("The transfer to the print house broke off.") from failure
        if failure is not None and after.kind is RemoteKind.UPLOADED:
            # Everything arrived, but perhaps not on the disk yet.
            try:
                with self.outgoing_folder() as far:
                    far.sync(parcel.temporary)
            except OSError as error:
                raise unavailable() from error
        return after

    def publish(self, parcel: Parcel) -> None:
        """As the protocol says; the rename is durable, as far as that can be promised, before it returns."""
        parcel.check_name()
        try:
            with self.outgoing_folder() as far:
                kind = _state(far, parcel).kind
                if kind is RemoteKind.PARTIAL:
                    raise ProviderRefused(Problem("UPLOAD_INCOMPLETE", f"{parcel.name} did not arrive whole."))
                # A file that is gone was renamed or taken by another in the meantime, which is what was wanted.
                with contextlib.suppress(FileNotFoundError):
                    if kind is RemoteKind.UPLOADED:
                        far.rename(parcel.temporary, parcel.name)
                    elif kind is RemoteKind.HANDED_OVER:
                        far.unlink(parcel.temporary)
                far.sync()
        except OSError as error:
            raise unavailable() from error

    def discard(self, parcel: Parcel) -> None:
        """As the protocol says; it is durable, as far as that can be promised, before it returns."""
        parcel.check_name()
        try:
            with self.outgoing_folder() as far:
                with contextlib.suppress(FileNotFoundError):
                    far.unlink(parcel.temporary)
                far.sync()
        except OSError as error:
            raise unavailable() from error

    def incoming(self) -> Sequence[Incoming]:
        """As the protocol says."""
        if not self._has_inbox:
            return ()
        try:
            with self.incoming_folder() as far:
                return tuple(Incoming(name, size) for name, size in sorted(far.listed()) if is_incoming(name))
        except OSError as error:
            raise unavailable() from error

    def fetch(self, name: str) -> bytes:
        """As the protocol says."""
        check_incoming(name)
        if not self._has_inbox:
            raise _gone()
        try:
            with self.incoming_folder() as far:
                data = far.read(name, MOST_INCOMING + 1)
        except FileNotFoundError:
            raise _gone() from None
        except OSError as error:
            raise unavailable() from error
        if len(data) > MOST_INCOMING:
            raise too_big()
        return data

    def remove(self, name: str) -> None:
        """As the protocol says."""
        check_incoming(name)
        if not self._has_inbox:
            return
        try:
            with self.incoming_folder() as far:
                with contextlib.suppress(FileNotFoundError):
                    far.unlink(name)
                far.sync()
        except OSError as error:
            raise unavailable() from error


def _state(far: Far, parcel: Parcel) -> RemoteState:
    # In this order: a rename between the two looks can then only be seen as handed over.
    size = far.size(parcel.temporary)
    published = far.size(parcel.name)
    if published is not None:
        return RemoteState(RemoteKind.HANDED_OVER, published)
    if size is None:
        return RemoteState(RemoteKind.ABSENT)
    if size != parcel.size:
        return RemoteState(RemoteKind.PARTIAL, size)
    try:
        sha256 = far.sha256(parcel.temporary)
    except FileNotFoundError:
        # Renamed by another while we read: it stands, or stood, under its own name.
        return RemoteState(RemoteKind.HANDED_OVER, parcel.size)
    whole = sha256 is None or sha256 == parcel.sha256
    return RemoteState(RemoteKind.UPLOADED if whole else RemoteKind.PARTIAL, size, sha256)


def _gone() -> ProviderRefused:
    return ProviderRefused(Problem("INCOMING_GONE", "There is no such file in the inbox."))
