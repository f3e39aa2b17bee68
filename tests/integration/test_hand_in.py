"""A hand-in: its limits, what is kept of it, and that a refusal leaves nothing."""

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import pikepdf
import pytest

from printing.asked import Look
from printing.checks import Findings
from printing.sentences import SENTENCES, problem
from service.db import idempotency
from service.db.jobs import Lane
from service.domain.errors import (
    DocumentRefused,
    Forbidden,
    IdempotencyMismatch,
    IdempotencyMissing,
    IdempotencyRunning,
    Invalid,
    PayloadTooLarge,
    Retryable,
    ZendingError,
)
from service.inspection.inspector import Inspection
from service.usecases import deliveries, letter_checks
from service.usecases.admission import Sender, Upload
from service.usecases.claims import SECONDS as CLAIM_SECONDS
from service.usecases.context import Limits
from service.usecases.hand_in import ROUTE, fingerprint, hand_in
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.printing_support import form
from tests.service_support import DOCUMENTS, delivery_for
from tests.usecase_support import Sender as MakeSender
from tests.usecase_support import change, orphans

PDF = (DOCUMENTS / "notice-nl-ghostscript.pdf").read_bytes()
LEFT = ("submission", "delivery", "document", "delivery_event", "vault_object", "job", "idempotency_key")


def left(pipeline: Pipeline, database: TestDatabase) -> dict[str, int]:
    """What is in the tables and in the vault."""
    found = {table: execute(database, f"SELECT count(*) FROM {table}")[0][0] for table in LEFT}
    return {**found, "objects": len(list(pipeline.context.vault.stored()))}


NOTHING = dict.fromkeys((*LEFT, "objects"), 0)


def main(content: bytes = PDF, name: str = "brief.pdf") -> Upload:
    return Upload("document", name, content)


def more(count: int) -> list[Upload]:
    return [Upload("attachment", f"{number}.pdf", PDF) for number in range(count)]


def with_limits(pipeline: Pipeline, **limits: int) -> None:
    change(pipeline, limits=dataclasses.replace(pipeline.context.limits, **limits))


REFUSALS: list[tuple[Callable[[], list[Upload]], dict[str, Any], type[ZendingError], str, str | None]] = [
    (lambda: [Upload("attachment", "a.pdf", PDF)], {}, Invalid, "document_missing", "/document"),
    (lambda: [main(), main()], {}, Invalid, "document_repeated", "/document"),
    (lambda: [main(), *more(10)], {}, Invalid, "too_many_documents", None),
    (lambda: [main()], {"digests": {"document": "0" * 64}}, Invalid, "digest_differs", "/digests/document"),
    (lambda: [main(b"no pdf")], {}, DocumentRefused, "not_a_pdf", "/document"),
    (lambda: [main(), Upload("attachment", "x.pdf", b"no pdf")], {}, DocumentRefused, "not_a_pdf", "/attachment"),
    (lambda: [main()], {"subject": ""}, Invalid, "delivery_invalid", "/subject"),
    (lambda: [main()], {"language": "la"}, Invalid, "delivery_malformed", "/language"),
]


@pytest.mark.parametrize(("uploads", "fields", "kind", "code", "pointer"), REFUSALS)
def test_a_refusal_says_why_and_leaves_nothing(
    pipeline: Pipeline,
    organisation: MakeSender,
    database: TestDatabase,
    uploads: Callable[[], list[Upload]],
    fields: dict[str, Any],
    kind: type[ZendingError],
    code: str,
    pointer: str | None,
) -> None:
    with pytest.raises(kind) as caught:
        pipeline.hand_in(organisation(), "jan", uploads=uploads(), **fields)
    assert caught.value.code == code
    assert [error.pointer for error in caught.value.errors] == ([] if pointer is None else [pointer])
    assert left(pipeline, database) == NOTHING
    assert pipeline.woken == []


def test_the_files_together_have_a_limit_and_may_reach_it(
    pipeline: Pipeline, organisation: MakeSender, database: TestDatabase
) -> None:
    sender = organisation()
    with_limits(pipeline, delivery_bytes=2 * len(PDF) - 1)
    with pytest.raises(PayloadTooLarge):
        pipeline.hand_in(sender, uploads=[main(), *more(1)])
    assert left(pipeline, database) == NOTHING
    with_limits(pipeline, delivery_bytes=2 * len(PDF))
    assert pipeline.hand_in(sender, uploads=[main(), *more(1)]).status == 202


def test_ten_documents_are_taken_and_thirty_megabytes_are_the_default(
    pipeline: Pipeline, organisation: MakeSender
) -> None:
    assert pipeline.context.limits == Limits(delivery_bytes=30 * 1024 * 1024, documents=10, lookup=1000) or (
        pipeline.context.limits == Limits(delivery_bytes=30_000_000, documents=10, lookup=1000)
    )
    sender = organisation()
    delivery = pipeline.hand_in(sender, uploads=[main(), *more(9)]).delivery_id
    assert len(deliveries.get(pipeline.context, sender, delivery).documents) == 10


def test_the_main_document_is_first_whatever_came_first(pipeline: Pipeline, organisation: MakeSender) -> None:
    sender = organisation()
    delivery = pipeline.hand_in(sender, uploads=[*more(1), main(name="groot.pdf")]).delivery_id
    seen = deliveries.get(pipeline.context, sender, delivery).documents
    assert [(each.role, each.filename) for each in seen] == [("main", "groot.pdf"), ("attachment", "0.pdf")]


def test_an_announced_digest_that_fits_is_taken(pipeline: Pipeline, organisation: MakeSender) -> None:
    digest = hashlib.sha256(PDF).hexdigest()
    assert pipeline.hand_in(organisation(), uploads=[main()], digests={"document": digest}).status == 202


def test_what_inspection_repaired_is_kept_and_both_digests_are_told(
    pipeline: Pipeline, organisation: MakeSender, database: TestDatabase
) -> None:
    broken = PDF[: PDF.rindex(b"startxref")]
    sender = organisation()
    inspected: list[Inspection] = []
    inspector = pipeline.context.inspector

    class Watching:
        def inspect(self, pdf: bytes) -> Inspection:
            inspected.append(inspector.inspect(pdf))
            return inspected[-1]

    change(pipeline, inspector=Watching())
    delivery = pipeline.hand_in(sender, uploads=[main(broken)]).delivery_id
    kept = inspected[0].replacement
    assert kept is not None
    assert kept != broken
    (document,) = deliveries.get(pipeline.context, sender, delivery).documents
    assert document.submitted_sha256 == hashlib.sha256(broken).hexdigest()
    assert document.sha256 == hashlib.sha256(kept).hexdigest()
    assert document.size == len(kept)
    ((subject, path),) = execute(database, "SELECT subject_id, path FROM vault_object WHERE kept_at IS NOT NULL")
    assert pipeline.context.vault.read(path, sender, subject, "original-0") == kept
    with pikepdf.open(BytesIO(kept)) as pdf:
        assert len(pdf.pages) >= 1


def test_file_names_are_made_safe_and_kept_encrypted(
    pipeline: Pipeline, organisation: MakeSender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = pipeline.hand_in(sender, uploads=[main(name='../../etc/Gehe"im\u202e.exe')]).delivery_id
    assert deliveries.get(pipeline.context, sender, delivery).documents[0].filename == "Gehe_im.exe.pdf"
    (stored,) = execute(database, "SELECT filename FROM document")
    assert b"Gehe" not in bytes(stored[0])
    text = repr(execute(database, "SELECT d::text, e::text FROM delivery d JOIN delivery_event e ON true"))
    for secret in ("Jan Claes", "17073003384", "Molenweg", "Een brief"):
        assert secret not in text


def test_a_key_is_asked_for_and_has_a_form(pipeline: Pipeline, organisation: MakeSender) -> None:
    sender, raw = Sender(organisation(), Lane.BULK), json.dumps(delivery_for("jan")).encode()
    for none in (None, ""):
        with pytest.raises(IdempotencyMissing):
            hand_in(pipeline.context, sender, raw, [main()], key=none)
    for wrong in ("a b", "é", "x" * 256, "a\n"):
        with pytest.raises(Invalid) as caught:
            hand_in(pipeline.context, sender, raw, [main()], key=wrong)
        assert caught.value.code == "idempotency_key_malformed"


def test_a_repeated_request_gets_the_first_answer_and_another_is_refused(
    pipeline: Pipeline, organisation: MakeSender, database: TestDatabase
) -> None:
    sender = Sender(organisation(), Lane.BULK)
    raw = json.dumps(delivery_for("jan", reference="R1")).encode()
    first = hand_in(pipeline.context, sender, raw, [main()], key="K")
    assert hand_in(pipeline.context, sender, raw, [main()], key="K") == first
    with pytest.raises(IdempotencyMismatch):
        hand_in(pipeline.context, sender, raw, [main(name="x.pdf")], key="K")
    other = hand_in(pipeline.context, Sender(organisation(), Lane.BULK), raw, [main()], key="K")
    assert other.delivery_id != first.delivery_id
    assert left(pipeline, database)["delivery"] == 2


def test_a_request_that_still_runs_is_told_so_and_one_that_lost_its_claim_writes_nothing(
    pipeline: Pipeline, organisation: MakeSender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Sender(organisation(), Lane.BULK)
    raw = json.dumps(delivery_for("jan")).encode()
    mark = fingerprint(raw, [main()])
    with pipeline.context.database.transaction(organisations=[sender.organisation_id]) as session:
        idempotency.claim(session, sender.organisation_id, ROUTE, "K", mark, seconds=CLAIM_SECONDS)
    with pytest.raises(IdempotencyRunning):
        hand_in(pipeline.context, sender, raw, [main()], key="K")
    inspector = pipeline.context.inspector

    class TakenOver:
        """Somebody took over the key while the document was looked at."""

        def inspect(self, pdf: bytes) -> Inspection:
            execute(database, "UPDATE idempotency_key SET fence = fence + 1 WHERE key = 'L'")
            return inspector.inspect(pdf)

    change(pipeline, inspector=TakenOver())
    with pytest.raises(IdempotencyRunning):
        hand_in(pipeline.context, sender, raw, [main()], key="L")
    found = left(pipeline, database)
    assert (found["delivery"], found["job"], found["idempotency_key"]) == (0, 0, 2)
    assert orphans(database) == 1


def test_an_organisation_that_is_not_known_hands_nothing_in(pipeline: Pipeline) -> None:
    with pytest.raises(Forbidden):
        pipeline.hand_in(uuid.uuid4())


def test_json_nested_too_deep_is_refused_like_any_other(pipeline: Pipeline, organisation: MakeSender) -> None:
    for depth in (500, 100_000):
        with pytest.raises(Invalid) as caught:
            hand_in(
                pipeline.context,
                Sender(organisation(), Lane.BULK),
                b'{"a":' + b"[" * depth + b"]" * depth + b"}",
                [main()],
                key=f"K{depth}",
            )
        assert caught.value.code == "delivery_malformed"


def test_a_file_name_that_is_not_unicode_is_no_obstacle(pipeline: Pipeline, organisation: MakeSender) -> None:
    sender = organisation()
    delivery = pipeline.hand_in(sender, uploads=[main(name="a\udc80b.pdf")]).delivery_id
    assert deliveries.get(pipeline.context, sender, delivery).documents[0].filename == "ab.pdf"


UNPRINTABLE = form("ingevuld")
"""Its field is drawn in a font that is not embedded, as the letter's step will find."""
FONT = {"code": "FONT_NOT_EMBEDDED", "detail": SENTENCES["FONT_NOT_EMBEDDED"], "page": 1}


def noted(pipeline: Pipeline, sender: uuid.UUID, recipient: str, *uploads: Upload) -> list[Any]:
    taken = pipeline.hand_in(sender, recipient, uploads=uploads)
    shown = json.loads(taken.body)
    assert taken.status == 202
    assert shown["status"] == "received"
    return [each for each in shown["problems"] if each["code"] in SENTENCES]


def test_who_writes_to_somebody_with_no_mailbox_is_told_at_once_what_can_not_be_printed(
    pipeline: Pipeline, organisation: MakeSender
) -> None:
    sender = organisation()
    assert noted(pipeline, sender, "abroad", main(UNPRINTABLE)) == [FONT]
    assert noted(pipeline, sender, "abroad", main(), Upload("attachment", "a.pdf", UNPRINTABLE)) == [FONT]
    assert noted(pipeline, sender, "abroad", main()) == []


def test_for_whoever_may_have_a_mailbox_no_letter_is_looked_at_yet(
    pipeline: Pipeline, organisation: MakeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[Look]] = []
    monkeypatch.setattr(pipeline.context.letters, "check", asked.append)
    assert noted(pipeline, organisation(), "jan", main(UNPRINTABLE)) == []
    assert asked == []


def test_a_hand_in_does_not_wait_for_what_can_be_said_of_its_letter(
    pipeline: Pipeline, organisation: MakeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed = Findings(problems=(problem("CHECK_CRASHED"), problem("WINDOW_INK", 1)))
    for answer in (Retryable("Too many at the moment."), crashed):
        monkeypatch.setattr(pipeline.context.letters, "check", lambda looks, told=answer: [told for _ in looks])
        assert noted(pipeline, organisation(), "abroad", main(UNPRINTABLE)) == []


def test_looking_ahead_never_outlives_the_key_of_the_hand_in(
    pipeline: Pipeline, organisation: MakeSender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = [main(), *(Upload("attachment", f"{name}.pdf", PDF) for name in "ab")]
    left_over: list[bool] = []
    answers: list[Findings | Retryable] = []

    def check(looks: Sequence[Look]) -> list[Findings | Retryable]:
        ((whole,),) = execute(database, "SELECT lease_until > now() + interval '80 s' FROM idempotency_key")
        left_over.append(whole)
        # Each look takes most of what the key's claim lasts.
        execute(database, "UPDATE idempotency_key SET lease_until = now() + interval '15 s' WHERE status IS NULL")
        return [answers.pop(0) for _ in looks]

    def looks(*given: Findings | Retryable) -> list[bool]:
        execute(database, "DELETE FROM idempotency_key")
        answers[:] = given
        left_over.clear()
        noted(pipeline, sender, "abroad", *uploads)
        return list(left_over)

    sender = organisation()
    monkeypatch.setattr(pipeline.context.letters, "check", check)
    assert looks(*[Findings()] * 3) == [True] * 3
    # Whoever is told that the machine is busy does not ask again, and nobody is waited for without end.
    assert looks(Findings(), Retryable("Too many at the moment.")) == [True] * 2
    monkeypatch.setattr(letter_checks, "FORESEEN_SECONDS", 0.0)
    assert looks(Findings()) == [True]
