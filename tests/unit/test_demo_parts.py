"""The demonstration's own rules, without anything running."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from service.cli.demo_calls import CallRefused
from service.cli.demo_documents import documents_folder, make_document
from service.cli.demo_house import default_home, numbers, without_own
from service.cli.demo_mailbox import newest_message
from service.cli.demo_round import Row
from service.cli.demo_show import last_table, notes, table
from service.domain.addresses import PostalAddress, check
from service.domain.identifiers import RecipientId, RecipientKind
from service.embedded.fictional import MUNICIPALITY, ORGANISATIONS, PEOPLE, RECIPIENTS, SAMPLES, Sample
from service.embedded.pki import ensure_pki
from service.embedded.seeding import place_seal
from service.seals.looks import appearance
from service.seals.profile import PemKey, read_profile
from service.usecases import requests
from signing.keys import FileSealKey
from signing.seal import Sealer
from tests.appearance_support import described
from tests.domain_support import USUAL
from tests.inspection_support import DOCUMENTS
from tests.ledger_support import NOW

EVIDENCE = [{"event": name, "published": True} for name in ("SubmissionAcceptance", "RelayToNonERDS")]


def row(sample: Sample = SAMPLES[0], status: str = "handed_over", channel: str | None = "paper") -> Row:
    return Row(sample, delivery={"id": "dlv_1", "status": status, "channel": channel, "problems": []})


# --------------------------------------------------------------------------------------------------- fictional world


def test_every_sample_is_a_hand_in_without_mistakes() -> None:
    for sample in SAMPLES:
        requests.checked(requests.read(json.dumps(sample.as_json()).encode()), USUAL)


def test_every_recipient_has_a_good_number_and_address() -> None:
    for recipient in RECIPIENTS.values():
        if recipient.number is not None:
            RecipientId.parse(RecipientKind(recipient.kind), recipient.number)
        assert check(PostalAddress(**recipient.address)) == ()


def test_names_of_the_fictional_world_agree_with_one_another() -> None:
    slugs = {organisation.slug for organisation in ORGANISATIONS}
    assert {sample.sender for sample in SAMPLES} == slugs
    assert {sample.recipient for sample in SAMPLES} <= RECIPIENTS.keys()
    assert {person.organisation for person in PEOPLE if person.does == "send"} == slugs
    assert len({sample.reference for sample in SAMPLES}) == len(SAMPLES)
    assert len({person.login for person in PEOPLE}) == len(PEOPLE)


def test_only_who_can_log_in_is_activated() -> None:
    activated = [recipient for recipient in RECIPIENTS.values() if recipient.activated]
    assert activated
    assert all(recipient.person is not None for recipient in activated)


def test_the_samples_show_every_way() -> None:
    assert any(sample.registered for sample in SAMPLES)
    assert any(sample.broken for sample in SAMPLES)
    assert any(sample.attachments for sample in SAMPLES)
    assert {RECIPIENTS[sample.recipient].activated for sample in SAMPLES} == {True, False}


def test_every_document_of_the_repository_is_among_the_samples() -> None:
    used = {name for sample in SAMPLES for name in (sample.document, *sample.attachments)}
    assert used == {file.name for file in DOCUMENTS.glob("*.pdf")}


def test_a_seal_that_is_in_place_stays(tmp_path: Path) -> None:
    ensure_pki(tmp_path / "pki")
    for _ in range(2):
        place_seal(tmp_path / "pki", tmp_path / "seals", ORGANISATIONS[0])
        made = {file.name: file.read_bytes() for file in (tmp_path / "seals").iterdir()}
        assert set(made) == {"tax.key.pem", "tax.cert.pem", "tax.chain.pem"}
        # A new infrastructure elsewhere changes nothing here.
        (tmp_path / "pki").rename(tmp_path / f"pki-{len(list(tmp_path.iterdir()))}")
        ensure_pki(tmp_path / "pki")
    assert {file.name: file.read_bytes() for file in (tmp_path / "seals").iterdir()} == made


def test_the_municipalitys_seals_can_be_seen(tmp_path: Path) -> None:
    ensure_pki(tmp_path / "pki")
    place_seal(tmp_path / "pki", tmp_path / "seals", MUNICIPALITY)
    seals = tmp_path / "seals"
    profile = read_profile(seals, MUNICIPALITY.slug)
    assert isinstance(profile.key, PemKey)
    assert profile.appearance is not None
    key = FileSealKey.from_pem(*(seals / file for file in profile.key.files))
    sealer = Sealer(key, None, appearance=appearance(profile.appearance, seals))
    sealed = sealer.seal((DOCUMENTS / "permit-nl-pdfa.pdf").read_bytes(), at=datetime.now(UTC))
    assert "Gemeente Voorbeeldegem" in described(sealed)


# ---------------------------------------------------------------------------------------------------------- documents


def test_documents_are_the_repositorys_where_it_has_them(tmp_path: Path) -> None:
    assert documents_folder(tmp_path, SAMPLES) == DOCUMENTS


def test_documents_are_made_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.cli.demo_documents.CHECKOUT", tmp_path / "elsewhere")
    folder = documents_folder(tmp_path, SAMPLES)
    assert folder == tmp_path / "documents"
    assert {file.name for file in folder.iterdir()} == {file.name for file in DOCUMENTS.glob("*.pdf")}
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert documents_folder(tmp_path, SAMPLES) == folder
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_a_made_document_is_the_same_each_time() -> None:
    assert make_document("Brief") == make_document("Brief")


# ------------------------------------------------------------------------------------------------------ where it lives


def test_the_home_is_in_the_checkout_unless_somebody_says_otherwise() -> None:
    assert default_home({}).name == ".zending"
    assert (default_home({}).parent / "zending").is_file()
    assert default_home({"ZENDING_HOME": "/srv/z"}) == Path("/srv/z")


@pytest.mark.parametrize("written", [True, False])
def test_addresses_of_its_own_servers_are_not_taken_for_somebody_elses(tmp_path: Path, *, written: bool) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "zending_app.password").write_text("s3/cret\n")
    if written:
        (tmp_path / "environment").write_text("export ZENDING_TSA_URL=http://127.0.0.1:1/\n")
    given = {
        "PATH": "/bin",
        "DATABASE_URL": "postgresql://zending_app:s3%2Fcret@127.0.0.1:5/zending",
        "REDIS_URL": "redis://x",
        "ZENDING_TSA_URL": "http://127.0.0.1:1/",
        "ZENDING_MAX_PAGES": "7",
    }
    kept = {"PATH", "ZENDING_MAX_PAGES"} if written else {"PATH", "ZENDING_MAX_PAGES", "ZENDING_TSA_URL"}
    assert without_own(tmp_path, given).keys() == kept
    other = given | {"DATABASE_URL": "postgresql://zending_app:other@db.example/zending"}
    assert without_own(tmp_path, other) == other
    assert without_own(tmp_path / "nothing", given) == given


def test_process_numbers_are_lists_of_ours_and_one_for_each_server() -> None:
    pids = {"api": (1, 2), "worker": (3,), "worker-2": (4, 5), "scheduler": (6,), "postgres": (7, 8), "tsa": (9,)}
    assert numbers(pids) == {
        "api": [1, 2],
        "worker": [3, 4, 5],
        "scheduler": [6],
        "postgres": 7,
        "valkey": None,
    }


# ------------------------------------------------------------------------------------------------------------ the end


@pytest.mark.parametrize(
    ("status", "channel", "evidence", "expected"),
    [
        ("handed_over", "paper", EVIDENCE, True),
        ("handed_over", "paper", EVIDENCE[:1], False),
        ("handed_over", "paper", [*EVIDENCE, {"event": "x", "published": False}], False),
        ("to_print", "paper", EVIDENCE, False),
        ("sealed", None, EVIDENCE, False),
        ("available", "digital", EVIDENCE, False),
        ("delivered", "paper", EVIDENCE, True),
    ],
)
def test_a_delivery_is_at_its_end_when_each_step_has_published_evidence(
    status: str, channel: str | None, evidence: list[dict[str, object]], *, expected: bool
) -> None:
    seen = row(status=status, channel=channel)
    seen.evidence = evidence
    assert seen.has_all_evidence is expected


def test_only_the_end_it_was_made_for_is_a_good_one() -> None:
    good, lost, changed = row(), row(status="rejected"), row()
    good.verified, changed.verified = True, False
    assert [(each.is_over, each.is_as_expected) for each in (good, lost, changed, row())] == [
        (True, True),
        (True, False),
        (True, False),
        (False, False),
    ]
    [broken] = [Row(sample) for sample in SAMPLES if sample.broken]
    assert (broken.state, broken.is_over, broken.is_as_expected) == ("handing in", False, False)
    broken.refusal = CallRefused(422, "damaged", "It is damaged.")
    assert (broken.state, broken.is_over, broken.is_as_expected) == ("refused: damaged", True, True)
    unexpected = Row(SAMPLES[0], refusal=CallRefused(422, "damaged", "It is damaged."))
    assert (unexpected.is_over, unexpected.is_as_expected) == (True, False)
    assert "on purpose" in " ".join(notes([broken]))
    assert "on purpose" not in " ".join(notes([unexpected]))


@pytest.mark.parametrize("width", [80, 160])
def test_names_of_files_stay_whole_in_any_table(width: int) -> None:
    rows = [row(sample) for sample in SAMPLES]
    for each in rows:
        each.saved, each.verified, each.evidence = Path(f".zending/sealed/{each.sample.reference}.pdf"), True, EVIDENCE
    shown = io.StringIO()
    console = Console(width=width, file=shown)
    console.print(table(rows, width))
    console.print(last_table(rows, width))
    for each in rows:
        assert shown.getvalue().count(each.sample.document) >= 2
        assert str(each.saved) in shown.getvalue()


# --------------------------------------------------------------------------------------------------------------- mail


def test_only_a_message_to_the_address_since_the_moment_counts(tmp_path: Path) -> None:
    def put(name: str, to: str, text: str) -> None:
        (tmp_path / name).write_text(f"Return-Path: <x>\r\nDelivered-To: {to}\r\nSubject: s\r\n\r\n{text}\r\n")

    put("20261102T092959.000000Z-aa.eml", "an@voorbeeld.test", "code 111111")
    assert newest_message(tmp_path, "an@voorbeeld.test", NOW) is None
    put("20261102T093000.000000Z-bb.eml", "an@voorbeeld.test", "code 222222")
    put("20261102T093001.000000Z-cc.eml", "cem@voorbeeld.test", "code 333333")
    assert "222222" in str(newest_message(tmp_path, "an@voorbeeld.test", NOW))
