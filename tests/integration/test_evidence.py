"""Evidence: what a record says, that there is one per event, and that a stranger can verify it."""

from typing import Any

from service.db.ids import DELIVERY, parse_id
from service.domain.evidence import EvidenceEvent
from service.domain.states import Actor
from service.ledger.verify import verify_evidence
from service.usecases import deliveries, dossiers, evidence, mailbox
from service.usecases.evidence import Draft
from tests.engine_support import execute
from tests.evidence_schema_support import VALIDATOR
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, activate, deliver, events, with_post
from tests.usecase_support import evidence as record_of


def test_a_record_says_who_what_when_and_by_which_rules(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(pipeline)
    sender, an = organisation("agentschap"), activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    seen = deliveries.get(pipeline.context, sender, delivery)
    record = record_of(pipeline, sender, delivery, "SubmissionAcceptance")
    assert record["version"] == 2
    assert (record["actor"], record["identification"], record["letter"]) == ("service", None, None)
    assert record["event_uri"] == "http://uri.etsi.org/19522/Event/SubmissionAcceptance"
    assert record["event_key"] == f"{delivery}/0/SubmissionAcceptance/1"
    assert record["issuer"] == pipeline.context.issuer_name
    assert record["message_id"] == delivery
    (terms,) = execute(database, "SELECT terms FROM delivery")[0]
    assert record["legal_basis"] == {
        "id": terms["basis"],
        "version": str(terms["version"]),
        "sha256": terms["sha256"],
    }
    assert record["policy_id"] == "zending-ordinary/1"
    assert record["reasons"] == []
    assert record["external"] is None
    assert record["sender"] == {
        "kind": "organisation",
        "id": "OVO999999",
        "name": "Organisation agentschap",
        "assurance_level": "substantial",
    }
    (recipient,) = record["recipients"]
    assert (recipient["kind"], recipient["id"], recipient["assurance_level"]) == ("citizen", "85073003328", "none")
    (part,) = record["parts"]
    assert part["sha256"] == seen.documents[0].sha256
    assert part["submitted_sha256"] == seen.documents[0].submitted_sha256
    mailbox.open_message(pipeline.context, an, delivery)
    opened = record_of(pipeline, sender, delivery, "ContentAccessTracking")
    assert opened["event_key"] == f"{delivery}/1/ContentAccessTracking/1"
    assert opened["recipients"][0]["assurance_level"] == "substantial"
    assert opened["actor"] == "recipient"
    assert opened["identification"] == {
        "provider": "https://aanmelden.test",
        "level": "substantial",
        "authenticated_at": "2026-11-23T08:00:00.000000Z",
        "acted_for": None,
    }


def test_every_evidence_of_both_ways_verifies_once_it_is_published(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    digital, paper = deliver(pipeline, sender, "an"), deliver(pipeline, sender, "jan")
    pipeline.close_batches()
    pipeline.work()
    mailbox.open_message(pipeline.context, an, digital)
    mailbox.document(pipeline.context, an, digital, 0)
    for each in (digital, paper):
        assert not any(entry.published for entry in deliveries.evidence_list(pipeline.context, sender, each))
    pipeline.sequence()
    hashes = set()
    for each in (digital, paper):
        for entry in deliveries.evidence_list(pipeline.context, sender, each):
            assert entry.published
            document = deliveries.evidence_one(pipeline.context, sender, each, entry.id)
            VALIDATOR.validate(document)
            checks = verify_evidence(document, pipeline.application.log_signer.vkeys)
            assert [check for check in checks if check.ok is False] == []
            assert any(check.ok for check in checks)
            changed = {**document, "record": {**document["record"], "issuer": "x"}}  # type: ignore[dict-item]
            assert any(check.ok is False for check in verify_evidence(changed, pipeline.application.log_signer.vkeys))
            hashes.add(document["leaf_hash"])
    leaves = {bytes(leaf).hex() for (leaf,) in execute(database, "SELECT leaf_hash FROM evidence")}
    assert leaves == hashes
    assert execute(database, "SELECT count(*) FROM ledger_leaf") == [(len(hashes),)]
    own = mailbox.evidence_list(pipeline.context, an, digital)
    assert [entry.event for entry in own] == events(pipeline, sender, digital)


def test_the_same_event_is_written_once_and_queued_once(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = deliver(pipeline, sender, "jan")
    before = execute(database, "SELECT * FROM evidence")
    pending = execute(database, "SELECT * FROM ledger_pending")

    def write(attempt: int) -> None:
        key = parse_id(DELIVERY, delivery)
        with pipeline.context.database.transaction(organisations=[sender]) as session:
            dossier = dossiers.load(session, pipeline.context, [key])[key]
            draft = Draft(dossier, EvidenceEvent.SUBMISSION_ACCEPTANCE, pipeline.now, Actor.SERVICE, attempt=attempt)
            evidence.write(session, pipeline.context, [draft])

    write(1)
    assert execute(database, "SELECT * FROM evidence") == before
    assert execute(database, "SELECT * FROM ledger_pending") == pending
    write(2)
    assert len(execute(database, "SELECT * FROM evidence")) == len(before) + 1


def test_records_are_encrypted_and_neither_ledger_nor_timeline_names_anybody(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    deliver(pipeline, sender, "jan", subject="Geheimzinnig")
    secrets = [b"17073003384", b"Jan Claes", b"Geheimzinnig", b"Molenweg"]
    tables = ("evidence", "delivery", "delivery_event", "leg", "document", "job", "ledger_pending", "print_letter")
    for table in tables:
        for row in execute(database, f"SELECT * FROM {table}"):
            stored = b"|".join(_bytes(value) for value in row)
            assert not any(secret in stored for secret in secrets), table


def _bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
