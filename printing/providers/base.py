"""What a way to a print house must do, and how a batch goes over it without ever being printed twice."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from printing.errors import Problem, ProviderRefused, ProviderUnavailable

MOST_INCOMING: Final = 32 * 1024 * 1024
"""Bytes of one file that a print house sends; a larger one is listed, and refused when it is fetched."""
TEMPORARY: Final = ".TMP"

_PARCEL: Final = re.compile(r"[A-Za-z0-9_-]+\.(?:ZIP|JSON)(?:\.age)?")
_INCOMING: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True)
class Parcel:
    """A finished package: all of it is frozen when the batch closes.

    Attributes:
        name: as `printing.manifest.file_name` or `printing.exchange.FileName` gives it, with ``.age`` behind it when it
            is encrypted.
        size: in bytes.
        sha256: of the bytes, in hexadecimal.
    """

    name: str
    size: int
    sha256: str

    @property
    def temporary(self) -> str:
        """The name under which it is uploaded: the same with ``.TMP``."""
        return str(Path(self.name).with_suffix(TEMPORARY))

    def check_name(self) -> None:
        """Refuse a name that could mean another place than the folder it is for.

        Raises:
            ProviderRefused: ``NAME_INVALID``.
        """
        if not _PARCEL.fullmatch(self.name):
            raise ProviderRefused(
                Problem(
                    "NAME_INVALID",
                    "A parcel's name has no folder and ends in .ZIP, .JSON, or one of these and .age.",
                )
            )


@dataclass(frozen=True)
class Incoming:
    """A whole file that a print house put there for us; ``size`` in bytes."""

    name: str
    size: int


def is_incoming(name: str) -> bool:
    """Whether a name in an inbox is one that we take: plain, and not still being written."""
    return _INCOMING.fullmatch(name) is not None and not name.upper().endswith(TEMPORARY)


def check_incoming(name: str) -> None:
    """Refuse to touch what `is_incoming` does not take.

    Raises:
        ProviderRefused: ``NAME_INVALID``.
    """
    if not is_incoming(name):
        raise ProviderRefused(Problem("NAME_INVALID", "A name in an inbox is plain and does not end in .TMP."))


def too_big() -> ProviderRefused:
    """A file in an inbox has more bytes than are read."""
    return ProviderRefused(Problem("INCOMING_TOO_BIG", f"A file in the inbox has more than {MOST_INCOMING} bytes."))


def unavailable(detail: str = "The print house cannot be reached now.") -> ProviderUnavailable:
    """The far side is away; trying again is safe."""
    return ProviderUnavailable(Problem("PROVIDER_UNAVAILABLE", detail))


class RemoteKind(StrEnum):
    """What the far side holds of a parcel."""

    ABSENT = "absent"
    PARTIAL = "partial"
    UPLOADED = "uploaded"
    HANDED_OVER = "handed_over"


@dataclass(frozen=True)
class RemoteState:
    """What the far side holds: its kind, the bytes that are there, and their digest where the far side can tell."""

    kind: RemoteKind
    size: int = 0
    sha256: str | None = None


class Inbox(Protocol):
    """Where a print house puts what it tells us (`printing.exchange`).

    Everything raises `ProviderUnavailable` when it can't be reached: an inbox that is away never looks empty.
    """

    def incoming(self) -> Sequence[Incoming]:
        """The whole files that wait, by name; what is still written (``.TMP``), a link or a folder is none.

        A way whose print house calls us instead has nothing here.
        """
        ...

    def fetch(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            ProviderRefused: ``INCOMING_TOO_BIG``, ``INCOMING_GONE`` or ``NAME_INVALID``.
        """
        ...

    def remove(self, name: str) -> None:
        """Take a file away after it was kept; one that is not there is taken away already."""
        ...


class PrintProvider(Inbox, Protocol):
    """A place where a print house fetches its work.

    What must hold for every implementation (tests/contract/test_print_providers.py):

    - A parcel is uploaded under its ``.TMP`` name and appears under its own name by one atomic step, whole. Where the
      far side has no names (HTTP) it is open until it is complete, by one step too.
    - ``upload`` returns only when the bytes would survive a loss of power at the far side, as far as it can promise
      that; ``publish`` likewise for the name.
    - Everything is safe to repeat, by a new object in a new process too. Publishing twice prints once.
    - A parcel that stands under its own name is handed over, whatever else lies there; its ``.TMP`` is garbage and is
      taken away, for the receiver may fetch the parcel at any moment and only the garbage would be left.
    - The receiver may take a handed-over parcel away at any time: then nothing of it is left, and `state` says
      ``absent``, as before the upload. Only who committed "uploaded" can tell the two apart: see `hand_over`.
    - Failures of the way raise `ProviderUnavailable` (try again), what a person must look at `ProviderRefused`.
    """

    def look(self) -> None:
        """Look whether parcels can be brought now; nothing is left behind, and nothing is asked that costs anything.

        Raises:
            ProviderUnavailable: they can't.
        """
        ...

    def state(self, parcel: Parcel) -> RemoteState:
        """Look what the far side holds. ``uploaded`` means whole: right size, and right digest where it can tell."""
        ...

    def upload(self, parcel: Parcel, data: bytes | Path) -> RemoteState:
        """Bring the bytes to the ``.TMP`` name, over whatever is there; does nothing when the parcel is handed over.

        After an error on the way the far side is looked at: if the whole parcel arrived the call succeeds.

        Returns:
            ``uploaded`` or ``handed_over``.
        """
        ...

    def publish(self, parcel: Parcel) -> None:
        """Give an uploaded parcel its own name. To be called only after "uploaded" was committed.

        A parcel that is handed over already, or of which nothing is left, is left alone: the receiver has it.

        Raises:
            ProviderRefused: ``UPLOAD_INCOMPLETE``, what lies under the ``.TMP`` name is not the whole parcel.
        """
        ...

    def discard(self, parcel: Parcel) -> None:
        """Take away what lies under the ``.TMP`` name of a parcel that will not be published as it is.

        A parcel that is handed over is left alone; only the name counts. Never to be called once "uploaded" was
        committed: a parcel of which nothing is left then counts as fetched.
        """
        ...


def hand_over(
    provider: PrintProvider,
    parcel: Parcel,
    data: bytes | Path | Callable[[], bytes],
    *,
    uploaded: bool,
    commit_uploaded: Callable[[], None],
) -> None:
    """Bring a parcel to the print house exactly once; when it returns the print house has it.

    May be called again after a death at any point. The order makes that harmless: whole upload, then "uploaded" is
    committed, then the rename. So if "uploaded" was never committed nothing was ever renamed, and if it was and no
    ``.TMP`` is left, the rename happened and the receiver may have taken the file away.

    Call it while holding the batch (a lease that outlasts the upload): two uploads of one parcel at the same time, of
    which the receiver fetches the first before the second ends, are the one thing the far side cannot tell apart.

    Args:
        provider: where to.
        parcel: what.
        data: its bytes, a file that holds them, or how to get them; not needed when they are there already.
        uploaded: what is committed about this parcel.
        commit_uploaded: makes "uploaded" durable; raises when the batch is no longer held.

    Raises:
        ProviderUnavailable: try again.
        ProviderRefused: ``REMOTE_DIFFERS``, the far side holds a broken parcel after a whole one was committed.
    """
    state = provider.state(parcel)
    if uploaded and state.kind is RemoteKind.PARTIAL:
        raise ProviderRefused(Problem("REMOTE_DIFFERS", f"{parcel.name} was uploaded whole and is no longer."))
    if not uploaded and state.kind is not RemoteKind.HANDED_OVER:
        if state.kind is not RemoteKind.UPLOADED:
            provider.upload(parcel, data() if callable(data) else data)
        commit_uploaded()
    provider.publish(parcel)
