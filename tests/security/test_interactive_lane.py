"""Programs may put a few letters before large amounts, and can't get more of them by asking more."""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from litestar.testing import TestClient

from service.db import jobs
from service.db.ids import ORGANISATION, new_id, public_id
from service.db.jobs import JobKind, Lane
from service.identity.scopes import Scope
from service.usecases import organisations, quotas
from service.usecases.admission import Sender, Upload
from service.usecases.hand_in import hand_in
from service.usecases.personal import PLATFORM
from service.usecases.quotas import INTERACTIVE_PER_MINUTE
from tests.api_support import bearer, door, multipart, multipart_headers
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.service_support import DOCUMENTS, delivery_for
from tests.usecase_support import change

PDF = (DOCUMENTS / "notice-nl-ghostscript.pdf").read_bytes()
CLERK_LETTERS = 3
Organisation = Callable[..., uuid.UUID]


@pytest.fixture(autouse=True)
def _in_one_minute(database: TestDatabase) -> None:
    """Let all that a test asks for fall into one minute, wherever the clock stands."""
    execute(
        database,
        "CREATE FUNCTION hold_minute() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.minute := 'infinity';"
        " RETURN NEW; END $$;"
        " CREATE TRIGGER hold_minute BEFORE INSERT ON lane_use FOR EACH ROW EXECUTE FUNCTION hold_minute()",
    )


def lanes(pipeline: Pipeline, sender: uuid.UUID, count: int, deliveries: int = 1) -> Counter[Lane]:
    """What so many hand-ins get that ask for the interactive lane."""
    return Counter(quotas.lane_for(pipeline.context, sender, deliveries) for _ in range(count))


def test_an_organisation_gets_its_allowance_of_a_minute_and_the_next_minute_again(
    pipeline: Pipeline, organisation: Organisation, database: TestDatabase
) -> None:
    sender, other = organisation(), organisation()
    most = INTERACTIVE_PER_MINUTE
    assert lanes(pipeline, sender, most + 5) == {Lane.INTERACTIVE: most, Lane.BULK: 5}
    assert lanes(pipeline, other, 1) == {Lane.INTERACTIVE: 1}
    execute(database, "UPDATE lane_use SET minute = date_trunc('minute', now()) - interval '1 minute'")
    assert lanes(pipeline, sender, most + 5) == {Lane.INTERACTIVE: most, Lane.BULK: 5}


def test_all_programs_together_leave_the_clerks_room(
    pipeline: Pipeline, organisation: Organisation, database: TestDatabase
) -> None:
    change(pipeline, limits=replace(pipeline.context.limits, interactive=12))
    senders = [organisation() for _ in range(3)]
    assert lanes(pipeline, senders[0], 10)[Lane.INTERACTIVE] == 10
    assert lanes(pipeline, senders[1], 10)[Lane.INTERACTIVE] == 2
    assert lanes(pipeline, senders[2], 10)[Lane.INTERACTIVE] == 0
    # What the whole had no room for is not counted against its organisation.
    found = dict(execute(database, "SELECT organisation_id, deliveries FROM lane_use"))
    assert found == {senders[0]: 10, senders[1]: 2, PLATFORM: 12}


def test_asking_at_once_gives_no_more(pipeline: Pipeline, organisation: Organisation, database: TestDatabase) -> None:
    sender = organisation()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: lanes(pipeline, sender, 4), range(8)))
    assert sum(each[Lane.INTERACTIVE] for each in found) == INTERACTIVE_PER_MINUTE


def test_an_operator_sets_the_allowance_and_can_take_it_away(pipeline: Pipeline, organisation: Organisation) -> None:
    none, more = organisation(), organisation()
    for sender, number in ((none, 0), (more, 20)):
        with pipeline.context.database.transaction(organisations=[sender]) as session:
            quotas.set_limits(session, sender, interactive_per_minute=number)
    assert lanes(pipeline, none, 2) == {Lane.BULK: 2}
    assert lanes(pipeline, more, 21) == {Lane.INTERACTIVE: 20, Lane.BULK: 1}


def test_what_is_handed_in_for_several_counts_for_each_and_is_never_parted(
    pipeline: Pipeline, organisation: Organisation
) -> None:
    sender = organisation()
    assert lanes(pipeline, sender, 1, deliveries=INTERACTIVE_PER_MINUTE - 2) == {Lane.INTERACTIVE: 1}
    assert lanes(pipeline, sender, 1, deliveries=3) == {Lane.BULK: 1}
    assert lanes(pipeline, sender, 1, deliveries=2) == {Lane.INTERACTIVE: 1}


def test_a_clerks_letter_waits_for_no_more_than_the_allowance_of_a_program_that_asks_without_end(
    pipeline: Pipeline, organisation: Organisation, database: TestDatabase
) -> None:
    sender = organisation()
    execute(
        database,
        "INSERT INTO job (id, kind, organisation_id, lane, subject_id, due_at) SELECT gen_random_uuid(), 'seal', %s, 1,"
        " gen_random_uuid(), now() - interval '1 hour' FROM generate_series(1, 50000)",
        sender,
    )

    def letter(number: int, sender: Sender) -> None:
        body = json.dumps(delivery_for("jan", reference=f"R{number}")).encode()
        hand_in(pipeline.context, sender, body, [Upload("document", "brief.pdf", PDF)], key=f"k{number}")

    for number in range(2 * INTERACTIVE_PER_MINUTE):
        letter(number, Sender(sender, Lane.INTERACTIVE, asks=True))
    for number in range(100, 100 + CLERK_LETTERS):
        letter(number, Sender(sender, Lane.INTERACTIVE))
    with pipeline.context.database.transaction() as session:
        taken = jobs.lease(session, JobKind.SEAL, most=INTERACTIVE_PER_MINUTE + CLERK_LETTERS, seconds=60)
    assert {job.lane for job in taken} == {Lane.INTERACTIVE}
    query = "SELECT reference FROM delivery WHERE id = ANY(%s) ORDER BY id"
    found = [reference for (reference,) in execute(database, query, [job.subject_id for job in taken])]
    assert found == [f"R{n}" for n in [*range(INTERACTIVE_PER_MINUTE), *range(100, 100 + CLERK_LETTERS)]]


@pytest.fixture
def client(pipeline: Pipeline) -> Iterator[TestClient[Any]]:
    with door(pipeline.application) as made:
        yield made


def test_a_program_asks_in_its_request_and_is_told_what_it_got(
    pipeline: Pipeline, organisation: Organisation, client: TestClient[Any]
) -> None:
    sender, name = organisation(), f"program-{new_id().hex}"
    with pipeline.context.database.transaction(organisations=[sender]) as session:
        quotas.set_limits(session, sender, interactive_per_minute=1)
        known = organisations.NewClient(name, "test", "secret", [Scope.DELIVERIES_WRITE])
        organisations.ensure_client(session, sender, known)
    claims = {"subject": name, "client_id": name, "organisation": public_id(ORGANISATION, sender)}
    headers = bearer(pipeline.application, Scope.DELIVERIES_WRITE, Scope.DELIVERIES_READ, **claims)

    def ask(query: str, content: bytes = PDF) -> Any:
        body = multipart(
            ("delivery", None, json.dumps(delivery_for("jan")).encode()), ("document", "brief.pdf", content)
        )
        own = headers | multipart_headers() | {"Idempotency-Key": uuid.uuid4().hex}
        return client.post(f"/v1/deliveries{query}", content=body, headers=own)

    assert ask("?lane=first").status_code == 400
    assert ask("?lane=interactive", b"no document").status_code == 422
    plain, first, second = ask(""), ask("?lane=interactive"), ask("?lane=interactive")
    assert [each.status_code for each in (plain, first, second)] == [202] * 3
    assert [each.json()["lane"] for each in (plain, first, second)] == ["bulk", "interactive", "bulk"]
    shown = client.get(f"/v1/deliveries/{first.json()['id']}", headers=headers).json()
    assert shown["lane"] == "interactive"
