"""The log's side of its witnesses: it shows them its checkpoints and keeps what they sign.

Everything a witness says is checked; one that is away, slow, wrong or lying delays its own cosignatures and nothing
else. Checkpoints are published without them, and evidence carries those that are there when it is handed out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from service.db import ledger as table
from service.db import ledger_cosignatures as cosignatures
from service.db.ledger import StoredCheckpoint
from service.ledger import add_checkpoint, merkle, notes
from service.ledger.add_checkpoint import AddCheckpoint
from service.ledger.errors import NoteRefused, WitnessAnswerRefused, WitnessContradicts
from signing.connection import KeptConnection, Reply
from signing.errors import Unavailable

SECONDS: Final = 10.0
"""For a whole exchange with a witness."""
SKEW: Final = timedelta(minutes=5)
"""A cosignature states when it was made: further from our time than this it is refused."""
SEVERAL: Final = 20
"""So many checkpoints may wait for a witness; where more do, those without a time-stamp are passed over."""

_COSIGNATURES = frozenset({notes.KeyType.COSIGNATURE_ED25519, notes.KeyType.COSIGNATURE_ML_DSA_44})
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")
_OK, _CONFLICT, _UNPROVEN = 200, 409, 422


class WitnessAway(Unavailable):
    """A witness could not be reached, or gave no proper answer in time; only its cosignatures wait."""

    code = "witness_away"


@dataclass(frozen=True, slots=True)
class KnownWitness:
    """A witness as the settings name it: where it is asked, and the keys whose cosignatures count."""

    url: str
    keys: tuple[notes.VerifierKey, ...]

    @property
    def name(self) -> str:
        """What its keys are called."""
        return self.keys[0].name

    @property
    def key_texts(self) -> list[str]:
        """Its keys as rows of cosignatures name them."""
        return [_text(key) for key in self.keys]


def parse_witnesses(text: str) -> tuple[KnownWitness, ...]:
    """Read the setting: each witness an address and its verifier keys, with spaces between them.

    Raises:
        NoteRefused: the text says why, and repeats nothing of it.
    """
    found: list[tuple[str, list[notes.VerifierKey]]] = []
    for word in text.split():
        if word.startswith(("http://", "https://")):
            if not urlsplit(word).hostname:
                raise NoteRefused("A witness's address has no host.")
            found.append((word.rstrip("/"), []))
        elif not found:
            raise NoteRefused("A witness begins with its address, and its keys follow.")
        else:
            found[-1][1].append(notes.VerifierKey.parse(word))
    made = tuple(KnownWitness(url, tuple(keys)) for url, keys in found)
    for each in made:
        if len({key.name for key in each.keys}) != 1 or not {key.type for key in each.keys} <= _COSIGNATURES:
            raise NoteRefused("A witness has one or more keys of one name, all for cosignatures.")
    if len({each.name for each in made}) != len(made):
        raise NoteRefused("Two witnesses have the same name.")
    return made


class Asker:
    """Asks one witness, over a connection that stays open. Not for use by two threads at once."""

    def __init__(self, witness: KnownWitness, *, seconds: float = SECONDS) -> None:
        self.witness = witness
        self._connection = KeptConnection(
            f"{witness.url}/add-checkpoint",
            party="The witness",
            fault=WitnessAway,
            timeout=seconds,
            largest_reply=add_checkpoint.LARGEST,
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def ask(self, session_factory: Callable[[], Session], clock: Callable[[], datetime]) -> int | None:
        """Have the checkpoint cosigned whose turn it is; no transaction is open while the witness works.

        Returns:
            The number of leaves of the checkpoint that was cosigned; None when there was none to cosign.

        Raises:
            WitnessAway: no answer; the next call tries again.
            WitnessAnswerRefused: an answer that is of no use.
            WitnessContradicts: the witness has cosigned a tree that this log is not a continuation of, or lies.
        """
        with session_factory() as session:
            newest = table.newest_checkpoint(session)
            seen = cosignatures.largest(session, self.witness.key_texts)
            # A witness that begins now begins with what is newest.
            found = cosignatures.next_checkpoint(session, seen=seen, several=SEVERAL) if seen else newest
            if found is None or found.size == 0 or newest is None:
                return None
            body = _request(session, seen, found)
        reply = self._post(body)
        if reply.status == _CONFLICT and (size := _size_of(reply)) is not None:
            # An answer was lost on its way, or another scheduler asked meanwhile: go on from what the witness has.
            if size > newest.size:
                raise WitnessContradicts(
                    f"The witness has cosigned {size} leaves, and the log has signed {newest.size}.", why="ahead"
                )
            with session_factory() as session:
                after = cosignatures.next_checkpoint(session, seen=size - 1, several=SEVERAL) if size else None
                found = after or newest
                body = _request(session, size, found)
            reply = self._post(body)
        lines = self._checked(reply, found, clock())
        with session_factory() as session:
            cosignatures.add(session, found.size, lines)
            session.commit()
        return found.size

    def _post(self, body: AddCheckpoint) -> Reply:
        return self._connection.post(bytes(body), {"Content-Type": "text/plain; charset=utf-8"})

    def _checked(self, reply: Reply, found: StoredCheckpoint, now: datetime) -> list[tuple[str, str, datetime]]:
        """The cosignatures of an answer by keys that we know; everything else in it is dropped."""
        if reply.status in {_CONFLICT, _UNPROVEN}:
            raise WitnessContradicts("The witness says that the log does not continue what it cosigned.", why="forked")
        if reply.status != _OK:
            raise WitnessAnswerRefused(f"The witness answers {reply.status}.")
        try:
            text = notes.split(found.note)[0]
            note = f"{text}\n{reply.body.decode()}"
            opened = notes.open_note(note, self.witness.keys)
            # Of several lines of one key the first is the one that was verified.
            by_key = {(line.name, line.key_id): line for line in reversed(notes.split(note)[1])}
        except (NoteRefused, UnicodeDecodeError) as error:
            raise WitnessAnswerRefused("The witness's answer is no cosignature of this checkpoint.") from error
        # A text with another empty line in it could be read as another checkpoint's note.
        if opened.text != text:
            raise WitnessAnswerRefused("The witness's answer is more than signature lines.")
        lines = []
        for verified in opened.verified:
            if verified.at is None or abs(verified.at - now) > SKEW:
                raise WitnessAnswerRefused("The witness's cosignature states another time than ours.")
            lines.append((_text(verified.key), str(by_key[verified.key.name, verified.key.id]), verified.at))
        return lines


def _request(session: Session, old: int, found: StoredCheckpoint) -> AddCheckpoint:
    """The proof that ``found`` continues the tree of ``old`` leaves, from tiles that may have grown since."""
    ranges = merkle.consistency_ranges(old, found.size)
    tiles = table.tiles(session, merkle.tiles_of(ranges))
    return AddCheckpoint(old, tuple(merkle.consistency_proof(old, found.size, tiles)), found.note)


def _size_of(reply: Reply) -> int | None:
    match = _SIZE.fullmatch(reply.body) if reply.content_type == add_checkpoint.SIZE_TYPE else None
    return None if match is None else int(match[1])


def _text(key: notes.VerifierKey) -> str:
    return f"{key.name}+{key.id.hex()}"
