"""Everything that evidence rests on, computed anew from rows and objects: the first thing that differs is named.

It reads one moment of the database, in chunks, while the service goes on. What it can't see is said in docs/ledger.md.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any

from cryptography import x509
from sqlalchemy.orm import Session

from service.db import ledger as table
from service.db import ledger_past as past_table
from service.db.ids import DELIVERY, SIGNATURE_REQUEST, public_id
from service.db.ledger_check import Document, Reading, Stored
from service.db.printing import every_organisation
from service.db.session import widen
from service.domain.evidence import rfc3339
from service.ledger import checkpoint as checkpoints
from service.ledger import entry, new_log, notes, sequencer
from service.ledger.checkpoint import Checkpoint
from service.ledger.errors import EntryRefused, LedgerDiffers, LedgerForked
from service.ledger.head_store import HeadStore
from service.ledger.keys import LogSigner
from service.ledger.sequencer import StoredNote
from service.ledger.whole_log import Looked, WholeLog
from service.usecases import sealed_evidence
from service.usecases.context import Context
from service.vault import crypto
from service.vault.errors import KeyDestroyed, ObjectMissing, VaultIntegrityError
from signing.errors import SigningError
from signing.history import revision_digests
from signing.timestamps import verify_token


def check(
    context: Context,
    signer: LogSigner,
    head_store: HeadStore,
    roots: Sequence[x509.Certificate],
    *,
    contents: bool = True,
    former: Sequence[notes.VerifierKey] = (),
) -> Looked:
    """Look at all of it.

    Args:
        context: the wired parts.
        signer: the log's keys, of which the public halves are used.
        head_store: where the last signed head is kept.
        roots: of time-stamp authorities.
        contents: also read every document that is kept.
        former: verifier keys of closed logs whose keys were others.

    Raises:
        LedgerDiffers: the first thing that is not what it must be.
        ZendingError: something could not be looked at: store or key ring are away.
    """
    before = _stored(head_store, signer)
    looked = Looked()
    with context.database.session() as session, Reading(session) as rows:
        widen(session, every_organisation(session))
        after = _stored(head_store, signer)
        for past in past_table.logs(session):
            _past_log(session, rows, context, past, _keys_of(past.origin, signer, former), roots, looked)
        _present_log(session, rows, context, signer, (before, after), roots, looked)
        _leaves(rows, context, signer)
        kept = rows.documents() if contents else iter(())
        _subjects(context, rows.evidence(), kept, looked, "evidence", _delivery_key)
        kept = rows.requested() if contents else iter(())
        _subjects(context, rows.acts(), kept, looked, "signature_evidence", _request_key)
    return looked


# --- logs -------------------------------------------------------------------------------------------------------------


def _present_log(
    session: Session,
    rows: Reading,
    context: Context,
    signer: LogSigner,
    stored: tuple[StoredNote | None, StoredNote | None],
    roots: Sequence[x509.Certificate],
    looked: Looked,
) -> None:
    head, newest = table.head(session), table.newest_checkpoint(session)
    if head is None:
        if any(stored) or newest is not None:
            raise LedgerDiffers("The log has no head, and yet it was signed.")
        return
    if head.log_origin != signer.origin:
        raise LedgerDiffers("The head is of a log with another name.")
    before, after = stored
    if newest is not None and (after is None or after.checkpoint.size < newest.size):
        raise LedgerDiffers("The head in the store is missing, or older than the newest checkpoint.")
    also = [(Checkpoint(signer.origin, head.size, head.root), "The head's row")]
    if before is not None:
        # Not the later one, which may be of leaves that came after the moment that is read.
        also.append((before.checkpoint, "The head in the store"))
    log = WholeLog(
        origin=signer.origin,
        keys=signer.verifiers,
        tiles=partial(table.tiles, session),
        cosignatures=lambda size: [(row.key, row.line, row.at) for row in rows.cosignatures(size)],
        witnesses=[key for witness in context.witnesses for key in witness.keys],
        time_of=partial(_time_of, roots),
        looked=looked,
    )
    tiles = looked.tiles
    found = log.check(rows.leaves(), rows.checkpoints(), also)
    if (found.size, found.root) != (head.size, head.root):
        raise LedgerDiffers(f"The head's row is of {head.size} leaves, and the log has {found.size}.")
    if head.signed_size != (0 if newest is None else newest.size):
        raise LedgerDiffers("The head's row names another newest checkpoint than there is.")
    if looked.tiles - tiles != rows.tile_count():
        raise LedgerDiffers("There are tiles that are not of this log.")


def _past_log(
    session: Session,
    rows: Reading,
    context: Context,
    past: past_table.LedgerPast,
    keys: Sequence[notes.VerifierKey],
    roots: Sequence[x509.Certificate],
    looked: Looked,
) -> None:
    number, tiles = past.number, looked.tiles
    log = WholeLog(
        origin=past.origin,
        keys=keys,
        tiles=lambda wanted: past_table.tiles(session, number, wanted),
        cosignatures=lambda _: (),
        witnesses=[key for witness in context.witnesses for key in witness.keys],
        time_of=partial(_time_of, roots),
        looked=looked,
    )
    name = f"the closed log {past.origin}"
    found = log.check(rows.leaves(number), rows.checkpoints(number))
    if (found.size, found.root) != (past.size, past.root):
        raise LedgerDiffers(f"The row of {name} is of another tree than its leaves give.")
    if looked.tiles - tiles != rows.tile_count(number):
        raise LedgerDiffers(f"There are tiles that are not of {name}.")
    following = next((each.number for each in past_table.logs(session) if each.origin == past.next_origin), None)
    if following is None and past.next_origin != context.log_origin:
        raise LedgerDiffers(f"The log after {name} is not there.")
    first = next(rows.leaves(following), (0, b""))[1]
    if not new_log.check_link(past.link, first, past.last_note, tuple(keys)):
        raise LedgerDiffers(f"The log after {name} does not begin with the link to it.")
    if checkpoints.parse(notes.split(past.last_note)[0]).size != past.last_size:
        raise LedgerDiffers(f"The last note of {name} is of another size than its row says.")
    told = json.loads(past.link)
    if (told["restored_size"], told["restored_root"]) != (past.size, past.root.hex()):
        raise LedgerDiffers(f"The link to {name} tells of another end.")


def _keys_of(origin: str, signer: LogSigner, former: Sequence[notes.VerifierKey]) -> Sequence[notes.VerifierKey]:
    """A closed log's keys: those that were given, else the present ones under its name."""
    given = [key for key in former if key.name == origin]
    return given or LogSigner(origin, signer.ed25519, signer.ml_dsa_44).verifiers


def _stored(head_store: HeadStore, signer: LogSigner) -> StoredNote | None:
    try:
        return sequencer.stored_head(head_store, signer)
    except LedgerForked as error:
        raise LedgerDiffers("The head in the store was not signed with the log's keys.") from error


def _time_of(roots: Sequence[x509.Certificate], token: bytes, text: str) -> datetime:
    try:
        return verify_token(token, text.encode(), roots)
    except SigningError as error:
        raise ValueError(error.detail) from error


def _leaves(rows: Reading, context: Context, signer: LogSigner) -> None:
    """Evidence goes at the end of a retention year, so a leaf of this year's has its evidence still."""
    link = new_log.link_id(signer.origin)
    for index, evidence_id in rows.leaves_without_evidence():
        # An evidence's id tells when it was made: RFC 9562, version 7, in milliseconds since 1970. Any other id is
        # none of ours, and may say a year that no calendar has.
        this_year = datetime(context.clock().year, 1, 1, tzinfo=UTC).timestamp() * 1000
        if evidence_id != link and (evidence_id.version != 7 or evidence_id.int >> 80 >= this_year):  # noqa: PLR2004
            which = "a leaf that waits" if index is None else f"leaf {index}"
            raise LedgerDiffers(f"The evidence of {which} is not there.")


# --- records and documents --------------------------------------------------------------------------------------------


def _delivery_key(row: Stored) -> str:
    return f"{public_id(DELIVERY, row.subject)}/{row.leg}/{row.event}/{row.attempt}"


def _request_key(row: Stored) -> str:
    return f"{public_id(SIGNATURE_REQUEST, row.subject)}/{row.leg}/{row.event}/{row.attempt}"


def _subjects(
    context: Context,
    stored: Iterator[Stored],
    documents: Iterator[Document],
    looked: Looked,
    table_: str,
    key: Callable[[Stored], str],
) -> None:
    """Deliveries or requests one by one: their records, then their documents, then both against one another."""
    for found, kept in _together(stored, documents):
        records = [record for row in found if (record := _record(context, row, table_, key, looked)) is not None]
        known = [_document(context, document, looked) for document in kept]
        if kept and all(known):
            digests = set().union(*known)
            _named(records, digests, {each.submitted_sha256.hex() for each in kept}, str(kept[0].subject))


def _together(stored: Iterable[Stored], documents: Iterable[Document]) -> Iterator[tuple[list[Stored], list[Document]]]:
    """Both streams are in the order of their subjects; each subject's part of both."""
    left = ((subject, list(group), None) for subject, group in groupby(stored, lambda row: row.subject))
    right = ((subject, None, list(group)) for subject, group in groupby(documents, lambda row: row.subject))
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[1], []
            one = next(left, None)
        elif one is None or other[0] < one[0]:
            yield [], other[2]
            other = next(right, None)
        else:
            yield one[1], other[2]
            one, other = next(left, None), next(right, None)


def _record(
    context: Context, row: Stored, table_: str, key: Callable[[Stored], str], looked: Looked
) -> dict[str, Any] | None:
    name = f"evidence {row.id}"
    if row.logged is None:
        raise LedgerDiffers(f"There is no leaf of {name}.")
    if row.logged != row.leaf_hash:
        raise LedgerDiffers(f"The leaf of {name} is not its hash.")
    try:
        place = partial(sealed_evidence.place, table_, row.organisation_id)
        salt = crypto.decrypt(context.keyring, row.salt, place("salt", row.id))
        raw = crypto.decrypt(context.keyring, row.record, place("record", row.id))
        record: dict[str, Any] = json.loads(raw)
        found = entry.leaf_hash(str(record.get("event_key")), salt, record)
    except KeyDestroyed:
        looked.unreadable += 1
        return None
    except (VaultIntegrityError, EntryRefused, ValueError, AttributeError) as error:
        raise LedgerDiffers(f"The record or salt of {name} was changed.") from error
    if found != row.leaf_hash:
        raise LedgerDiffers(f"The record and salt of {name} do not give its hash.")
    if record["event_key"] != key(row) or record.get("event") != row.event:
        raise LedgerDiffers(f"The row of {name} says another event than its record.")
    if record.get("event_time") != rfc3339(row.at):
        raise LedgerDiffers(f"The row of {name} says another time than its record.")
    looked.evidence += 1
    return record


def _document(context: Context, document: Document, looked: Looked) -> set[str]:
    """Every digest under which evidence may name this document."""
    name = f"a document of {document.subject}"
    try:
        content = context.vault.read(document.path, document.organisation_id, document.subject, document.role)
    except KeyDestroyed:
        looked.unreadable += 1
        return set()
    except (VaultIntegrityError, ObjectMissing) as error:
        raise LedgerDiffers(f"The store does not hold {name} as it was written.") from error
    if hashlib.sha256(content).digest() != document.sha256:
        raise LedgerDiffers(f"The store holds something else than {name}.")
    looked.documents += 1
    return {*revision_digests(content), document.submitted_sha256.hex()}


def _named(records: Iterable[dict[str, Any]], known: set[str], submitted: set[str], subject: str) -> None:
    for record in records:
        for part in record.get("parts") or ():
            if part.get("sha256") not in {None, *known} or part.get("submitted_sha256") not in {None, *submitted}:
                raise LedgerDiffers(f"Evidence of {subject} names other documents than are kept.")
