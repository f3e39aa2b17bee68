"""Who may still act, and how much an organisation may hand in on a day."""

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from service.cli.main import zending
from service.db import quotas as rows
from service.db.ids import ORGANISATION, public_id
from service.identity.errors import TokenInvalid
from service.identity.scopes import Scope
from service.usecases import access, organisations, quotas
from service.usecases.meters import FRESH_SECONDS, Meter
from service.usecases.quotas import DeliveryQuota
from service.web import limits
from service.web.limits import Buckets, Callers
from tests.limits_support import Clock
from tests.pipeline_support import Pipeline, TestDatabase


@pytest.fixture
def slug() -> str:
    return f"org-{uuid.uuid4().hex[:8]}"


def test_a_client_that_is_switched_off_is_out_within_seconds(pipeline: Pipeline, slug: str) -> None:
    organisation = pipeline.organisation(slug)
    context, clock = pipeline.context, Clock()
    with context.database.transaction() as session:
        client = organisations.NewClient(slug, "test", "secret", [Scope.DELIVERIES_READ])
        organisations.ensure_client(session, organisation, client)
    tokens = pipeline.application.tokens
    issued = tokens.issue(
        now=datetime.now(UTC), subject=slug, client_id=slug, scopes=[Scope.DELIVERIES_READ],
        organisation=public_id(ORGANISATION, organisation),
    )  # fmt: skip
    token = pipeline.application.verifier.verify(issued.token, datetime.now(UTC))

    async def run() -> None:
        callers = Callers(context, Buckets(None, clock=clock), clock=clock)
        headers = await callers.admit(token)
        assert headers["RateLimit-Policy"] == '"client";q=5000;w=10'
        with context.database.transaction() as session:
            session.execute(text("UPDATE client SET active = false WHERE client_id = :id"), {"id": slug})
        await callers.admit(token)
        clock.now += limits.STANDING_SECONDS
        with pytest.raises(TokenInvalid):
            await callers.admit(token)

    asyncio.run(run())


def test_a_person_whose_role_was_taken_away_is_out_too(pipeline: Pipeline, slug: str) -> None:
    organisation = pipeline.organisation(slug)
    context = pipeline.context
    asked = {"client_id": None, "subject": "bea"}
    assert not quotas.standing(context, organisation, **asked).active  # type: ignore[arg-type]
    with context.database.transaction() as session:
        organisations.ensure_staff(session, organisation, issuer="https://idp.example", subject="bea", role="clerk")
    assert quotas.standing(context, organisation, **asked).active  # type: ignore[arg-type]


def test_a_client_of_another_organisation_does_not_stand_for_this_one(pipeline: Pipeline, slug: str) -> None:
    mine, other = pipeline.organisation(slug), pipeline.organisation(f"{slug}-b")
    with pipeline.context.database.transaction() as session:
        organisations.ensure_client(session, other, organisations.NewClient(slug, "test", "secret"))
    assert not quotas.standing(pipeline.context, mine, client_id=slug, subject=slug).active
    assert quotas.standing(pipeline.context, other, client_id=slug, subject=slug).active


@pytest.mark.parametrize("client", [access.EXCHANGE_CLIENT, "unknown"])
def test_who_is_unknown_does_not_stand(pipeline: Pipeline, slug: str, client: str) -> None:
    organisation = pipeline.organisation(slug)
    assert not quotas.standing(pipeline.context, organisation, client_id=client, subject=client).active


def test_a_quota_is_counted_to_the_last_and_says_when_the_next_day_begins(pipeline: Pipeline, slug: str) -> None:
    organisation = pipeline.organisation(slug)
    database = pipeline.context.database
    with database.transaction(organisations=[organisation]) as session:
        quotas.set_limits(session, organisation, daily_deliveries=5, daily_bytes=1000)
        quotas.take(session, organisation, 4, 900)
    with database.transaction(organisations=[organisation]) as session:
        for too_much in ((2, 0), (1, 101)):
            with pytest.raises(DeliveryQuota) as caught:
                quotas.take(session, organisation, *too_much)
            assert 0 < caught.value.retry_after <= 25 * 3600
        quotas.take(session, organisation, 1, 100)
        used = rows.today(session, organisation)
    assert (used.deliveries, used.bytes) == (5, 1000)


def test_side_by_side_nothing_is_lost_from_the_count(pipeline: Pipeline, slug: str) -> None:
    organisation = pipeline.organisation(slug)
    database = pipeline.context.database

    def one(_: int) -> None:
        with database.transaction(organisations=[organisation]) as session:
            quotas.take(session, organisation, 1, 7)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(one, range(60)))
    with database.transaction(organisations=[organisation]) as session:
        used = rows.today(session, organisation)
    assert (used.deliveries, used.bytes) == (60, 420)


def test_old_days_go_and_another_organisations_are_not_seen(pipeline: Pipeline, slug: str) -> None:
    mine, other = pipeline.organisation(slug), pipeline.organisation(f"{slug}-b")
    database = pipeline.context.database
    old = text("INSERT INTO quota_use VALUES (:o, (now() - interval '50 days')::date, 0, 9, 9)")
    for each in (mine, other):
        with database.transaction(organisations=[each]) as session:
            session.execute(old, {"o": each})
    with database.transaction(organisations=[mine]) as session:
        quotas.take(session, mine, 1)
        assert session.scalar(text("SELECT count(*) FROM quota_use")) == 1
    with database.transaction(organisations=[other]) as session:
        assert session.scalar(text("SELECT count(*) FROM quota_use")) == 1


def day(deliveries: int = 0, size: int = 0, most: int | None = 3) -> rows.Day:
    return rows.Day(datetime.now(UTC).date(), deliveries, size, 60, most, None)


def test_one_process_never_passes_a_quota_between_two_looks() -> None:
    clock, organisation = Clock(), uuid.uuid4()
    meter = Meter(clock=clock)
    reads: list[int] = []

    def admit(now_used: int) -> bool:
        def read() -> rows.Day:
            reads.append(now_used)
            return day(now_used)

        return meter.admit(organisation, 1, 1, read=read, fits=quotas._fits) is None

    assert [admit(0) for _ in range(4)] == [True, True, True, False]
    assert reads == [0], "one look serves many"
    clock.now += FRESH_SECONDS
    assert not admit(3)
    clock.now += FRESH_SECONDS
    assert admit(2), "what failed meanwhile is free again"


def test_a_hand_in_over_the_quota_is_refused_and_its_key_stays_free(
    pipeline: Pipeline, slug: str, organisation: Callable[..., uuid.UUID]
) -> None:
    sender = organisation(slug)
    database = pipeline.context.database
    with database.transaction(organisations=[sender]) as session:
        quotas.set_limits(session, sender, daily_deliveries=1)
    assert pipeline.hand_in(sender, "an", key="first", reference="R").status == 202
    again = pipeline.hand_in(sender, "an", key="first", reference="R")
    assert again.status == 202, "a repeated request gets its first answer, whatever the quota"
    with pytest.raises(DeliveryQuota):
        pipeline.hand_in(sender, "an", key="second")
    with database.transaction(organisations=[sender]) as session:
        assert rows.today(session, sender).deliveries == 1
        assert (
            session.scalar(text("SELECT count(*) FROM idempotency_key WHERE key = 'second' AND answer IS NOT NULL"))
            == 0
        )


def test_limits_are_shown_and_set_by_command(pipeline: Pipeline, slug: str, database: TestDatabase) -> None:
    pipeline.organisation(slug)
    environment = {"DATABASE_URL": database.app_url}

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(zending, ["organisations", *arguments], env=environment)
        assert done.exit_code == 0, done.output
        return done.output

    assert "deliveries a day: 2000000 (today: 0)" in run("limits", slug)
    assert "requests per second: 7 (burst 5000)" in run("limits", slug, "--requests-per-second", "7")
    assert "requests per second: 500" in run("limits", slug, "--requests-per-second", "default")
    with database.database.transaction() as session:
        trail = session.execute(text("SELECT act, subject FROM audit_entry")).all()
    assert [tuple(each) for each in trail] == [("limits.change", f"organisation:{slug}")] * 2
    for wrong in (["limits", slug, "--burst", "0"], ["limits", slug, "--burst", "x"], ["limits", "nobody"]):
        assert CliRunner().invoke(zending, ["organisations", *wrong], env=environment).exit_code
