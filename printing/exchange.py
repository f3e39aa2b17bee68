"""What a print house and we tell each other about a batch after its hand-over: the files, their names and their words.

Every file is JSON in UTF-8 with a ``kind`` that names it; scans come as a ZIP around such a file (``index.json``).
Readers ignore keys that they don't know. A file's name says which batch it is about and what it is:
``PRT_0100_<sender>_<batch>_<YYMMDDHHMMSS>_<what>[_<number>].<JSON|ZIP>``, with the batch's own time in it; what comes
more than once is numbered. Files that are about no batch in particular (events of many days) have the batch 0.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from printing.errors import PrintingError, Problem

SCHEMA: Final = 1
INDEX: Final = "index.json"
MOST_BYTES: Final = 32 * 1024 * 1024
"""Of one file; more is refused unread."""

_NAME: Final = re.compile(
    r"PRT_0100_([A-Z0-9]{8})_([0-9]{10})_([0-9]{12})_(1AK|2RS|3EV|4PL|5PA|6DL|7SC|8FC)(?:_([0-9]{1,6}))?\.(JSON|ZIP)"
)

_Code = Annotated[str, msgspec.Meta(max_length=40)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class ExchangeRefused(PrintingError):
    """A file is not what it says it is; kept and shown, never guessed at."""


class What(StrEnum):
    """The kinds of files, as their names say them."""

    REQUEST = "0RQ"
    """The batch itself, from us."""
    ACKNOWLEDGEMENT = "1AK"
    """The file arrived whole. Received is not accepted."""
    RESPONSE = "2RS"
    """Per letter: accepted or rejected."""
    EVENTS = "3EV"
    """What happened to letters."""
    PULL = "4PL"
    """From us: letters that must not go out any more."""
    PULL_ANSWER = "5PA"
    """Per letter: taken out, or too late."""
    DELETED = "6DL"
    """Our files and what was made of them are gone from the print house."""
    SCANS = "7SC"
    """Pictures of posting proofs, return receipts and returned letters."""
    FORECAST = "8FC"
    """From us: what will come at a cut-off; see `printing.forecast`."""


class PostalEvent(StrEnum):
    """What can happen to a letter outside; the progress and the outcome are apart from the provider's detail code."""

    PRINTED = "printed"
    POSTED = "posted"
    IN_TRANSIT = "in_transit"
    ATTEMPTED = "attempted"
    PICKUP_AVAILABLE = "pickup_available"
    DELIVERED = "delivered"
    REFUSED = "refused"
    UNCLAIMED = "unclaimed"
    RETURNED = "returned"
    LOST = "lost"


class Outcome(StrEnum):
    """Where the letter stands by this event, in the words of the exchange."""

    PROGRESS = "PROGRESS"
    OK = "OK"
    KO = "KO"


OUTCOMES: Final[dict[PostalEvent, Outcome]] = {
    PostalEvent.PRINTED: Outcome.PROGRESS,
    PostalEvent.POSTED: Outcome.PROGRESS,
    PostalEvent.IN_TRANSIT: Outcome.PROGRESS,
    PostalEvent.ATTEMPTED: Outcome.PROGRESS,
    PostalEvent.PICKUP_AVAILABLE: Outcome.PROGRESS,
    PostalEvent.DELIVERED: Outcome.OK,
    PostalEvent.REFUSED: Outcome.KO,
    PostalEvent.UNCLAIMED: Outcome.KO,
    PostalEvent.RETURNED: Outcome.KO,
    PostalEvent.LOST: Outcome.KO,
}


class ScanOf(StrEnum):
    """What a picture shows."""

    POSTING_PROOF = "posting_proof"
    RETURN_RECEIPT = "return_receipt"
    RETURNED_LETTER = "returned_letter"


class LetterName(msgspec.Struct, frozen=True, kw_only=True):
    """A letter as the manifest names it: ``id`` is stable over reprints, ``attempt`` counts from 1."""

    id: _Id
    attempt: Annotated[int, msgspec.Meta(ge=1, le=999)] = 1


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="acknowledgement"):
    """A batch file arrived: its digest (hexadecimal SHA-256) and counts as the print house found them."""

    schema: int = SCHEMA
    batch: int
    file: str
    sha256: str
    at: datetime
    letters: _Count
    sheets: _Count


class LetterAnswer(LetterName, frozen=True, kw_only=True):
    """Whether a letter will be printed; ``code`` says why not."""

    accepted: bool
    code: _Code | None = None


class Response(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="response"):
    """The print house looked at the letters of a batch; it may do so in several files."""

    schema: int = SCHEMA
    batch: int
    at: datetime
    letters: tuple[LetterAnswer, ...]


class LetterEvent(LetterName, frozen=True, kw_only=True):
    """Something happened to a letter, or to an envelope with all the letters in it: it names one of the two.

    Attributes:
        set: the envelope, as the sheet codes have it; sheets and postage are then the whole's.
        event_id: the print house's own name of this statement; the same again is a repeat.
        at: when it happened, with an offset.
        cause: M01-M08, F01-F03 where the letter came back or was given up (domain: return reasons).
        code: the provider's own detail code, kept and shown, never acted on.
        sheets, postage_cents: what was posted, with ``posted``.
        registered_number: the number that the post knows a registered letter by.
    """

    id: Annotated[str, msgspec.Meta(max_length=80)] = ""
    set: Annotated[str, msgspec.Meta(pattern="^[0-9]{12}$")] | None = None
    event_id: _Id
    event: PostalEvent
    outcome: Outcome
    at: datetime
    cause: _Code | None = None
    code: _Code | None = None
    sheets: _Count | None = None
    postage_cents: _Count | None = None
    registered_number: _Code | None = None

    def __post_init__(self) -> None:
        """Refuse one that names no letter and no envelope, or both.

        Raises:
            ValueError: it does.
        """
        if bool(self.id) == (self.set is not None):
            raise ValueError("an event names a letter, or an envelope by its set")


class Events(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="events"):
    """What happened to letters, in any order, of any batches."""

    schema: int = SCHEMA
    at: datetime
    events: tuple[LetterEvent, ...]


class Pull(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="pull"):
    """From us: these letters of a batch must not be posted. ``number`` is ours, counted from 1 within the batch."""

    schema: int = SCHEMA
    batch: int
    number: int
    at: datetime
    letters: tuple[LetterName, ...]


class PulledLetter(LetterName, frozen=True, kw_only=True):
    """Whether a letter was taken out in time."""

    pulled: bool
    code: _Code | None = None


class PullAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="pull_answer"):
    """The print house's answer to a pull list."""

    schema: int = SCHEMA
    batch: int
    number: int
    at: datetime
    letters: tuple[PulledLetter, ...]


class Deleted(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="deleted"):
    """The print house has nothing left of a batch file and of what it made of it."""

    schema: int = SCHEMA
    batch: int
    file: str
    at: datetime


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """One picture in the ZIP.

    Attributes:
        file: its name within the ZIP; PDF, PNG, JPEG or TIFF.
        sha256: of its bytes, in hexadecimal.
        what: what it shows.
        at: when it was made.
        id, attempt: the letter; or
        sheet_code: what the sheet code on it says, where the letter is not known otherwise: the picture is then of the
            envelope, and of every letter in it.
        cause: why a returned letter came back.
    """

    file: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    sha256: str
    what: ScanOf
    at: datetime
    id: _Id | None = None
    attempt: int = 1
    sheet_code: _Code | None = None
    cause: _Code | None = None


class Scans(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="scans"):
    """The index of a ZIP of scans."""

    schema: int = SCHEMA
    at: datetime
    scans: tuple[Scan, ...]


Message = Acknowledgement | Response | Events | Pull | PullAnswer | Deleted | Scans

_DECODER: Final = msgspec.json.Decoder(Message)


@dataclass(frozen=True)
class FileName:
    """A file's name, taken apart; ``stamp`` is the batch's time as its name writes it."""

    sender: str
    batch: int
    stamp: str
    what: What
    number: int | None = None

    def __str__(self) -> str:
        """The name."""
        counted = "" if self.number is None else f"_{self.number}"
        ending = "ZIP" if self.what in {What.SCANS, What.REQUEST} else "JSON"
        return f"PRT_0100_{self.sender}_{self.batch:010d}_{self.stamp}_{self.what}{counted}.{ending}"


def read_name(name: str) -> FileName | None:
    """Take a name apart; None when it is none of this exchange, or a batch's own."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    sender, batch, stamp, what, number, ending = found.groups()
    taken = FileName(sender, int(batch), stamp, What(what), None if number is None else int(number))
    return taken if str(taken).endswith(ending) else None


def encode(message: Message) -> bytes:
    """A message as the file holds it; the same message gives the same bytes."""
    return msgspec.json.encode(message, order="sorted")


def decode(data: bytes) -> Message:
    """Read a file.

    Raises:
        ExchangeRefused: ``EXCHANGE_UNREADABLE`` (no JSON of this exchange, or a time without an offset),
            ``SCHEMA_UNKNOWN`` or ``FILE_TOO_BIG``. Nothing of the file stands in the error.
    """
    if len(data) > MOST_BYTES:
        raise ExchangeRefused(Problem("FILE_TOO_BIG", f"The file has {len(data)} bytes of at most {MOST_BYTES}."))
    try:
        message: Message = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ExchangeRefused(Problem("EXCHANGE_UNREADABLE", "The file is none of this exchange.")) from None
    if message.schema != SCHEMA:
        raise ExchangeRefused(Problem("SCHEMA_UNKNOWN", "The file is of another version."))
    if any(moment.tzinfo is None for moment in _moments(message)):
        raise ExchangeRefused(Problem("EXCHANGE_UNREADABLE", "A time in the file has no offset."))
    return message


def _moments(message: Message) -> list[datetime]:
    moments = [message.at]
    if isinstance(message, Events):
        moments += [event.at for event in message.events]
    if isinstance(message, Scans):
        moments += [scan.at for scan in message.scans]
    return moments
