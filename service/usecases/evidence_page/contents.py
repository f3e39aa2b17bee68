"""What a page says: the record and its place in the log, in the words of one language."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from service.domain.evidence import rfc3339
from service.domain.evidence_record import ActingBasis
from service.usecases.evidence_page.place import Place, place
from service.usecases.evidence_page.shown import MARK, shown
from service.usecases.evidence_page.told import ActedFor, Evidence, Identification, Letter, Party, Record
from service.usecases.evidence_page.wording import Wording

ATTACHMENT: Final = "evidence.json"
_VERIFY: Final = f"zending verify {ATTACHMENT} --trust authorities.pem --key 'KEY'"
_INSZ: Final = 11
_KBO: Final = 10


class Line(msgspec.Struct, frozen=True):
    """A line of a fact."""

    text: str
    style: Literal["plain", "strong", "code", "muted"] = "plain"


class Fact(msgspec.Struct, frozen=True):
    """Something the page states, under its label."""

    label: str
    lines: list[Line]


class Section(msgspec.Struct, frozen=True):
    """Facts under a heading."""

    heading: str
    facts: list[Fact]


class Digest(msgspec.Struct, frozen=True):
    """A digest of a document in one of its versions."""

    version: str
    value: str


class Document(msgspec.Struct, frozen=True):
    """A document by its digests."""

    name: str
    digests: list[Digest]


class Documents(msgspec.Struct, frozen=True):
    """The table of documents."""

    heading: str
    columns: list[str]
    rows: list[Document]


class Sentences(msgspec.Struct, frozen=True):
    """A list of sentences under a heading."""

    heading: str
    items: list[str]


class Action(msgspec.Struct, frozen=True):
    """A step of verifying, with commands that do it."""

    text: str
    commands: list[str] = []


class Steps(msgspec.Struct, frozen=True):
    """How to verify, step by step."""

    heading: str
    steps: list[Action]


class Page(msgspec.Struct, frozen=True):
    """All that the template is given. Only ``title`` enters the file's metadata; it names nobody."""

    language: str
    region: str
    title: str
    issuer: str
    evidence_id: str
    attachment: str
    attachment_description: str
    sentence: str
    summary: list[Fact]
    parties: Section
    documents: Documents
    record: Section
    log: Section
    proves: Sentences
    proves_not: Sentences
    verify: Steps
    notes: list[str]

    @property
    def file_name(self) -> str:
        """The name under which the page is handed out."""
        return f"{self.evidence_id}.pdf"


def contents(evidence: Evidence, words: Wording, *, drawn_up: datetime) -> Page:
    """The page of a published evidence.

    Args:
        evidence: what is told.
        words: in which language.
        drawn_up: when the page is made.
    """
    record, event = evidence.record, words.events[evidence.record.event]
    at = place(evidence.checkpoint, evidence.timestamp_token)
    names = _names(record, words)
    told = [*names.values(), *(_number(party, words) for party in (record.sender, *record.recipients))]
    marked = any(MARK in text for text in told)
    return Page(
        language=words.language,
        region=words.region,
        title=words.page["title"].format(event=event.title),
        issuer=names["issuer"],
        evidence_id=record.evidence_id,
        attachment=ATTACHMENT,
        attachment_description=words.page["attachment"],
        sentence=event.sentence.format_map(names),
        summary=_summary(record, words),
        parties=_parties(record, words),
        documents=_documents(record, words),
        record=_record(record, words),
        log=_log(evidence.log_index, at, words),
        proves=_proves(names, at, words),
        proves_not=Sentences(words.headings["proves_not"], [event.limit, *words.proves_not.values()]),
        verify=_verify(record, words),
        notes=[
            words.page["drawn_up"].format(moment=words.moment(drawn_up)),
            *([words.page["unprintable"]] if marked else []),
        ],
    )


def _names(record: Record, words: Wording) -> Mapping[str, str]:
    """Who takes part, as sentences name them."""
    recipients = [shown(party.name) if party.name else words.page["recipient"] for party in record.recipients]
    return {
        "issuer": shown(record.issuer),
        "sender": shown(record.sender.name or record.sender.id),
        "recipient": ", ".join(recipients),
        "provider": shown(record.external.name) if record.external else words.page["provider"],
    }


def _summary(record: Record, words: Wording) -> list[Fact]:
    facts = [Fact(words.labels["when"], _moment(record.event_time, words, "strong"))]
    if record.reasons:
        facts.append(
            Fact(words.labels["reasons"], [Line(f"{words.reasons[reason]} ({reason})") for reason in record.reasons])
        )
    if record.letter and record.letter.registered_number:
        facts.append(Fact(words.labels["registered_number"], [Line(shown(record.letter.registered_number), "code")]))
    if record.external:
        reference = words.facts["reference"].format(reference=shown(record.external.reference))
        facts.append(
            Fact(words.labels["provider"], [Line(shown(record.external.name), "strong"), Line(reference, "muted")])
        )
        if record.external.report:
            facts.append(Fact(words.labels["report"], [Line(shown(record.external.report))]))
    return facts


def _parties(record: Record, words: Wording) -> Section:
    facts = [Fact(words.labels["sender"], _party(record.sender, words, "none_sender"))]
    facts += [Fact(words.labels["recipient"], _party(party, words, "none_recipient")) for party in record.recipients]
    if record.actor is not None:
        facts.append(Fact(words.labels["actor"], [Line(words.actors[record.actor])]))
    if record.identification is not None:
        facts += _identified(record.identification, words)
    facts.append(Fact(words.labels["issuer"], [Line(shown(record.issuer))]))
    return Section(words.headings["parties"], facts)


def _identified(how: Identification, words: Wording) -> list[Fact]:
    by = words.facts["log_in"].format(provider=shown(how.provider)) if how.provider else words.facts["no_provider"]
    when = [Line(words.facts["no_log_in_time"])]
    if how.authenticated_at is not None:
        when = _moment(how.authenticated_at, words, "plain")
    level = Line(words.levels["none_person" if how.level == "none" else how.level], "muted")
    facts = [Fact(words.labels["identified"], [Line(by), *when, level])]
    if how.acted_for is not None:
        facts.append(Fact(words.labels["acted_for"], _acted_for(how.acted_for, words)))
    return facts


def _acted_for(party: ActedFor, words: Wording) -> list[Line]:
    number = _number(party, words)
    basis = words.facts["by_log_in"]
    if party.basis is ActingBasis.MANDATE:
        basis = words.facts["by_mandate"].format(mandate=shown(party.mandate or ""))
    return [
        Line(words.kinds[party.kind] + (f", {number}" if number else "")),
        Line(basis),
        Line(words.facts["person"].format(person=shown(party.person)), "muted"),
    ]


def _party(party: Party, words: Wording, unidentified: str) -> list[Line]:
    number = _number(party, words)
    kind = words.kinds[party.kind] + (f", {number}" if number else "")
    name = [Line(shown(party.name), "strong")] if party.name else []
    level = unidentified if party.assurance_level == "none" else party.assurance_level
    return [*name, Line(kind), Line(words.levels[level], "muted")]


def _number(party: Party | ActedFor, words: Wording) -> str:
    """The number that identifies a party, in groups as people write it; empty where there is none."""
    number = party.id
    if not number:
        return ""
    if party.kind == "citizen" and len(number) == _INSZ and number.isdecimal():
        grouped = f"{number[:2]}.{number[2:4]}.{number[4:6]}-{number[6:9]}.{number[9:]}"
        return f"{words.numbers['citizen']} {grouped}"
    if len(number) == _KBO and number.isdecimal():
        return f"{words.numbers['enterprise']} {number[:4]}.{number[4:7]}.{number[7:]}"
    return f"{words.numbers['ovo' if number.startswith('OVO') else 'other']} {shown(number)}"


def _documents(record: Record, words: Wording) -> Documents:
    rows, attachments = [], 0
    for part in record.parts:
        attachments += part.role != "main"
        name = words.facts["main"] if part.role == "main" else words.facts["attachment"].format(number=attachments)
        digests = [Digest(words.labels["submitted"], part.submitted_sha256)]
        if part.sha256 != part.submitted_sha256:
            digests.insert(0, Digest(words.labels["sealed"], part.sha256))
        rows.append(Document(name, digests))
    paper = [] if record.letter is None else _paper(record.letter, words)
    if paper:
        rows.append(Document(words.facts["letter"], paper))
    columns = [words.labels[name] for name in ("document", "version", "digest")]
    return Documents(words.headings["documents"], columns, rows)


def _paper(letter: Letter, words: Wording) -> list[Digest]:
    known = {
        "printed": letter.print_sha256,
        "batch": letter.batch_sha256,
        "posting_proof": letter.posting_proof_sha256,
        "receipt": letter.receipt_sha256,
    }
    return [Digest(words.labels[label], digest) for label, digest in known.items() if digest]


def _record(record: Record, words: Wording) -> Section:
    route = words.facts["whole"]
    if record.leg is not None:
        route = words.facts["route"].format(leg=record.leg, attempt=record.attempt)
    legal_basis = []
    if record.legal_basis is not None:
        named = words.facts["basis"].format(id=shown(record.legal_basis.id), version=shown(record.legal_basis.version))
        legal_basis = [Fact(words.labels["legal_basis"], [Line(named), Line(record.legal_basis.sha256, "code")])]
    return Section(
        words.headings["record"],
        _facts(
            words,
            evidence=[Line(record.evidence_id, "code")],
            event=[Line(record.event.value), Line(record.event_uri, "muted")],
            delivery=[Line(record.message_id, "code")],
            submission=_moment(record.submission_time, words, "plain"),
            route=[Line(route)],
            policy=[Line(shown(record.policy_id))],
        )
        + legal_basis,
    )


def _log(index: int, at: Place, words: Wording) -> Section:
    stamp = [Line(words.facts["no_time_stamp"])]
    if at.stamp:
        by = words.facts["authority"].format(authority=shown(at.stamp.authority))
        stamp = [*_moment(at.stamp.at, words, "plain"), Line(by, "muted")]
    return Section(
        words.headings["log"],
        _facts(
            words,
            origin=[Line(at.origin)],
            index=[Line(words.facts["index"].format(index=index))],
            checkpoint=[Line(words.facts["checkpoint"].format(size=at.size))],
            root=[Line(at.root, "code")],
            keys=[Line(key, "code") for key in at.keys],
            time_stamp=stamp,
        ),
    )


def _proves(names: Mapping[str, str], at: Place, words: Wording) -> Sentences:
    in_log = words.proves["stamped"].format(moment=words.moment(at.stamp.at)) if at.stamp else words.proves["unstamped"]
    recorded = words.proves["recorded"].format_map(names)
    return Sentences(words.headings["proves"], [recorded, in_log, words.proves["documents"], words.proves["page"]])


def _verify(record: Record, words: Wording) -> Steps:
    steps = words.verify
    return Steps(
        words.headings["verify"],
        [
            Action(steps["keys"]),
            Action(steps["seal"], [f"zending verify {record.evidence_id}.pdf --trust authorities.pem"]),
            Action(steps["save"]),
            Action(steps["record"], [_VERIFY, f"python3 verify.py {ATTACHMENT} --key 'KEY' --tsa-ca tsa-ca.pem"]),
            Action(
                steps["document"], [_VERIFY.replace(ATTACHMENT, f"document.pdf {ATTACHMENT}"), "sha256sum document.pdf"]
            ),
        ],
    )


def _facts(words: Wording, **lines: Iterable[Line]) -> list[Fact]:
    return [Fact(words.labels[label], list(each)) for label, each in lines.items()]


def _moment(at: datetime, words: Wording, style: Literal["plain", "strong"]) -> list[Line]:
    """A moment by the clock in Belgium, and in UTC exactly as the record has it."""
    return [Line(words.moment(at), style), Line(f"UTC: {rfc3339(at)}", "muted")]
