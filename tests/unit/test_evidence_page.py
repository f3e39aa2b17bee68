"""The page of an evidence: complete in every language, true to its record, and only ever text."""

import re
import string
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import msgspec
import pikepdf
import pypdfium2
import pytest
import typst

from printing.typeset import face
from service.domain.addresses import ReturnReason
from service.domain.errors import Retryable
from service.domain.evidence import REASONS, AssuranceLevel, EvidenceEvent, Part, Party
from service.domain.evidence_record import ActedFor, ActingBasis, Identification
from service.domain.identifiers import RecipientKind
from service.domain.states import Actor
from service.ledger.verify import verify_evidence
from service.usecases.evidence_page import rendering, sealed_page
from service.usecases.evidence_page.contents import contents
from service.usecases.evidence_page.rendering import EvidencePageFailed, render
from service.usecases.evidence_page.sealed import EvidenceNotPublished
from service.usecases.evidence_page.shown import shown
from service.usecases.evidence_page.told import Evidence
from service.usecases.evidence_page.wording import LANGUAGES, Wording, wording
from signing.errors import TimeStampRefused, TimeStampUnavailable
from tests.evidence_page_support import (
    EVIDENCE_ID,
    LOG_IN,
    SEALED,
    SUBMITTED,
    WHEN,
    attached,
    citizen,
    evidence,
    page_of,
    text_of,
)
from tests.ledger_support import signer

HOSTILE = '#panic("x") *b* _i_ $y$ `c` <l> @r // c /* \\ ] } = #sys.inputs.evidence {sender} {0}'
NAMES = {"issuer", "sender", "recipient", "provider"}


def sentences(words: Wording) -> dict[str, str]:
    """Every sentence of a language by its place."""
    found: dict[str, str] = {}
    for section, keys in msgspec.to_builtins(words).items():
        for key, value in () if section == "language" else keys.items():
            parts = value if isinstance(value, dict) else {"": value}
            found |= {f"{section}.{key}.{part}": text for part, text in parts.items()}
    return found


def blanks(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same_things(language: str) -> None:
    english, other = sentences(wording("en")), sentences(wording(language))
    assert other.keys() == english.keys()
    assert {place for place in other if blanks(other[place]) != blanks(english[place])} == set()
    assert [place for place, text in other.items() if not text.strip() or text != text.strip()] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_a_record_can_hold_has_words(language: str) -> None:
    words = wording(language)
    assert words.events.keys() == set(EvidenceEvent)
    reasons = {reason for each in REASONS.values() for reason in each} | {reason.value for reason in ReturnReason}
    assert words.reasons.keys() == reasons | {"refused_by_recipient", "refused_by_mandatary", "mandate_without_effect"}
    assert words.kinds.keys() == {"organisation", *(kind.value for kind in RecipientKind)}
    levels = {level.value for level in AssuranceLevel} - {"none"}
    assert words.levels.keys() == levels | {"none_sender", "none_recipient", "none_person"}
    assert words.actors.keys() == set(Actor)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_events_are_told_alike_and_each_names_both_sides(language: str) -> None:
    events = wording(language).events
    assert len({words.sentence for words in events.values()}) == len(events)
    for words in events.values():
        assert {"sender", "recipient"} <= blanks(words.sentence) <= NAMES
        assert not blanks(words.title)
        assert not blanks(words.limit)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event", EvidenceEvent)
def test_every_event_becomes_a_page_in_every_language(event: EvidenceEvent, language: str) -> None:
    words = wording(language)
    text = text_of(page_of(evidence(event), language))
    names = {
        "issuer": "Zending (fictief)",
        "sender": "Fictieve Belastingdienst",
        "recipient": "An Peeters",
        "provider": "Fictieve Drukkerij",
    }
    assert words.page["title"].format(event=words.events[event].title) in text
    assert words.events[event].sentence.format_map(names) in text
    assert words.events[event].limit in text
    assert event.value in text
    for reason in REASONS.get(event, ()):
        assert words.reasons[reason] in text
    for heading in words.headings.values():
        assert heading in text


def test_a_page_states_its_record() -> None:
    text = text_of(page_of(evidence()))
    for said in (
        "maandag 23 november 2026 om 14:05:12 (Belgische tijd, UTC+01:00)",
        "UTC: 2026-11-23T13:05:12.123456Z",
        "maandag 23 november 2026 om 11:05:12",
        "organisatie, OVO-code OVO999901",
        "burger, identificatienummer (INSZ) 85.07.30-033.28",
        "betrouwbaarheidsniveau substantieel",
        SEALED,
        SUBMITTED,
        "zending-routing-1",
        "zending.example/log",
        "nummer 4, geteld vanaf 0",
        "over de eerste 10 registraties",
        "(Ed25519)",
        "(ML-DSA-44)",
        "door Zending Test TSA (fictional)",
        "zending verify evidence.json",
        "python3 verify.py evidence.json",
    ):
        assert said in text, said
    assert all(f"{key.name}+{key.id.hex()}" in text for key in signer().verifiers)


@pytest.mark.parametrize(
    ("identification", "said"),
    [
        (
            LOG_IN,
            (
                "logged in at https://aanmelden.example Monday, 23 November 2026 at 14:01:12 (Belgian time, UTC+01:00) "
                "UTC: 2026-11-23T13:01:12.123456Z Identified for this event with assurance level substantial"
            ),
        ),
        (
            Identification(None, AssuranceLevel.NONE, None),
            (
                "The log-in service was not recorded. The log-in service did not say when. The log-in service "
                "named no level of assurance."
            ),
        ),
        (
            replace(LOG_IN, acted_for=ActedFor(ActingBasis.LOG_IN, "f3a9")),
            (
                "Acted for citizen, national number (INSZ/NISS) 85.07.30-033.28 as the log-in service states The "
                "log-in service knows the person as f3a9."
            ),
        ),
        (replace(LOG_IN, acted_for=ActedFor(ActingBasis.MANDATE, "f3a9", "mdt_7")), "by mandate mdt_7"),
    ],
)
def test_a_page_says_how_somebody_was_identified_and_for_whom_they_acted(
    identification: Identification, said: str
) -> None:
    assert said in text_of(page_of(evidence(identification=identification), "en"))


def test_what_nobody_did_in_person_names_no_log_in() -> None:
    text = text_of(page_of(evidence(EvidenceEvent.ACCEPTANCE_REJECTION_EXPIRY), "en"))
    assert "Done by a period or a fixed time that ended" in text
    assert "logged in" not in text


def test_a_letter_is_bound_by_its_digests_and_the_posts_number() -> None:
    text = text_of(page_of(evidence(EvidenceEvent.RECEIVED_FROM_NON_ERDS), "en"))
    for said, digest in (("as printed", "1a"), ("file for the printer", "2b"), ("proof of posting", "3c")):
        assert f"{said} {digest * 32}" in text
    assert f"signed receipt {'4d' * 32}" in text
    assert "Registered number RX123456785BE" in text
    assert f"Legal basis example-consent, version 1 {'5e' * 32}" in text


def test_a_record_of_version_1_has_its_page_still() -> None:
    old: Any = evidence()
    for name in ("actor", "identification", "legal_basis", "letter"):
        old["record"].pop(name)
    old["record"]["version"] = 1
    text = text_of(page_of(old, "en"))
    assert "An Peeters opened a delivery" in text
    for label in ("Done by", "Identified logged", "Legal basis"):
        assert label not in text


def test_summer_time_is_told_as_such() -> None:
    text = text_of(page_of(evidence(at=datetime(2026, 7, 1, 22, 30, tzinfo=UTC)), "fr"))
    assert "jeudi 2 juillet 2026 à 00:30:00 (heure belge, UTC+02:00)" in text


@pytest.mark.parametrize(
    ("recipient", "said"),
    [
        (Party("enterprise", "0403019261", AssuranceLevel.LOW, "Voorbeeld nv"), "enterprise number 0403.019.261"),
        (Party("administration", "OVO000001", AssuranceLevel.HIGH, "Stad"), "administration, OVO code OVO000001"),
        (Party("administration", "0206731645", AssuranceLevel.HIGH, "Stad"), "enterprise number 0206.731.645"),
        (Party("administration", "stad", AssuranceLevel.HIGH, "Stad"), "administration, known as stad"),
        (Party("postal", "", AssuranceLevel.NONE, "Piet Jansen"), "recipient by post only, without a number"),
        (Party("citizen", "85073003328", AssuranceLevel.NONE, None), "the recipient opened a delivery from"),
    ],
)
def test_each_kind_of_recipient_is_named_by_its_number(recipient: Party, said: str) -> None:
    assert said in text_of(page_of(evidence(recipient=recipient), "en"))


def test_who_was_not_identified_is_said_not_to_be() -> None:
    text = text_of(page_of(evidence(recipient=citizen(assurance=AssuranceLevel.NONE)), "en"))
    assert "Named by the sender; not identified for this event." in text


def test_attachments_are_counted_and_one_digest_is_not_told_twice() -> None:
    parts = [
        Part("main", SEALED, SUBMITTED),
        *(Part("attachment", f"{number:064x}", f"{number:064x}") for number in (1, 2)),
    ]
    text = text_of(page_of(evidence(EvidenceEvent.SUBMISSION_REJECTION, parts=parts), "en"))
    assert "Attachment 1 as handed in" in text
    assert "Attachment 2 as handed in" in text
    assert text.count(" as handed in") == 3
    assert f"as sealed {SEALED}" in text
    assert text.count(" as sealed") == 1


def test_a_page_without_a_time_stamp_says_so() -> None:
    text = text_of(page_of(evidence(stamped=False), "en"))
    assert "None yet: the time rests on the log's own word." in text
    assert "at the latest on" not in text


def test_markup_in_a_name_is_shown_and_never_run() -> None:
    pdf = page_of(evidence(recipient=citizen(HOSTILE)))
    assert text_of(pdf).count(" ".join(HOSTILE.split())) == 2, "in the sentence and among the parties"


def test_a_name_can_neither_turn_nor_cover_other_words() -> None:
    name = "An\u202epeek\u200b\n\u0301\u0301 名 \U0001f600 \ue000"
    assert (
        shown(name).replace("\u200b", "")
        == "An[U+202E]peek[U+200B][U+000A][U+0301][U+0301] [U+540D] [U+1F600] [U+E000]"
    )
    text = text_of(page_of(evidence(recipient=citizen(name)), "en"))
    assert "[U+202E]" in text
    assert "Some characters can't be printed here" in text
    assert "Some characters" not in text_of(page_of(evidence(), "en"))


def test_accents_are_shown_however_they_were_typed() -> None:
    assert shown("Zoe\u0308 Łukasz Žižek Ελένη Анна") == "Zoë Łukasz Žižek Ελένη Анна"


def test_both_weights_have_the_same_letters() -> None:
    assert face("Bold", "wide").glyphs.keys() == face("Regular", "wide").glyphs.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_runs_over_the_edge(language: str) -> None:
    parts = [Part("main" if number == 0 else "attachment", SEALED, SUBMITTED) for number in range(10)]
    document = evidence(EvidenceEvent.RELAY_TO_NON_ERDS_FAILURE, recipient=citizen("W" * 200 + " mm" * 20), parts=parts)
    margin = 20 * 72 / 25.4
    with pypdfium2.PdfDocument(page_of(document, language)) as pdf:
        for page in pdf:
            width, text = page.get_width(), page.get_textpage()
            seen = [index for index in range(text.count_chars()) if text.get_text_range(index, 1).strip("\u200b \r\n")]
            boxes = [text.get_charbox(index) for index in seen]
            assert min(left for left, _, _, _ in boxes) > margin - 1
            assert max(right for _, _, right, _ in boxes) < width - margin + 1


def test_a_page_is_tagged_and_says_its_standards_language_and_title() -> None:
    with pikepdf.open(BytesIO(page_of(evidence(), "de"))) as pdf:
        assert pdf.Root.MarkInfo.Marked
        assert "/StructTreeRoot" in pdf.Root
        assert str(pdf.Root.Lang) == "de-BE"
        assert pdf.Root.ViewerPreferences.DisplayDocTitle
        with pdf.open_metadata() as metadata:
            assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("3", "A")
            assert metadata["pdfuaid:part"] == "1"
            assert metadata["dc:title"] == "Nachweis: vom Empfänger geöffnet"
        for key in ("/Author", "/Subject", "/Keywords"):
            assert key not in pdf.docinfo


def test_every_font_is_ours_or_the_typesetters_and_embedded() -> None:
    with pikepdf.open(BytesIO(page_of(evidence()))) as pdf:
        fonts = [found for found in pdf.objects if isinstance(found, pikepdf.Dictionary) and "/FontDescriptor" in found]
        assert {re.sub(r"^/\w{6}\+|-.*", "", str(font.BaseFont)) for font in fonts} <= {
            "LiberationSans",
            "DejaVuSansMono",
        }
        for font in fonts:
            assert any(key in font.FontDescriptor for key in ("/FontFile2", "/FontFile3")), font.BaseFont


def test_the_typesetter_has_nothing_to_warn_of() -> None:
    page = contents(msgspec.convert(evidence(), Evidence), wording("fr"), drawn_up=WHEN)
    _, warnings = typst.compile_with_warnings(
        rendering._template(rendering._FOLDER / "page.typ"),
        font_paths=rendering._fonts(),
        format="pdf",
        sys_inputs={"page": msgspec.json.encode(page).decode(), "evidence": "{}"},
        pdf_standards=["a-3a", "ua-1"],
    )
    assert warnings == []


def test_the_attachment_is_the_evidence_and_verifies_by_itself() -> None:
    document = evidence()
    pdf = page_of(document)
    assert attached(pdf) == document
    assert [check for check in verify_evidence(attached(pdf), signer().vkeys) if check.ok is False] == []
    with pikepdf.open(BytesIO(pdf)) as opened:
        (file,) = opened.Root.AF
        assert str(file.AFRelationship) == "/Data"
        assert str(file.EF.F.Subtype) == "/application/json"


def test_what_the_typesetter_refuses_is_not_quoted() -> None:
    page = contents(msgspec.convert(evidence(), Evidence), wording("nl"), drawn_up=WHEN)
    with pytest.raises(EvidencePageFailed) as caught:
        render(msgspec.structs.replace(page, sentence="Geheim 名"), b"{}", at=WHEN)
    assert "Geheim" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__


class _Sealer:
    """Stands for a seal that can't be made."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def seal(self, pdf: bytes, *, at: datetime) -> bytes:
        assert pdf.startswith(b"%PDF-")
        assert at == WHEN
        raise self.error


def _asked(error: Exception, document: dict[str, object]) -> object:
    context: Any = SimpleNamespace(clock=lambda: WHEN, sealer=lambda _: _Sealer(error))
    dossier: Any = SimpleNamespace(delivery=SimpleNamespace(language="nl"), organisation=None)
    return sealed_page(context, dossier, document)


def test_an_authority_that_is_away_is_a_matter_of_asking_again() -> None:
    with pytest.raises(Retryable) as caught:
        _asked(TimeStampUnavailable("away"), evidence())
    assert caught.value.code == "timestamp_unavailable"


def test_a_seal_that_can_never_be_made_is_our_fault() -> None:
    with pytest.raises(TimeStampRefused):
        _asked(TimeStampRefused("never"), evidence())


def test_what_is_not_published_has_no_page() -> None:
    unpublished = evidence() | {"proof": None, "checkpoint": None, "log_index": None, "timestamp_token": None}
    with pytest.raises(EvidenceNotPublished) as caught:
        _asked(AssertionError(), unpublished)
    assert caught.value.code == "evidence_not_published"
    assert "seconds" in caught.value.detail


def test_a_damaged_token_makes_no_page() -> None:
    first, second = evidence(), evidence()
    with pytest.raises(ValueError, match="something else than this checkpoint"):
        page_of(first | {"timestamp_token": second["timestamp_token"]})


def test_a_page_is_named_by_its_evidence() -> None:
    page = contents(msgspec.convert(evidence(), Evidence), wording("nl"), drawn_up=WHEN)
    assert page.file_name == f"{EVIDENCE_ID}.pdf"
