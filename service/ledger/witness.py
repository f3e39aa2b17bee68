"""A witness of logs (C2SP tlog-witness): it cosigns what continues the checkpoint it cosigned last, and nothing else.

It lives in a folder of its own and needs no database:

``name``        what it is called, such as ``witness.example/w1``
``witness-*``   its two private keys
``logs``        the verifier keys of the logs it cosigns, one a line
``heads/``      for each log the checkpoint it cosigned last, as the log signed it; empty before the first
``refused/``    signed checkpoints that contradict a cosigned one: what proves that a log forked

A log whose file in ``heads`` is gone is refused, never begun anew: who forgets could cosign two histories.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from service.ledger import add_checkpoint, checkpoint, keys, merkle, notes
from service.ledger.add_checkpoint import AddCheckpoint
from service.ledger.checkpoint import Checkpoint
from service.ledger.errors import NoteRefused, ProofRefused, WitnessUnusable
from service.ledger.head_store import FileHeadStore

log = structlog.get_logger()

FORKED: Final = "forked"
ROLLED_BACK: Final = "rolled_back"
UNPROVEN: Final = "unproven"
REFUSED_KEPT: Final = 1000
"""Anybody can send a public checkpoint with a wrong proof: so many are kept, the rest is only told."""

_PLAIN: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the witness answers over HTTP."""

    status: int
    body: str
    content_type: str = _PLAIN


@dataclass(frozen=True, slots=True)
class Seen:
    """A signed checkpoint that was believed, and the latest time its log stated under it."""

    checkpoint: Checkpoint
    at: datetime | None


def create(folder: Path, name: str) -> "Witness":
    """Make a new witness in an empty (or new) folder.

    Raises:
        WitnessUnusable: something is there already.
        NoteRefused: no key can have this name.
    """
    notes.check_name(name)
    if folder.exists() and any(folder.iterdir()):
        raise WitnessUnusable("The folder is not empty: a new witness needs one of its own.", why="folder_not_empty")
    keys.generate_witness(folder, name)
    for part in ("heads", "refused"):
        (folder / part).mkdir()
    FileHeadStore(folder / "logs").write(b"")
    FileHeadStore(folder / "name").write(name.encode() + b"\n")
    return Witness(folder)


class Witness:
    """The witness in ``folder``; several threads and processes may use it at once.

    Raises:
        WitnessUnusable: the folder holds no whole witness.
        LedgerKeysRefused: its keys can't be read, or others can read them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self.name = (folder / "name").read_text("utf-8").strip()
            self._lock = folder / "lock"
            self._lock.touch(mode=0o600)
        except (OSError, UnicodeDecodeError) as error:
            raise WitnessUnusable("This folder holds no witness: make one first.", why="no_witness") from error
        self._keys = keys.load_witness(folder, self.name)

    @property
    def vkeys(self) -> tuple[str, ...]:
        """Its verifier keys, for logs and for whoever verifies; the Ed25519 one first."""
        return tuple(str(key.verifier) for key in self._keys)

    def add_log(self, vkeys: Sequence[str]) -> str:
        """Cosign a log from now on; its name, which all of ``vkeys`` must have.

        Raises:
            NoteRefused: a key is malformed, or they have several names.
            WitnessUnusable: the log is known already.
        """
        given = [notes.VerifierKey.parse(text) for text in vkeys]
        names = {key.name for key in given}
        if len(names) != 1:
            raise NoteRefused("Give the keys of one log: they all have its name.")
        (origin,) = names
        with self._locked():
            if self._logs_keys(origin):
                raise WitnessUnusable("This log is known already; its keys never change.", why="log_known")
            # First the empty memory, then the name: a log without a memory is refused.
            self._head(origin).write(b"")
            lines = [*self._lines(), *(str(key) for key in given)]
            FileHeadStore(self._folder / "logs").write("".join(f"{line}\n" for line in lines).encode())
        return origin

    def logs(self) -> dict[str, Checkpoint | None]:
        """Each log's name and what was cosigned last."""
        origins = dict.fromkeys(notes.VerifierKey.parse(line).name for line in self._lines())
        found = {origin: self._remembered(origin) for origin in origins}
        return {origin: None if seen is None else seen.checkpoint for origin, seen in found.items()}

    def refusals(self) -> list[str]:
        """The names of the files in ``refused``: what kind, and of which log and checkpoint."""
        return sorted(file.name for file in (self._folder / "refused").iterdir())

    def answer(self, body: bytes, *, now: datetime) -> Answer:
        """Judge one ``add-checkpoint`` request, and cosign if all is well: remembered durably before it is answered."""
        try:
            asked = add_checkpoint.parse(body)
            found = checkpoint.parse(notes.split(asked.note)[0])
        except (ProofRefused, NoteRefused) as error:
            return Answer(400, f"{error.detail}\n")
        known = self._logs_keys(found.origin)
        if not known:
            return Answer(404, "This log is not known here.\n")
        try:
            seen = _seen(asked.note, known)
        except NoteRefused as error:
            return Answer(403, f"{error.detail}\n")
        if asked.old > found.size:
            return Answer(400, "The old size is larger than the checkpoint's.\n")
        with self._locked():
            return self._judge(asked, seen, now)

    def _judge(self, asked: AddCheckpoint, seen: Seen, now: datetime) -> Answer:
        found, last = seen.checkpoint, self._remembered(seen.checkpoint.origin)
        size, root = (0, merkle.EMPTY_ROOT) if last is None else (last.checkpoint.size, last.checkpoint.root)
        if found.size == size and found.root != root:
            self._refuse(FORKED, asked, found)
            return Answer(409, "Another tree of this size was cosigned: the log has forked.\n")
        if last is not None and found.size < size and last.at is not None and seen.at is not None and seen.at > last.at:
            # The log says, later than it signed the larger tree, that this is its newest.
            self._refuse(ROLLED_BACK, asked, found)
        if asked.old != size:
            return Answer(409, f"{size}\n", add_checkpoint.SIZE_TYPE)
        try:
            merkle.verify_consistency(size, root, found.size, found.root, asked.proof)
        except ProofRefused as error:
            self._refuse(UNPROVEN, asked, found)
            return Answer(422, f"{error.detail}\n")
        self._head(found.origin).write(asked.note.encode())
        log.info("checkpoint_cosigned", log=found.origin, size=found.size)
        return Answer(200, "".join(key.sign(found.text, at=now) for key in self._keys))

    def _refuse(self, kind: str, asked: AddCheckpoint, found: Checkpoint) -> None:
        """Tell it, and keep what the log signed: whoever holds it can show that the log contradicts itself."""
        log.error("checkpoint_refused", kind=kind, log=found.origin, size=found.size)
        name = f"{kind}-{sha256(found.origin.encode()).hexdigest()[:16]}-{found.size}-{found.root.hex()[:16]}"
        folder = self._folder / "refused"
        if not (folder / name).exists() and (kind != UNPROVEN or len(list(folder.iterdir())) < REFUSED_KEPT):
            FileHeadStore(folder / name).write(bytes(asked))

    def _head(self, origin: str) -> FileHeadStore:
        return FileHeadStore(self._folder / "heads" / sha256(origin.encode()).hexdigest())

    def _remembered(self, origin: str) -> Seen | None:
        content = self._head(origin).read()
        if content is None:
            raise WitnessUnusable("The memory of a log is gone: make a new witness.", why="memory_lost")
        if not content:
            return None
        try:
            return _seen(content.decode(), self._logs_keys(origin))
        except (NoteRefused, UnicodeDecodeError) as error:
            raise WitnessUnusable("The memory of a log is damaged: make a new witness.", why="memory_lost") from error

    def _lines(self) -> list[str]:
        try:
            return (self._folder / "logs").read_text("utf-8").split()
        except OSError as error:
            raise WitnessUnusable("The list of logs is gone.", why="memory_lost") from error

    def _logs_keys(self, origin: str) -> list[notes.VerifierKey]:
        return [key for line in self._lines() if (key := notes.VerifierKey.parse(line)).name == origin]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Of all threads and processes one at a time: what is compared must still hold when the next is remembered."""
        handle = os.open(self._lock, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _seen(note: str, known: Sequence[notes.VerifierKey]) -> Seen:
    """Believe a checkpoint that at least one, and each that did sign, of the log's known keys has signed rightly."""
    opened = notes.open_note(note, known)
    times = [verified.at for verified in opened.verified if verified.at is not None]
    return Seen(checkpoint.parse(opened.text), max(times, default=None))
