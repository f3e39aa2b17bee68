"""The print house: takes what lies in its folder, tells what happens in the other, and never prints a letter twice.

What it decides is committed in its book before anything of it is told; files are told from the book, so that a house
that dies at any moment goes on where it was. A letter is known by its id and attempt: whatever file it comes in again,
it is not printed again, and the answer is the one that it got before.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from printing import exchange
from printing.encryption import name_open
from printing.envelopes import by_set
from printing.errors import BatchRefused
from printing.exchange import ExchangeRefused, FileName, LetterAnswer, PostalEvent, Pull, PulledLetter, What
from printing.manifest import ManifestLetter, is_file_name, is_proof_name
from printing.profiles import Profile
from printing.profiles import load as load_profile
from printing.providers.directory import Folder
from printing.simulator import pictures, telling
from printing.simulator.book import Book, Counts
from printing.simulator.by_letter import announcement_of
from printing.simulator.fates import Fate, Rates, draw, rolls
from printing.simulator.intake import SET_INCOMPLETE, Package, examine

BOOK: Final = "house.sqlite"


@dataclass(frozen=True)
class Manner:
    """How a house works.

    Attributes:
        seed: of everything that is left to chance.
        day: seconds that a day of the post takes.
        rates: how often what goes wrong.
        tracked: the delivery of ordinary letters is told too.
        leave: parcels stay in the folder until they are deleted, so that people can look at them.
        keep_days: days after which the files of a batch are deleted, which is told; None: never.
        profile: with which letters are made.
        identity: the house's secret key of age.
        clock: says what time it is.
    """

    seed: int = 0
    day: float = 86_400.0
    rates: Rates = field(default_factory=Rates)
    tracked: bool = False
    leave: bool = False
    keep_days: float | None = 30.0
    profile: Profile = field(default_factory=load_profile)
    identity: str | None = field(default=None, repr=False)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


class PrintHouse:
    """One print house; a second one with the same book must not run."""

    def __init__(
        self, folder: Path, told: Path, home: Path, manner: Manner, call: Callable[[bytes], bool] | None = None
    ) -> None:
        """Open it.

        Args:
            folder: from which it takes parcels.
            told: into which it puts what it tells.
            home: its own, with its book; made when it is not there.
            manner: how it works.
            call: tells a file by calling, True once it was heard; then nothing is put into ``told``.
        """
        home.mkdir(parents=True, exist_ok=True)
        self._folder, self._told = folder, told
        self._manner, self._call = manner, call
        self._book = Book(home / BOOK)

    def close(self) -> None:
        """Close the book."""
        self._book.close()

    @property
    def counts(self) -> Counts:
        """Where it stands."""
        return self._book.counts()

    def round(self) -> list[str]:
        """Do everything that can be done now; a sentence for each thing that a person would want to know."""
        now = self._manner.clock()
        said = [sentence for name in self._waiting() for sentence in self._take(name, now)]
        with self._book.change():
            said += telling.happen(self._book, self._manner.rates, self._manner.seed, now)
            said += telling.delete(self._book, self._folder, now)
        if self._call is not None:
            telling.call(self._book, self._call)
        else:
            telling.bring(self._book, Folder(self._told))
        return said

    def _waiting(self) -> Iterator[str]:
        """Whole parcels and pull lists that were not looked at since they were last written, batches first."""
        names = (path.name for path in self._folder.iterdir())
        for name in sorted(names, key=lambda name: (not _is_parcel(name), name)):
            taken = exchange.read_name(name)
            if _is_parcel(name) or (taken is not None and taken.what is What.PULL):
                yield name

    def _take(self, name: str, now: datetime) -> list[str]:
        path = self._folder / name
        try:
            told = path.stat()
            look = f"{told.st_ino}:{told.st_size}:{told.st_mtime_ns}"
            if self._book.row("SELECT 1 FROM seen WHERE name = ? AND look = ?", name, look) is not None:
                return []
            data = path.read_bytes()
        except FileNotFoundError:
            return []  # taken away by somebody else
        said = self._pull(name, data, now) if name.endswith(".JSON") else self._parcel(name, data, now)
        if self._manner.leave:
            with self._book.change():
                self._book.run("INSERT OR REPLACE INTO seen VALUES (?, ?)", name, look)
        else:
            path.unlink(missing_ok=True)
        return said

    def _parcel(self, name: str, data: bytes, now: datetime) -> list[str]:
        # Of letters that came one by one the sender knows the digest that it announced.
        announced = announcement_of(data)
        sha256 = hashlib.sha256(data).hexdigest() if announced is None else announced.sha256
        before = self._book.row("SELECT * FROM parcel WHERE name = ?", name)
        if before is not None and before["sha256"] == sha256:
            return self._again(name, now)
        if before is not None:
            with self._book.change():
                self._book.run("UPDATE parcel SET times = times + 1 WHERE name = ?", name)
            return [f"{name} came again with another content: refused, nothing printed."]
        try:
            package = examine(name, data, self._manner.profile, self._manner.identity)
        except BatchRefused as error:
            with self._book.change():
                self._book.run("INSERT INTO parcel (name, sha256, refused) VALUES (?, ?, ?)", name, sha256, error.code)
            return [f"{name} is refused: {error.detail} ({error.code})"]
        with self._book.change():
            return self._accept(name, sha256, package, now)

    def _again(self, name: str, now: datetime) -> list[str]:
        """The same file once more: the same answers once more, and nothing else."""
        with self._book.change():
            self._book.run("UPDATE parcel SET times = times + 1 WHERE name = ?", name)
            parcel = self._book.row("SELECT * FROM parcel WHERE name = ?", name)
            assert parcel is not None
            if parcel["refused"] is not None:
                return [f"{name} was submitted again; it is refused as before ({parcel['refused']})."]
            telling.acknowledge(self._book, parcel, now)
            if not is_proof_name(name_open(name)):
                telling.respond(self._book, parcel, self._answers(name), now)
        return [f"{name} was submitted again: answered as before, not printed again."]

    def _answers(self, name: str) -> list[LetterAnswer]:
        rows = self._book.rows("SELECT * FROM letter WHERE parcel = ? ORDER BY rowid", name)
        return [
            LetterAnswer(id=row["id"], attempt=row["attempt"], accepted=row["rejected"] is None, code=row["rejected"])
            for row in rows
        ]

    def _accept(self, name: str, sha256: str, package: Package, now: datetime) -> list[str]:
        manifest, manner = package.manifest, self._manner
        own = name_open(name).split("_")
        keep = None if manner.keep_days is None else now.timestamp() + manner.keep_days * manner.day
        self._book.run(
            "INSERT INTO parcel (name, sha256, sender, batch, stamp, letters, sheets, delete_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(name, sha256, manifest.sender, manifest.batch, own[4], len(manifest.letters), package.sheets, keep),
        )
        if manifest.proof:
            parcel = self._book.row("SELECT * FROM parcel WHERE name = ?", name)
            assert parcel is not None
            telling.acknowledge(self._book, parcel, now)
            return [f"{name} is a proof: printed on {package.sheets} sheets to be looked at, never posted."]
        said = [f"{name} has arrived with {len(manifest.letters)} letters on {package.sheets} sheets."]
        answers = []
        for letters in by_set(manifest.letters):
            new = []
            for letter in letters:
                known = self._book.row("SELECT * FROM letter WHERE id = ? AND attempt = ?", letter.id, letter.attempt)
                if known is None:
                    new.append(letter)
                    continue
                said.append(f"Letter {letter.id}, attempt {letter.attempt}, is known already: not printed again.")
                answers.append(_answer(letter, known["rejected"]))
            if new:
                answers += self._new(name, package, new, now, whole=len(new) == len(letters))
        parcel = self._book.row("SELECT * FROM parcel WHERE name = ?", name)
        assert parcel is not None
        telling.acknowledge(self._book, parcel, now)
        telling.respond(self._book, parcel, answers, now)
        turned = sum(not answer.accepted for answer in answers)
        if turned:
            said.append(f"{turned} letters of {name} are rejected.")
        return said

    def _new(
        self, name: str, package: Package, letters: Sequence[ManifestLetter], now: datetime, *, whole: bool
    ) -> list[LetterAnswer]:
        """Take in what was never here: a letter, or those of an envelope, which have one fate; what is answered."""
        manner, first = self._manner, letters[0]
        fate = draw(first, manner.rates, manner.seed, tracked=manner.tracked)
        shared = first.set_sheets is not None
        envelope = f"{package.manifest.sender}:{first.set}" if shared else None
        answers = []
        for letter in letters:
            code = package.rejected.get((letter.id, letter.attempt))
            if code is None and fate.rejected is not None:
                code = fate.rejected if letter is first else SET_INCOMPLETE
            if code is None and shared and not whole:
                code = SET_INCOMPLETE
            self._book.run(
                "INSERT INTO letter (id, attempt, parcel, sheets, rejected, envelope) VALUES (?, ?, ?, ?, ?, ?)",
                *(letter.id, letter.attempt, name, letter.sheets, code, envelope),
            )
            answers.append(_answer(letter, code))
        if all(each.accepted for each in answers):
            self._plan(package, letters, fate, now.timestamp(), envelope)
        return answers

    def _plan(
        self, package: Package, letters: Sequence[ManifestLetter], fate: Fate, now: float, envelope: str | None
    ) -> None:
        manner, rates, letter = self._manner, self._manner.rates, letters[0]
        sheets = sum(each.sheets for each in letters)
        paid = [each.postage_cents for each in letters if each.postage_cents is not None]
        postage = sum(paid) if len(paid) == len(letters) else None
        for number, each in enumerate(fate.happenings):
            chance = rolls(manner.seed, letter.id, letter.attempt, number)
            at = now + each.day * manner.day
            late = chance.uniform(1, 4) if chance.random() < rates.reorder else 0.0
            times = 2 if chance.random() < rates.replay else 1
            posted = each.event is PostalEvent.POSTED
            self._book.run(
                "INSERT INTO happening (event_id, id, attempt, event, at, tell_at, cause, sheets, postage, registered,"
                " times, envelope) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(f"{letter.id}-{letter.attempt}-{number + 1}-{each.event}", letter.id, letter.attempt, each.event),
                *(at, at + late * manner.day, each.cause, sheets if posted else None),
                *(postage if posted else None, letter.registered_number if posted else None, times, envelope),
            )
        for picture in fate.pictures:
            at = now + picture.day * manner.day
            made = pictures.make(picture.what, package, letter, datetime.fromtimestamp(at, UTC))
            code = pictures.sheet_code(made[1]) if picture.what is exchange.ScanOf.RETURNED_LETTER else None
            self._book.run(
                "INSERT INTO picture (id, attempt, what, at, cause, sheet_code, ending, content, envelope)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(letter.id, letter.attempt, picture.what, at, picture.cause, code, *made, envelope),
            )

    def _pull(self, name: str, data: bytes, now: datetime) -> list[str]:
        try:
            message = exchange.decode(data)
        except ExchangeRefused as error:
            return [f"{name} is refused: {error.detail} ({error.code})"]
        taken = exchange.read_name(name)
        assert taken is not None
        if not isinstance(message, Pull) or (message.batch, message.number) != (taken.batch, taken.number):
            return [f"{name} is refused: it is not the pull list that its name says."]
        with self._book.change():
            letters = tuple(self._pull_one(each.id, each.attempt, now) for each in message.letters)
            answer = exchange.PullAnswer(batch=message.batch, number=message.number, at=now, letters=letters)
            own = FileName(taken.sender, taken.batch, taken.stamp, What.PULL_ANSWER, taken.number)
            telling.put(self._book, own, exchange.encode(answer))
        out = sum(each.pulled for each in letters)
        return [f"{name}: {out} of {len(letters)} letters are taken out."]

    def _pull_one(self, letter: str, attempt: int, now: datetime) -> PulledLetter:
        row = self._book.row("SELECT * FROM letter WHERE id = ? AND attempt = ?", letter, attempt)
        envelope = None if row is None else row["envelope"]
        own = "envelope = ?" if envelope else "envelope IS NULL AND id = ? AND attempt = ?"
        of = (envelope,) if envelope else (letter, attempt)
        gone = self._book.row(
            f"SELECT 1 FROM happening WHERE {own} AND event = ? AND at <= ?",  # noqa: S608
            *(*of, PostalEvent.POSTED, now.timestamp()),
        )
        code = "UNKNOWN" if row is None else "REJECTED" if row["rejected"] else "POSTED" if gone else None
        if code is None:
            self._book.run("UPDATE letter SET pulled = 1 WHERE id = ? AND attempt = ?", letter, attempt)
            if envelope and self._book.row("SELECT 1 FROM letter WHERE envelope = ? AND pulled = 0", envelope):
                # Closed by hand over the others, whose way goes on.
                self._book.run(
                    "UPDATE happening SET sheets = sheets - (SELECT sheets FROM letter WHERE id = ? AND attempt = ?)"
                    " WHERE envelope = ? AND sheets IS NOT NULL",
                    *(letter, attempt, envelope),
                )
                return PulledLetter(id=letter, attempt=attempt, pulled=True)
            # What has happened before is still told; what would have happened does not happen.
            self._book.run(f"DELETE FROM happening WHERE {own} AND at > ?", *of, now.timestamp())  # noqa: S608
            self._book.run(f"DELETE FROM picture WHERE {own} AND told = 0", *of)  # noqa: S608
        return PulledLetter(id=letter, attempt=attempt, pulled=code is None, code=code)


def _answer(letter: ManifestLetter, rejected: str | None) -> LetterAnswer:
    return LetterAnswer(id=letter.id, attempt=letter.attempt, accepted=rejected is None, code=rejected)


def _is_parcel(name: str) -> bool:
    return is_file_name(name_open(name)) or is_proof_name(name_open(name))
