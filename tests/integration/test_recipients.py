"""Look-ups: the same answer for known and unknown, counted, logged, and nothing personal in what is refused."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from service.domain.errors import Invalid, QuotaExceeded
from service.domain.identifiers import RecipientId, RecipientKind
from service.usecases.personal import find_hash
from service.usecases.recipients import PURPOSE_LENGTH, look_up
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, activate, change

AN, JAN = ("citizen", "85.07.30-033.28"), ("citizen", "17073003384")


def test_known_and_unknown_differ_in_one_word(pipeline: Pipeline, organisation: Sender) -> None:
    activate(pipeline, "an")
    answer = look_up(pipeline.context, organisation(), "c", [JAN, AN, ("enterprise", "BE 0403.019.261")], "Aanslagen")
    assert answer == [
        {"type": "citizen", "id": "17073003384", "channel": "paper"},
        {"type": "citizen", "id": "85.07.30-033.28", "channel": "digital"},
        {"type": "enterprise", "id": "BE 0403.019.261", "channel": "paper"},
    ]


def test_each_look_up_is_logged_with_its_purpose_and_without_numbers(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    look_up(pipeline.context, sender, "program-1", [AN, AN, JAN], "  Aanslagen  ")
    ((lookup, who, client, purpose, count),) = execute(
        database, "SELECT id, organisation_id, client_id, purpose, recipients FROM lookup"
    )
    assert (who, client, purpose, count) == (sender, "program-1", "Aanslagen", 3)
    hashes = {find_hash(pipeline.context, RecipientId.parse(RecipientKind.CITIZEN, number)) for _, number in (AN, JAN)}
    found = execute(database, "SELECT recipient_hash, lookup_id, organisation_id FROM lookup_recipient")
    assert {bytes(row[0]) for row in found} == hashes
    assert {(row[1], row[2]) for row in found} == {(lookup, sender)}
    # Who was asked about is only for their own eyes and the sender's.
    with pipeline.context.database.transaction(organisations=[organisation()]) as session:
        for table in ("lookup", "lookup_recipient"):
            assert session.connection().exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0


def test_a_quota_counts_a_day_and_each_organisation_by_itself(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender, other = organisation(), organisation()
    execute(database, "UPDATE organisation SET lookup_quota = 3")
    look_up(pipeline.context, sender, "c", [AN, AN], "p")
    with pytest.raises(QuotaExceeded) as caught:
        look_up(pipeline.context, sender, "c", [AN, JAN], "p")
    assert caught.value.code == "lookup_quota"
    assert caught.value.retry_after == 3600 - int(pipeline.now.timestamp()) % 3600
    look_up(pipeline.context, sender, "c", [JAN], "p")
    look_up(pipeline.context, other, "c", [AN, JAN, JAN], "p")
    # By the hour: the hour in which the day before began counts in full.
    pipeline.skew = timedelta(days=1, hours=1)
    assert len(look_up(pipeline.context, sender, "c", [AN, AN, AN], "p")) == 3
    assert execute(database, "SELECT sum(recipients) FROM lookup WHERE organisation_id = %s", sender) == [(6,)]


def test_look_ups_at_once_stay_within_the_quota(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    execute(database, "UPDATE organisation SET lookup_quota = 4")

    def ask(_: int) -> int:
        try:
            return len(look_up(pipeline.context, sender, "c", [AN, JAN], "p"))
        except QuotaExceeded:
            return 0

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(ask, range(6))) == 4
    assert execute(database, "SELECT sum(recipients) FROM lookup_hour") == [(4,)]


@pytest.mark.parametrize(
    ("recipients", "purpose", "told"),
    [
        ([AN], " ", [("/purpose", "purpose_missing")]),
        ([AN], "x" * (PURPOSE_LENGTH + 1), [("/purpose", "purpose_missing")]),
        ([], "p", [("/recipients", "lookup_size")]),
        ([AN, AN, AN], "p", [("/recipients", "lookup_size")]),
        ([AN, ("citizen", "85073003329")], "p", [("/recipients/1/id", "insz_invalid")]),
        (
            [("robot", "85073003329"), ("enterprise", "85073003329")],
            "",
            [
                ("/purpose", "purpose_missing"),
                ("/recipients/0/type", "type_unknown"),
                ("/recipients/1/id", "kbo_invalid"),
            ],
        ),
    ],
)
def test_a_refusal_points_to_each_fault_counts_nothing_and_repeats_nothing(
    pipeline: Pipeline,
    organisation: Sender,
    database: TestDatabase,
    recipients: list[tuple[str, str]],
    purpose: str,
    told: list[tuple[str, str]],
) -> None:
    change(pipeline, limits=dataclasses.replace(pipeline.context.limits, lookup=2))
    with pytest.raises(Invalid) as caught:
        look_up(pipeline.context, organisation(), "c", recipients, purpose)
    assert [(error.pointer, error.code) for error in caught.value.errors] == told
    assert "85073003329" not in f"{caught.value} {caught.value.errors}"
    assert execute(database, "SELECT 1 FROM lookup") == []


def test_a_postal_recipient_can_not_be_looked_up(pipeline: Pipeline, organisation: Sender) -> None:
    with pytest.raises(Invalid) as caught:
        look_up(pipeline.context, organisation(), "c", [("postal", "x")], "p")
    assert caught.value.errors[0].pointer in ("/recipients/0/id", "/recipients/0/type")
