"""What a print house tells: files that are written into its book first, and brought from there as often as needed."""

import hashlib
import sqlite3
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Final

from printing.exchange import (
    INDEX,
    OUTCOMES,
    Acknowledgement,
    Deleted,
    Events,
    FileName,
    LetterAnswer,
    LetterEvent,
    Message,
    PostalEvent,
    Response,
    Scan,
    ScanOf,
    Scans,
    What,
    encode,
)
from printing.providers.base import TEMPORARY
from printing.providers.staged import Far
from printing.simulator.book import Book
from printing.simulator.fates import Rates, rolls

_EVENTS: Final = 500
_PICTURES: Final = 50
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_NUMBERS: Final = 1_000_000
_POSTAGE: Final = 150
"""Cents that the house pays for a letter whose manifest tells no postage."""


def put(book: Book, name: FileName, content: bytes) -> None:
    """Write a file into the book; the same again is the same."""
    book.run("INSERT OR REPLACE INTO outgoing (name, content) VALUES (?, ?)", str(name), content)


def bring(book: Book, far: Far) -> None:
    """Bring files to where they are read: whole and renamed, then struck out of the book."""
    for row in book.rows("SELECT number, name, content FROM outgoing ORDER BY number"):
        temporary = str(Path(row["name"]).with_suffix(TEMPORARY))
        far.write(temporary, row["content"])
        far.rename(temporary, row["name"])
        far.sync()
        book.run("DELETE FROM outgoing WHERE number = ?", row["number"])


def call(book: Book, tell: Callable[[bytes], bool]) -> None:
    """Tell files by calls, in their order; what is not heard, and all after it, is told in the next round."""
    for row in book.rows("SELECT number, content FROM outgoing ORDER BY number"):
        if not tell(row["content"]):
            return
        book.run("DELETE FROM outgoing WHERE number = ?", row["number"])


def acknowledge(book: Book, parcel: sqlite3.Row, now: datetime) -> None:
    """The file arrived whole."""
    message = Acknowledgement(
        batch=parcel["batch"],
        file=parcel["name"],
        sha256=parcel["sha256"],
        at=now,
        letters=parcel["letters"],
        sheets=parcel["sheets"],
    )
    _of_batch(book, parcel, What.ACKNOWLEDGEMENT, message)


def respond(book: Book, parcel: sqlite3.Row, answers: Sequence[LetterAnswer], now: datetime) -> None:
    """What will be printed and what not."""
    _of_batch(book, parcel, What.RESPONSE, Response(batch=parcel["batch"], at=now, letters=tuple(answers)))


def _of_batch(book: Book, parcel: sqlite3.Row, what: What, message: Message) -> None:
    number = book.count(f"{what} {parcel['batch']} {parcel['stamp']}")
    name = FileName(parcel["sender"], parcel["batch"], parcel["stamp"], what, None if number == 1 else number)
    put(book, name, encode(message))


def happen(book: Book, rates: Rates, seed: int, now: datetime) -> list[str]:
    """Let happen what is due, and tell it; what was printed and posted is written down when it happens."""
    moment = now.timestamp()
    for event, column in ((PostalEvent.PRINTED, "printed_at"), (PostalEvent.POSTED, "posted_at")):
        book.run(
            f"UPDATE letter SET {column} = ? WHERE {column} IS NULL AND EXISTS (SELECT 1 FROM happening h"  # noqa: S608
            " WHERE h.id = letter.id AND h.attempt = letter.attempt AND h.envelope IS NULL AND h.event = ?"
            " AND h.at <= ?)",
            *(moment, event, moment),
        )
        book.run(
            f"UPDATE letter SET {column} = ? WHERE {column} IS NULL AND pulled = 0 AND envelope IN"  # noqa: S608
            " (SELECT h.envelope FROM happening h WHERE h.envelope IS NOT NULL AND h.event = ? AND h.at <= ?)",
            *(moment, event, moment),
        )
    while due := book.rows(
        "SELECT happening.*, parcel.sender FROM happening JOIN letter USING (id, attempt)"
        " JOIN parcel ON parcel.name = letter.parcel"
        " WHERE told < happening.times AND tell_at <= ? ORDER BY tell_at, event_id LIMIT ?",
        *(moment, _EVENTS),
    ):
        sender = due[0]["sender"]
        events = [_event(row) for row in due]
        number = book.count(What.EVENTS)
        chance = rolls(seed, What.EVENTS, number)
        events += [
            _nobodys(event, number, place) for place, event in enumerate(events) if chance.random() < rates.unknown
        ]
        if rates.reorder:
            chance.shuffle(events)
        name = FileName(sender, 0, f"{now:%y%m%d%H%M%S}", What.EVENTS, number % _NUMBERS)
        put(book, name, encode(Events(at=now, events=tuple(events))))
        for row in due:
            # What is told twice is told again in another file: in one of the next rounds.
            book.run(
                "UPDATE happening SET told = told + 1, tell_at = ? WHERE event_id = ?", moment + 0.001, row["event_id"]
            )
    return _show(book, now)


def _event(row: sqlite3.Row) -> LetterEvent:
    event = PostalEvent(row["event"])
    posted = event is PostalEvent.POSTED
    envelope = row["envelope"]
    return LetterEvent(
        id="" if envelope else row["id"],
        set=_set(envelope) if envelope else None,
        attempt=1 if envelope else row["attempt"],
        event_id=row["event_id"],
        event=event,
        outcome=OUTCOMES[event],
        at=datetime.fromtimestamp(row["at"], UTC),
        cause=row["cause"],
        sheets=row["sheets"],
        postage_cents=(row["postage"] if row["postage"] is not None else _POSTAGE) if posted else None,
        registered_number=row["registered"],
    )


def _set(envelope: str) -> str:
    return envelope.partition(":")[2]


def _nobodys(event: LetterEvent, number: int, place: int) -> LetterEvent:
    """The same of a letter that nobody has."""
    return LetterEvent(
        id=f"unknown-{number}-{place}",
        event_id=f"unknown-{number}-{place}-{event.event}",
        event=event.event,
        outcome=event.outcome,
        at=event.at,
        cause=event.cause,
    )


def _show(book: Book, now: datetime) -> list[str]:
    """Send the pictures that are due."""
    while due := book.rows(
        "SELECT picture.rowid AS number, picture.*, parcel.sender FROM picture JOIN letter USING (id, attempt)"
        " JOIN parcel ON parcel.name = letter.parcel WHERE told = 0 AND at <= ? ORDER BY at LIMIT ?",
        *(now.timestamp(), _PICTURES),
    ):
        scans = []
        out = BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for place, row in enumerate(due, 1):
                file = f"scan-{place:04}.{row['ending']}"
                archive.writestr(zipfile.ZipInfo(file, _EPOCH), row["content"])
                scans.append(_scan(row, file))
            archive.writestr(zipfile.ZipInfo(INDEX, _EPOCH), encode(Scans(at=now, scans=tuple(scans))))
        name = FileName(due[0]["sender"], 0, f"{now:%y%m%d%H%M%S}", What.SCANS, book.count(What.SCANS) % _NUMBERS)
        put(book, name, out.getvalue())
        for row in due:
            book.run("UPDATE picture SET told = 1, content = x'' WHERE rowid = ?", row["number"])
    return []


def _scan(row: sqlite3.Row, file: str) -> Scan:
    return Scan(
        file=file,
        sha256=hashlib.sha256(row["content"]).hexdigest(),
        what=ScanOf(row["what"]),
        at=datetime.fromtimestamp(row["at"], UTC),
        # Of an envelope that letters share, the code says whose they are.
        id=None if row["envelope"] and row["sheet_code"] else row["id"],
        attempt=row["attempt"],
        sheet_code=row["sheet_code"],
        cause=row["cause"],
    )


def delete(book: Book, folder: Path, now: datetime) -> list[str]:
    """Delete the files of batches whose time has come, and tell it."""
    said = []
    for parcel in book.rows(
        "SELECT * FROM parcel WHERE deleted = 0 AND refused IS NULL AND delete_at <= ?", now.timestamp()
    ):
        (folder / parcel["name"]).unlink(missing_ok=True)
        message = Deleted(batch=parcel["batch"], file=parcel["name"], at=now)
        _of_batch(book, parcel, What.DELETED, message)
        book.run("UPDATE parcel SET deleted = 1 WHERE name = ?", parcel["name"])
        said.append(f"Nothing is left of {parcel['name']}.")
    return said
