"""The form of a signature request: who signs what, filled in step by step and sent as programs send it.

Everything but the files travels with the form from step to step: nothing is kept here before the signers are asked.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import msgspec

from service.domain.errors import FieldError, Invalid
from service.domain.signing_folder import LONGEST_DAYS, MOST_SIGNERS, Order, Way
from service.portal.formats import ZONE
from service.portal.forms import Form
from service.portal.languages import N_
from service.portal.sender import letters
from service.portal.wording import Wording
from service.usecases.admission import Upload
from service.usecases.policies import Policies
from service.usecases.signatures import requests
from signing.signers import SignatureLevel

TEXTS: Final = ("subject", "reference", "language", "order", "last_day", "reminders")
"""Every field that is said once."""
OF_A_SIGNER: Final = ("way", "name", "number", "email", "level")
"""Every field of one signer."""
FILE: Final = "document"
USUAL_DAYS: Final = 30

WAYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Way.WEB_EID.value: N_("Person, with identity card"),
        Way.CSC.value: N_("Person, at %(service)s"),
        Way.SEAL.value: N_("Our organisation's seal"),
    }
)
LEVELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        SignatureLevel.QUALIFIED.value: N_("Qualified signature"),
        SignatureLevel.ADVANCED.value: N_("Advanced signature"),
    }
)
ORDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Order.SEQUENCE.value: N_("One after the other, in the order of this page"),
        Order.PARALLEL.value: N_("All at the same time"),
    }
)
REMINDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "3": N_("Every 3 days"),
        "7": N_("Every week"),
        "14": N_("Every two weeks"),
        "": N_("Never"),
    }
)

# Where the problems of a request belong on the form; a pointer below one of these belongs there too.
_PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "/subject": "subject",
        "/reference": "reference",
        "/language": "language",
        "/order": "order",
        "/days": "last_day",
        "/remind_after_days": "reminders",
        "/document": FILE,
    }
)
_OF_SIGNERS: Final[Mapping[str, str]] = MappingProxyType({"id": "number", "type": "way"})
_SIGNER: Final = re.compile(r"/signers/(\d{1,2})/([a-z]+)")
_ONE_FILE: Final = re.compile(rf"/{FILE}/(\d{{1,2}})")
_FIELD: Final = re.compile(r"signer-(\d+)-([a-z]+)")
# Codes that have words of their own where they are about a field of a signer, or about this form's file.
_SAID: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("number", "number_missing"): "signer_number_missing",
        ("name", "empty"): "signer_name_missing",
        (FILE, "document_missing"): "signing_document_missing",
        (FILE, "too_many_documents"): "signing_too_many_documents",
    }
)
_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "subject": N_("Subject"),
        "reference": N_("Your reference"),
        "language": N_("Language of the document"),
        "order": N_("If several sign"),
        "last_day": N_("Sign by"),
        "reminders": N_("Remind whoever has not signed"),
    }
)
_OF_ONE: Final = N_("Signer %(number)s")
_ORDER: Final = ("subject", "reference", "language", "signers", "order", "last_day", "reminders", FILE)


@dataclass(frozen=True)
class AskingForm:
    """A form as it is shown.

    Attributes:
        values: what is said once, by field.
        signers: what is said of each signer, by field.
        key: sent along once, so that a form that is sent twice asks once.
        problems: field → what is wrong with it, in words, in the order of the page.
        general: what is wrong with no field in particular.
        focus: the field where the reader goes on.
    """

    values: Mapping[str, str] = field(repr=False)
    signers: Sequence[Mapping[str, str]] = field(repr=False)
    key: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    general: str = ""
    focus: str = ""

    @property
    def on_the_file(self) -> bool:
        """Whether nothing is wrong but with the files, or with nothing on the form at all."""
        return not any(name != FILE for name in self.problems)


def blank(language: str, way: str, *, now: datetime) -> AskingForm:
    """An empty form, with one signer in this way."""
    values = dict.fromkeys(TEXTS, "") | {
        "language": language,
        "order": Order.SEQUENCE.value,
        "last_day": str(day_after(USUAL_DAYS, now=now)),
        "reminders": "7",
    }
    return AskingForm(values, [new_signer(way)])


def new_signer(way: str) -> dict[str, str]:
    """A signer of whom nothing is said yet."""
    return dict.fromkeys(OF_A_SIGNER, "") | {"way": way, "level": SignatureLevel.QUALIFIED.value}


def read(form: Form) -> AskingForm:
    """What was filled in, row by row; there is always a first signer."""
    signers = []
    for place in range(1, MOST_SIGNERS + 1):
        names = {each: field_of(place, each) for each in OF_A_SIGNER}
        if not any(name in form.texts for name in names.values()):
            break
        signers.append({each: form.text(name) for each, name in names.items()})
    values = {name: form.text(name) for name in TEXTS}
    return AskingForm(values, signers or [new_signer(Way.WEB_EID.value)], form.text("key"))


def changed(form: AskingForm, act: str, way: str) -> AskingForm:
    """The form after a button beside the signers: ``add``, ``remove-2``, ``up-2``; any other act leaves it as it is."""
    signers = [dict(each) for each in form.signers]
    verb, _, number = act.partition("-")
    places = {str(place): place for place in range(1, len(signers) + 1)}
    place = places.get(number, 0)
    if verb == "add" and len(signers) < MOST_SIGNERS:
        signers.append(new_signer(way))
        place = len(signers)
    elif verb == "remove" and place and len(signers) > 1:
        signers.pop(place - 1)
        place = min(place, len(signers))
    elif verb == "up" and place > 1:
        signers.insert(place - 2, signers.pop(place - 1))
        place -= 1
    else:
        return form
    return replace(form, signers=signers, focus=field_of(place, "way"))


def without_empty_rows(form: AskingForm) -> AskingForm:
    """The form without the signers of whom nothing was said, as long as there is another."""
    telling = ("name", "number", "email")
    said = [each for each in form.signers if each["way"] == Way.SEAL.value or any(each[name] for name in telling)]
    return replace(form, signers=said or form.signers[:1])


def field_of(place: int, name: str) -> str:
    """What a field of the signer at ``place`` (from 1) is called."""
    return f"signer-{place}-{name}"


def request_json(form: AskingForm, *, now: datetime) -> bytes:
    """The request's JSON, as a program of the organisation would send it."""
    values, days = form.values, days_until(form.values["last_day"], now=now)
    reminders = values["reminders"]
    asked: dict[str, Any] = {
        "reference": values["reference"],
        "subject": values["subject"],
        "language": values["language"],
        "signers": [_signer(each) for each in form.signers],
        "order": values["order"],
        # What is no day of these has its problem said apart, beside those that the use case finds.
        "days": days if _possible(days) else USUAL_DAYS,
        "remind_after_days": int(reminders) if reminders in REMINDERS and reminders else reminders or None,
    }
    return msgspec.json.encode(asked)


def days_until(last_day: str, *, now: datetime) -> int | None:
    """How many days the signers have; None where that is no day."""
    try:
        return (date.fromisoformat(last_day) - _today(now)).days
    except ValueError:
        return None


def day_after(days: int, *, now: datetime) -> date:
    """The day that many days from now, by the Belgian calendar."""
    return _today(now) + timedelta(days=days)


def check(form: AskingForm, policies: Policies, *, now: datetime) -> list[FieldError]:
    """Everything that is wrong with the form, as the use case finds it."""
    found = []
    if not _possible(days_until(form.values["last_day"], now=now)):
        found.append(FieldError("/days", "last_day_not_possible", f"The last day is 1 to {LONGEST_DAYS} days away."))
    try:
        requests.check(requests.read(request_json(form, now=now)), policies, now=now)
    except Invalid as error:
        found += error.errors
    return found


def uploads(form: Form) -> list[Upload]:
    """The files that were chosen."""
    return [Upload(FILE, file.filename, file.content) for file in form.chosen(FILE)]


def missing_files(chosen: Sequence[Upload]) -> list[FieldError]:
    """What is wrong with the choice of files itself; the use case looks at the rest."""
    return [] if chosen else [FieldError(f"/{FILE}", "document_missing", "")]


def with_problems(
    form: AskingForm, errors: Iterable[FieldError], say: Wording, *, general: str = "", files: Sequence[Upload] = ()
) -> AskingForm:
    """The form again, with what is wrong beside its fields (by name where it is one of several ``files``)."""
    found: dict[str, str] = {}
    for error in errors:
        place = _place(error.pointer or "")
        kind = "" if place is None else place.rpartition("-")[2]
        text = say.problem(_SAID.get((kind, error.code), error.code), error.detail)
        if (one := _ONE_FILE.fullmatch(error.pointer or "")) and int(one[1]) < len(files):
            text = say.problem_of("%(file)s", text, file=files[int(one[1])].filename)
        if place is None:
            general = general or text
        else:
            found.setdefault(place, text)
    ordered = {name: found[name] for name in sorted(found, key=_rank)}
    return replace(form, key=letters.new_key(), problems=ordered, general=general, focus="")


def summary(form: AskingForm, say: Wording) -> dict[str, str]:
    """The problems as the list above the form says them: with the name of the field, or of which signer."""
    named = {}
    for name, text in form.problems.items():
        found = _FIELD.fullmatch(name)
        if found is not None:
            named[name] = say.problem_of(_OF_ONE, text, number=found[1])
        else:
            named[name] = say.problem_of(_NAMES[name], text) if name in _NAMES else text
    return named


def _possible(days: int | None) -> bool:
    return days is not None and 1 <= days <= LONGEST_DAYS


def _signer(said: Mapping[str, str]) -> dict[str, Any]:
    if said["way"] == Way.SEAL.value:
        return {"type": "organisation", "way": said["way"]}
    return {
        "type": "citizen",
        "id": said["number"],
        "name": said["name"],
        "email": said["email"] or None,
        "way": said["way"],
        "level": said["level"],
    }


def _place(pointer: str) -> str | None:
    found = _SIGNER.match(pointer)
    if found is not None and (name := _OF_SIGNERS.get(found[2], found[2])) in OF_A_SIGNER:
        return field_of(int(found[1]) + 1, name)
    return letters.place(pointer, _PLACES)


def _rank(name: str) -> tuple[int, int, int]:
    found = _FIELD.fullmatch(name)
    if found is None:
        return _ORDER.index(name), 0, 0
    return _ORDER.index("signers"), int(found[1]), OF_A_SIGNER.index(found[2])


def _today(now: datetime) -> date:
    return now.astimezone(ZONE).date()
