"""The report of a completed request: who signed what when by which certificate, sealed, for people and for archives."""

import tomllib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from service.db.ids import SIGNATURE_REQUEST, public_id
from service.db.signatures import SignerRow
from service.domain.errors import Final as Never
from service.domain.errors import Retryable
from service.usecases.context import Context
from service.usecases.evidence_page.rendering import typeset
from service.usecases.evidence_page.shown import shown
from service.usecases.evidence_page.wording import wording
from service.usecases.signatures.folders import Person, Signing, done
from signing.errors import SigningError

LANGUAGES: Final = ("nl", "fr", "de", "en")
ATTACHMENT: Final = "signatures.json"
_HERE: Final = Path(__file__).parent


class Fact(msgspec.Struct, frozen=True):
    """Something the report states, under its label; ``code``: not words."""

    label: str
    text: str
    code: bool = False


class SignerPart(msgspec.Struct, frozen=True):
    """What is said of one signer."""

    heading: str
    facts: list[Fact]


class ReportPage(msgspec.Struct, frozen=True):
    """All that the template is given. Only ``title`` enters the file's metadata; it names nobody."""

    language: str
    region: str
    title: str
    issuer: str
    request_id: str
    sentence: str
    summary: list[Fact]
    signers: list[SignerPart]
    notes: list[str]
    attachment: str
    attachment_description: str


@cache
def words(language: str) -> dict[str, str]:
    """The report's sentences in a language that requests can have."""
    with (_HERE / "words" / f"{language}.toml").open("rb") as file:
        return msgspec.convert(tomllib.load(file), dict[str, str])


def sealed_report(
    context: Context, signing: Signing, records: list[dict[str, object]], *, sealed_sha256: Sequence[str]
) -> bytes:
    """The report as PDF/A-3a and PDF/UA-1 with the evidence records attached, sealed like the documents.

    No transaction should be open: the seal's time-stamp comes over the network.

    Args:
        context: its sealers and clock are used.
        signing: a request that all have signed.
        records: its evidence so far.
        sealed_sha256: of the sealed documents, in their order.

    Raises:
        Retryable: the seal could not be made at the moment.
        Final: it never can be.
    """
    now = context.clock()
    page = contents(context, signing, sealed_sha256=sealed_sha256, now=now)
    attached = msgspec.json.encode({"signature_request": page.request_id, "evidence": records})
    pdf = typeset(_HERE / "template", "report", msgspec.json.encode(page), attached, at=now)
    try:
        return context.sealer(signing.organisation).seal(pdf, at=now)
    except SigningError as error:
        if not error.retryable:
            raise Never("The report can't be sealed.", reason="seal_failed", code=error.code) from None
        raise Retryable("The report could not be sealed at the moment.", code=error.code) from error


def contents(context: Context, signing: Signing, *, sealed_sha256: Sequence[str], now: datetime) -> ReportPage:
    """What the report says."""
    row, said = signing.row, words(signing.row.language)
    moment = wording(row.language).moment
    issuer, sender = shown(context.issuer_name), shown(signing.organisation.name)
    return ReportPage(
        language=row.language,
        region=wording(row.language).region,
        title=said["title"],
        issuer=issuer,
        request_id=public_id(SIGNATURE_REQUEST, row.id),
        sentence=said["sentence" if len(signing.documents) == 1 else "sentence_several"].format(
            issuer=issuer, sender=sender, count=len(signing.documents)
        ),
        summary=[
            Fact(said["subject"], shown(signing.personal.subject)),
            Fact(said["reference"], shown(row.reference)),
            Fact(said["sender"], sender),
            Fact(said["requested"], moment(row.created_at)),
            Fact(said["completed"], moment(now)),
            *_documents(signing, sealed_sha256, said),
        ],
        signers=[
            _signer(context, each, person, said, moment=moment)
            for each, person in zip(signing.signers, signing.people, strict=True)
        ],
        notes=[said["judge"], said["log"]],
        attachment=ATTACHMENT,
        attachment_description=said["attachment"],
    )


def _documents(signing: Signing, sealed_sha256: Sequence[str], said: dict[str, str]) -> list[Fact]:
    """Which documents they are; one that is alone needs no name."""
    facts = []
    for document, sealed in zip(signing.documents, sealed_sha256, strict=True):
        if len(signing.documents) > 1:
            facts.append(Fact(said["document"].format(number=document.number), shown(document.filename)))
        facts += [
            Fact(said["submitted"], document.row.submitted_sha256.hex(), code=True),
            Fact(said["sealed"], sealed, code=True),
        ]
    return facts


def _signer(
    context: Context, row: SignerRow, person: Person, said: dict[str, str], *, moment: Callable[[datetime], str]
) -> SignerPart:
    did = done(context, row)
    facts = [Fact(said["number"], _grouped(person.number))] if person.number else []
    facts += [Fact(said["way"], said[row.way]), Fact(said["wanted"], said[row.level])]
    if did is not None and did.level is not None:
        facts += [
            Fact(said["reached"], said[did.level]),
            Fact(said["certificate"], shown(did.certificate_name or "")),
            Fact(said["certificate_issuer"], shown(did.certificate_issuer or "")),
            Fact(said["certificate_sha256"], did.certificate_sha256 or "", code=True),
        ]
    facts += [Fact(said[label], moment(at)) for label, at in (("asked", row.asked_at), ("at", row.acted_at)) if at]
    return SignerPart(said["signer"].format(position=row.position, name=shown(person.name)), facts)


def _grouped(number: str) -> str:
    return f"{number[:2]}.{number[2:4]}.{number[4:6]}-{number[6:9]}.{number[9:]}"
