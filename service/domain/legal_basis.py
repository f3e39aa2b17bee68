"""The legal-basis register: under which rules a kind of mail is delivered, as versioned data.

An entry says what a delivery means in law: whether the recipient is asked first, how long they have, what has legal
effect when, and what follows where the mailbox brings nothing. It is a TOML file that is never changed once it was in
force: another rule is another version. A delivery keeps the version it was sent under, and the SHA-256 of the entry's
file stands in its evidence.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from service.domain import calendar
from service.domain.errors import ZendingError
from service.domain.states import Event

LANGUAGES: Final = ("nl", "fr", "de", "en")
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,63}")
_MOST_DAYS: Final = 366


class EntryRefused(ZendingError):
    """An entry of the register that is incomplete, contradicts itself, or would leave registered mail undelivered."""

    code = "legal_basis_refused"


class Mail(StrEnum):
    """What kind of mail an entry is for."""

    ORDINARY = "ordinary"
    REGISTERED = "registered"


class Mode(StrEnum):
    """How registered mail comes into a mailbox."""

    CONSENT = "consent"
    """The recipient is told that registered mail waits, and accepts or refuses it before they see anything of it."""
    DIRECT = "direct"
    """It lies in the mailbox at once; opening it is evidenced."""


class Ending(StrEnum):
    """How the way into the mailbox can end without the recipient having the document."""

    NO_MAILBOX = "no_mailbox"
    NOTICE_FAILED = "notice_failed"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNREAD = "unread"


class Fallback(StrEnum):
    """What follows such an ending."""

    REGISTERED_PAPER = "registered_paper"
    ORDINARY_PAPER = "ordinary_paper"
    NOTHING = "nothing"


EFFECTS: Final = frozenset(
    {
        Event.NOTIFICATION_FOR_ACCEPTANCE,
        Event.CONTENT_CONSIGNMENT,
        Event.CONSIGNMENT_ACCEPTANCE,
        Event.CONSIGNMENT_REJECTION,
        Event.ACCEPTANCE_REJECTION_EXPIRY,
        Event.CONTENT_ACCESS_TRACKING,
        Event.RELAY_TO_NON_ERDS,
        Event.POSTED,
        Event.DELIVERED,
    }
)
"""Events that a rule of legal effect can start from."""


@dataclass(frozen=True, slots=True)
class EffectRule:
    """From when on a delivery has legal effect, by one event.

    Attributes:
        on: the event it is counted from.
        working_days: 0 for the moment of the event; else the beginning, in Brussels, of the n-th working day after it.
    """

    on: Event
    working_days: int = 0

    def moment(self, at: datetime) -> datetime:
        """The moment of legal effect for an event at ``at``."""
        if not self.working_days:
            return at
        return calendar.begins(calendar.add_working_days(calendar.local_date(at), self.working_days))


@dataclass(frozen=True, slots=True)
class Days:
    """A number of days that a sender may choose within bounds."""

    usual: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of one entry.

    Attributes:
        id: names the entry for ever.
        version: counts from 1.
        sha256: of the entry's file, in lower-case hex.
        example: fictional: it shows what the register can say, and is no law.
        title: in each language.
        text: the rule in words, as its source gives it or sums it up.
        source: where it stands.
        mail: the kind of mail it is for.
        modes: of registered mail in a mailbox, the usual one first.
        acceptance: days to accept or refuse an offer, counted from the day after the notice; None without consent mode.
        end_moves: a period that ends on a Saturday, Sunday or holiday ends on the next working day.
        extended: recorded unavailability of the service extends running periods.
        hides_sender: who sent it is told only after acceptance.
        unread_days: days in the mailbox after which unread mail counts as an ending; None for never.
        remind_after: days after the notice on which the recipient is reminded.
        remind_before: days before the end on which the recipient is reminded.
        fallback: what follows each ending.
        effect: what has legal effect.
        in_force_from: from which day on deliveries are sent under it.
        raw: the entry's file, as it is published.
    """

    id: str
    version: int
    sha256: str
    example: bool
    title: Mapping[str, str]
    text: str
    source: str
    mail: Mail
    modes: tuple[Mode, ...]
    acceptance: Days | None
    end_moves: bool
    extended: bool
    hides_sender: bool
    unread_days: int | None
    remind_after: tuple[int, ...]
    remind_before: tuple[int, ...]
    fallback: Mapping[Ending, Fallback]
    effect: tuple[EffectRule, ...]
    in_force_from: date
    raw: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Id and version, as they stand in evidence as the policy's id."""
        return f"{self.id}/{self.version}"


class Register:
    """All entries, by id and version."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Gather entries.

        Raises:
            EntryRefused: two are the same version of the same entry.
        """
        self._entries: dict[str, dict[int, Entry]] = {}
        for entry in entries:
            versions = self._entries.setdefault(entry.id, {})
            if entry.version in versions:
                raise EntryRefused("Two files are the same version of an entry.", context={"entry": entry.name})
            versions[entry.version] = entry

    def current(self, entry_id: str, day: date) -> Entry | None:
        """The newest version in force on a day; None where there is none."""
        known = self._entries.get(entry_id, {}).values()
        return max((each for each in known if each.in_force_from <= day), key=lambda each: each.version, default=None)

    def version(self, entry_id: str, version: int) -> Entry | None:
        """One version."""
        return self._entries.get(entry_id, {}).get(version)

    def entries(self) -> tuple[Entry, ...]:
        """All of them, by id and version."""
        return tuple(
            self._entries[entry_id][version]
            for entry_id in sorted(self._entries)
            for version in sorted(self._entries[entry_id])
        )


def silent_endings(modes: Iterable[Mode]) -> frozenset[Ending]:
    """Endings that the recipient may know nothing of: for registered mail a registered letter follows them."""
    found = {Ending.NO_MAILBOX, Ending.NOTICE_FAILED}
    # Who accepted knows of it; who has mail lying there unopened may not.
    found |= {Ending.EXPIRED if mode is Mode.CONSENT else Ending.UNREAD for mode in modes}
    return frozenset(found)


def read_entry(raw: bytes) -> Entry:
    """Read and check one entry.

    Args:
        raw: the TOML file.

    Raises:
        EntryRefused: what is wrong, in ``detail``.
    """
    try:
        given = tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EntryRefused(f"This is not TOML in UTF-8: {error}") from None
    reader = _Reader(given)
    entry = reader.entry(raw)
    reader.done()
    _check(entry)
    return entry


class _Reader:
    """Takes fields out of a table one by one, so that what is left at the end is unknown."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = dict(given)

    def entry(self, raw: bytes) -> Entry:
        title = self._take("title", dict)
        acceptance = self._take("acceptance_days", dict, {})
        reminders = self._take("reminders", dict, {})
        return Entry(
            id=self._take("id", str),
            version=self._take("version", int),
            sha256=hashlib.sha256(raw).hexdigest(),
            example=self._take("example", bool),
            title={language: str(title.get(language, "")).strip() for language in LANGUAGES},
            text=self._take("text", str).strip(),
            source=self._take("source", str).strip(),
            mail=self._word(Mail, self._take("mail", str)),
            modes=tuple(self._word(Mode, each) for each in self._take("modes", list, [])),
            acceptance=self._days(acceptance) if acceptance else None,
            end_moves=self._take("end_moves", bool),
            extended=self._take("extended_by_unavailability", bool),
            hides_sender=self._take("hides_sender", bool, default=False),
            unread_days=self._take("unread_days", int, default=0) or None,
            remind_after=self._numbers(reminders.get("after", [])),
            remind_before=self._numbers(reminders.get("before_end", [])),
            fallback={
                self._word(Ending, ending): self._word(Fallback, way)
                for ending, way in self._take("fallback", dict).items()
            },
            effect=tuple(self._effect(each) for each in self._take("effect", list)),
            in_force_from=self._take("in_force_from", date),
            raw=raw,
        )

    def done(self) -> None:
        if self._given:
            raise EntryRefused(f"A field is not known: {', '.join(sorted(self._given))}.")

    def _take(self, name: str, kind: type, default: Any = None) -> Any:
        value = self._given.pop(name, default)
        if value is None:
            raise EntryRefused(f"The field {name} is missing.")
        if type(value) is not kind:
            raise EntryRefused(f"The field {name} is not of the kind it must be ({kind.__name__}).")
        return value

    @staticmethod
    def _word(words: Any, value: object) -> Any:
        try:
            return words(value)
        except ValueError:
            raise EntryRefused(f"{value!r} is not one of {', '.join(words)}.") from None

    def _days(self, given: dict[str, Any]) -> Days:
        if given.keys() != {"usual", "least", "most"}:
            raise EntryRefused("The days to accept name usual, least and most.")
        usual, least, most = self._numbers([given["usual"], given["least"], given["most"]])
        if not least <= usual <= most:
            raise EntryRefused("The usual days to accept lie between the least and the most.")
        return Days(usual, least, most)

    @staticmethod
    def _numbers(values: object) -> tuple[int, ...]:
        good = isinstance(values, list) and all(type(each) is int and 1 <= each <= _MOST_DAYS for each in values)
        if not good:
            raise EntryRefused(f"Days are whole numbers from 1 to {_MOST_DAYS}.")
        assert isinstance(values, list)
        return tuple(values)

    def _effect(self, given: object) -> EffectRule:
        if not isinstance(given, dict) or not given.keys() <= {"on", "working_days"}:
            raise EntryRefused("A rule of effect names on, and working_days where it is not at once.")
        days = given.get("working_days", 0)
        if type(days) is not int or not 0 <= days <= _MOST_DAYS:
            raise EntryRefused(f"Working days are a whole number from 0 to {_MOST_DAYS}.")
        return EffectRule(self._word(Event, given.get("on")), days)


def _check(entry: Entry) -> None:
    """What no entry may say, however it is written."""
    wrong = _first_wrong(entry)
    if wrong is not None:
        raise EntryRefused(wrong, context={"entry": entry.name})


def _first_wrong(entry: Entry) -> str | None:
    consent = Mode.CONSENT in entry.modes
    registered = entry.mail is Mail.REGISTERED
    silent = silent_endings(entry.modes)
    rules = {rule.on for rule in entry.effect}
    wrongs = (
        (
            not _ID.fullmatch(entry.id) or entry.version < 1,
            "An id is small letters, digits and dashes; versions begin at 1.",
        ),
        (not all(entry.title.values()), "The title is there in nl, fr, de and en."),
        (not entry.text or not entry.source, "An entry says what the rule is and where it stands."),
        (registered != bool(entry.modes), "Registered mail has modes, ordinary mail has none."),
        (len(set(entry.modes)) != len(entry.modes), "A mode is named twice."),
        (consent != (entry.acceptance is not None), "Days to accept belong to consent mode, and it to them."),
        (entry.hides_sender and set(entry.modes) != {Mode.CONSENT}, "The sender is kept back in consent mode only."),
        (not rules or not rules <= EFFECTS, "An event that nothing of this kind can count from, or none at all."),
        (len(rules) != len(entry.effect), "Two rules of effect count from the same event."),
        (
            registered and any(entry.fallback.get(each) is not Fallback.REGISTERED_PAPER for each in silent),
            "Every silent end of registered mail goes on to registered paper.",
        ),
        (
            (Mode.DIRECT in entry.modes) and entry.unread_days is None,
            "Registered mail that nobody reads goes on to paper: after how many days?",
        ),
        (
            consent and Ending.REFUSED not in entry.fallback,
            "Consent mode says what follows a refusal, if only that nothing does.",
        ),
        (
            not registered and entry.fallback.get(Ending.NO_MAILBOX) is not Fallback.ORDINARY_PAPER,
            "Ordinary mail without a mailbox goes on paper.",
        ),
        (
            entry.unread_days is not None and Ending.UNREAD not in entry.fallback,
            "What follows unread mail is missing.",
        ),
    )
    return next((text for wrong, text in wrongs if wrong), None)
