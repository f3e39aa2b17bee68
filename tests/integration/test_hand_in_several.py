"""A hand-in for several recipients, for later, for abroad: each delivery its own, and all of them or none."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from service.db.ids import new_id
from service.db.jobs import JobKind, Lane
from service.domain.errors import Invalid
from service.usecases import deliveries
from service.usecases.admission import Sender as Who
from service.usecases.admission import Upload
from service.usecases.hand_in import HandedIn, hand_in
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.service_support import DOCUMENTS, delivery_for
from tests.usecase_support import Sender, activate, at, own_messages, status, waiting, with_post

PDF = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()
ABROAD: dict[str, Any] = {
    "type": "postal",
    "name": "Marie Curie",
    "postal_address": {
        "name": "Marie Curie", "street": "Rue des Fleurs", "number": "7", "postcode": "59000", "municipality": "Lille",
        "country": "FR",
    },
    "attention_of": "Service du courrier",
}  # fmt: skip


def several(pipeline: Pipeline, sender: uuid.UUID, *recipients: dict[str, Any], key: str | None = None) -> HandedIn:
    whole = delivery_for("an", reference="R1")
    shared = {name: whole[name] for name in whole if name not in ("recipient", "postal_address", "attention_of")}
    raw = json.dumps({**shared, "recipients": recipients}).encode()
    uploads = [Upload("document", "brief.pdf", PDF), Upload("attachment", "bijlage.pdf", PDF)]
    return hand_in(pipeline.context, Who(sender, Lane.BULK), raw, uploads, key=key or uuid.uuid4().hex)


def one(key: str) -> dict[str, Any]:
    whole = delivery_for(key)
    return {**whole["recipient"], "postal_address": whole["postal_address"]}


def test_each_of_several_recipients_gets_a_delivery_of_one_submission(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(pipeline)
    an, sender = activate(pipeline), organisation()
    done = several(pipeline, sender, one("an"), one("jan"), ABROAD, key="same")
    answer = json.loads(done.body)
    ids = [each["id"] for each in answer["deliveries"]]
    assert answer["id"] == done.delivery_id == ids[0]
    assert len(set(ids)) == 3
    assert {each["submission_id"] for each in answer["deliveries"]} == {answer["submission_id"]}
    assert several(pipeline, sender, one("an"), one("jan"), ABROAD, key="same").body == done.body
    assert execute(database, "SELECT count(*) FROM submission") == [(1,)]
    pipeline.work()
    seen = [deliveries.get(pipeline.context, sender, each) for each in ids]
    assert [each.channel for each in seen] == ["digital", "paper", "paper"]
    assert own_messages(pipeline, an) == ids[:1]
    # Each has its own copy of both documents: what is erased for one is not erased for another.
    assert execute(database, "SELECT count(*), count(DISTINCT path) FROM document") == [(6, 6)]
    assert execute(database, "SELECT count(*) FROM vault_object WHERE kept_at IS NULL") == [(0,)]
    assert pipeline.close_batches() >= 1
    pipeline.work()
    assert [status(pipeline, sender, each) for each in ids] == ["available", "handed_over", "handed_over"]


def test_one_bad_recipient_refuses_all_of_them(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    bad = {**ABROAD, "postal_address": {**ABROAD["postal_address"], "country": "Belgium"}}
    with pytest.raises(Invalid) as caught:
        several(pipeline, organisation(), one("jan"), bad)
    assert [error.pointer for error in caught.value.errors] == ["/recipients/1/postal_address/country"]
    assert execute(database, "SELECT count(*) FROM delivery") == [(0,)]


def test_a_delivery_for_later_is_sealed_at_once_and_brought_at_its_time(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(pipeline)
    an, sender = activate(pipeline), organisation()
    later = pipeline.now + timedelta(days=2)
    handed, cancelled = (pipeline.hand_in(sender, "an", send_at=later.isoformat()).delivery_id for _ in range(2))
    assert deliveries.get(pipeline.context, sender, handed).send_at == later
    pipeline.work()
    assert (status(pipeline, sender, handed), own_messages(pipeline, an)) == ("sealed", [])
    assert waiting(database) == [("route", None)] * 2
    assert execute(database, "SELECT DISTINCT due_at FROM job") == [(later,)]
    assert deliveries.cancel(pipeline.context, sender, cancelled).status == "cancelled"
    execute(database, "UPDATE job SET due_at = now()")
    with at(pipeline, later + timedelta(seconds=1)):
        pipeline.work()
        assert own_messages(pipeline, an) == [handed]
    assert status(pipeline, sender, cancelled) == "cancelled"
    assert waiting(database) == []


def test_those_who_hand_in_at_once_share_nothing_but_the_wait(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender, nobody = organisation(), new_id()

    def ask(number: int) -> str:
        try:
            who = nobody if number % 8 == 7 else sender
            return pipeline.hand_in(who, "jan", key=f"key-{number // 2}", reference=f"R{number // 2}").delivery_id
        except Exception as error:  # noqa: BLE001  what each is told is compared below
            return type(error).__name__

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(48)))
    made = {each for each in found if each.startswith("dlv_")}
    assert {found[number] for number in range(7, 48, 8)} == {"Forbidden"}
    assert {each for each in found if not each.startswith("dlv_")} <= {"Forbidden", "IdempotencyRunning"}
    assert len(made) == 24
    assert execute(database, "SELECT count(*), count(DISTINCT reference) FROM delivery") == [(24, 24)]
    assert execute(database, "SELECT count(*) FROM job") == [(24,)]
    pipeline.work(JobKind.SEAL)
    assert execute(database, "SELECT count(*) FROM delivery WHERE state = 'sealed'") == [(24,)]
