"""What is inside: documents, letters, evidence and mailboxes, opened with the keys and held against what was handed in.

Only the ciphers are the service's own; everything else is computed here once more by its definition.
"""

import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pikepdf

from service.domain.identifiers import RecipientId, RecipientKind
from service.embedded.fictional import Recipient
from service.usecases.context import Context
from service.usecases.personal import find_hash
from service.vault import crypto


@dataclass(frozen=True)
class Handed:
    """What was handed in for a delivery: for whom, and which files.

    Attributes:
        got: what its recipient was given to read; None for a delivery that nobody reads.
    """

    recipient: Recipient
    files: tuple[bytes, ...]
    got: str | None = None


_Rows = "psycopg.Connection[Any]"
_SHEET_CODE = 3_000
"""Bytes that drawing a sheet code may take: some 1,700."""


def content_faults(connection: _Rows, context: Context, handed: Mapping[str, Handed], printed: Path) -> Iterator[str]:
    """Check the contents of the deliveries ``handed``, by their public ids, and of the packages in ``printed``."""
    known = {uuid.UUID(each.removeprefix("dlv_")): what for each, what in handed.items()}
    yield from _documents(connection, context, known)
    yield from _mailboxes(connection, context, known)
    yield from _evidence(connection, context, known)
    yield from _letters(connection, context, known, printed)


def _documents(connection: _Rows, context: Context, known: Mapping[uuid.UUID, Handed]) -> Iterator[str]:
    found: dict[uuid.UUID, list[int]] = {each: [] for each in known}
    rows = connection.execute(
        "SELECT delivery_id, organisation_id, position, path, sealed, sha256, submitted_sha256, size FROM document"
        " WHERE delivery_id = ANY(%s) ORDER BY delivery_id, position",
        [[*known]],
    )
    for delivery, organisation, position, path, sealed, digest, submitted, size in rows:
        found[delivery].append(position)
        files = known[delivery].files
        if position >= len(files):
            continue
        content = context.vault.read(path, organisation, delivery, f"{'sealed' if sealed else 'original'}-{position}")
        where = f"document {position} of {delivery}"
        if hashlib.sha256(files[position]).digest() != submitted:
            yield f"{where} is not what was handed in"
        if (hashlib.sha256(content).digest(), len(content)) != (digest, size):
            yield f"{where} is not what its row says"
        # A seal is added at the end, and changes no byte before it.
        if not content.startswith(files[position]) or (len(content) > len(files[position])) != sealed:
            yield f"{where}, sealed: {sealed}, is not the file that was handed in"
        got = known[delivery].got
        if position == 0 and got is not None and got != digest.hex():
            yield f"{where}: its recipient read something else"
    for delivery, positions in found.items():
        if positions != list(range(len(known[delivery].files))):
            yield f"{delivery} has the documents {positions}"


def _mailboxes(connection: _Rows, context: Context, known: Mapping[uuid.UUID, Handed]) -> Iterator[str]:
    rows = connection.execute(
        "SELECT delivery_id, recipient_hash FROM mailbox_item WHERE delivery_id = ANY(%s)", [[*known]]
    )
    for delivery, owner in rows:
        recipient = known[delivery].recipient
        number = RecipientId.parse(RecipientKind(recipient.kind), recipient.number or "")
        if find_hash(context, number) != owner:
            yield f"{delivery} lies in somebody else's mailbox"


def _evidence(connection: _Rows, context: Context, known: Mapping[uuid.UUID, Handed]) -> Iterator[str]:
    rows = connection.execute(
        "SELECT delivery_id, organisation_id, id, event, record, salt, leaf_hash FROM evidence"
        " WHERE delivery_id = ANY(%s)",
        [[*known]],
    )
    for delivery, organisation, each, event, record, salt, leaf in rows:
        opened = {
            column: crypto.decrypt(context.keyring, value, f"{organisation}|evidence.{column}:{each}".encode())
            for column, value in (("record", record), ("salt", salt))
        }
        told = json.loads(opened["record"])
        digest = hashlib.sha256(opened["salt"] + _canonical(told)).hexdigest()
        entry = _canonical({"digest": digest, "event_key": told["event_key"]})
        if hashlib.sha256(b"\x00" + entry).digest() != leaf:
            yield f"the leaf of {event} of {delivery} is not the hash of its record"
        files = [hashlib.sha256(file).hexdigest() for file in known[delivery].files]
        says = (told["event"], told["message_id"], [part["submitted_sha256"] for part in told["parts"]])
        if says != (event, f"dlv_{delivery.hex}", files):
            yield f"the evidence of {event} of {delivery} is about something else"
        if [party["id"] for party in told["recipients"]] != [known[delivery].recipient.number]:
            yield f"the evidence of {event} of {delivery} names another recipient"


def _canonical(value: object) -> bytes:
    """RFC 8785, for what has neither fractions nor names outside of ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _letters(connection: _Rows, context: Context, known: Mapping[uuid.UUID, Handed], printed: Path) -> Iterator[str]:
    """Each letter has its own recipient on it, and its pages are those of the letter that was composed for it."""
    rows = connection.execute(
        "SELECT delivery_id, organisation_id, leg, path, sha256 FROM print_letter WHERE delivery_id = ANY(%s)",
        [[*known]],
    ).fetchall()
    composed = {f"dlv_{row[0].hex}-{row[2]}": row for row in rows}
    for path in sorted(printed.glob("*.ZIP")):
        with zipfile.ZipFile(path) as package:
            manifest = json.loads(package.read("manifest.json"))
            pages = {file["name"]: _pages(package.read(file["name"])) for file in manifest["files"]}
        for letter in manifest["letters"]:
            row = composed.get(letter["id"])
            if row is None:
                # Whether it should be there at all is judged elsewhere.
                continue
            delivery, organisation, leg, place, digest = row
            own = context.vault.read(place, organisation, delivery, f"print-{leg}")
            first = letter["first_page"] - 1
            if hashlib.sha256(own).digest() != digest or letter["content_sha256"] != digest.hex():
                yield f"the letter {letter['id']} is not the one that was composed"
            if not _are(pages[letter["file"]][first : first + letter["pages"]], _pages(own)):
                yield f"{path.name}: the pages of {letter['id']} are not its own"
            if letter["address_lines"][0] != known[delivery].recipient.name:
                yield f"the letter {letter['id']} goes to somebody else"


def _are(printed: Sequence[bytes], own: Sequence[bytes]) -> bool:
    """Whether pages of a batch are those of a letter, with nothing besides but a front's sheet code."""
    return len(printed) == len(own) and all(
        page == composed or (composed in page and len(page) - len(composed) <= _SHEET_CODE)
        for page, composed in zip(printed, own, strict=True)
    )


def _pages(pdf: bytes) -> Sequence[bytes]:
    """What is drawn on each page."""
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        return [_drawn(page.obj.get("/Contents")) for page in opened.pages]


def _drawn(contents: Any) -> bytes:
    if contents is None:
        return b""
    if isinstance(contents, pikepdf.Array):
        return b"\n".join(bytes(part.read_bytes()) for part in contents)
    return bytes(contents.read_bytes())
