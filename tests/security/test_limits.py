"""Limits: how often callers may call, how much may be handed in on a day, and what happens when it is too much."""

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.api.uploads import UploadMemory
from service.app import make_litestar
from service.cli.main import zending
from service.db import quotas as rows
from service.db.ids import ORGANISATION, public_id
from service.embedded.stack import Stack
from service.identity.errors import TokenInvalid
from service.identity.scopes import Scope
from service.usecases import access, organisations, quotas
from service.usecases.meters import FRESH_SECONDS, Meter
from service.usecases.quotas import DeliveryQuota, Limits, Standing
from service.web import limits
from service.web.errors import Busy, UploadTooSlow
from service.web.limits import Addresses, Buckets, Callers, Rate, TooManyRequests
from service.web.overload import Overload
from tests.api_support import application as wired_application
from tests.api_support import bearer, door
from tests.pipeline_support import Pipeline, TestDatabase

FEW = Rate("test", per_second=2.0, burst=3)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def own() -> tuple[Buckets, Clock]:
    clock = Clock()
    return Buckets(None, clock=clock), clock


def test_a_burst_is_allowed_then_only_as_many_as_come_back() -> None:
    buckets, clock = own()

    async def run() -> None:
        lefts = [(await buckets.take(FEW, "a")).left for _ in range(3)]
        assert lefts == [2, 1, 0]
        refused = await buckets.take(FEW, "a")
        assert (refused.allowed, refused.wait) == (False, 0.5)
        assert (await buckets.take(FEW, "b")).allowed, "another's bucket is its own"
        clock.now += 0.5
        assert (await buckets.take(FEW, "a")).allowed
        assert not (await buckets.take(FEW, "a")).allowed

    asyncio.run(run())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 3), max_size=60))
def test_never_more_pass_than_burst_and_rate_allow(pauses: list[float]) -> None:
    buckets, clock = own()
    began, passed = clock.now, 0

    async def run() -> None:
        nonlocal passed
        for pause in pauses:
            clock.now += pause
            passed += (await buckets.take(FEW, "a")).allowed
            assert passed <= FEW.burst + (clock.now - began) * FEW.per_second + 1e-6

    asyncio.run(run())


def test_looking_takes_nothing() -> None:
    buckets, _ = own()

    async def run() -> None:
        for _ in range(9):
            assert (await buckets.take(FEW, "a", look=True)).allowed
        assert (await buckets.take(FEW, "a")).left == 2

    asyncio.run(run())


def test_a_refusal_says_when_to_come_back() -> None:
    buckets, _ = own()

    async def run() -> None:
        slow = Rate("slow", 1 / 600, 1)
        await buckets.require(slow, "a")
        with pytest.raises(TooManyRequests) as caught:
            await buckets.require(slow, "a")
        assert caught.value.retry_after == 600

    asyncio.run(run())


def test_two_processes_share_a_bucket_over_valkey(stack: Stack) -> None:
    async def run() -> None:
        one, two = (Buckets(stack.environment["REDIS_URL"]) for _ in range(2))
        key, rare = uuid.uuid4().hex, Rate("shared", 0.01, 4)
        try:
            taken = [await each.take(rare, key) for each in (one, two) * 3]
            assert [each.allowed for each in taken] == [True] * 4 + [False] * 2
            assert 0 < taken[-1].wait <= 100
            assert one._own == two._own == {}, "nothing was counted locally"
            assert one._shared is not None
            names = [name async for name in one._shared.scan_iter("zending:rate:shared:*")]
            assert names
            assert not any(key.encode() in name for name in names), "the broker never learns who"
            assert 0 < await one._shared.pttl(names[0]) <= 401_000, "a bucket that is full again is forgotten"
        finally:
            await one.close()
            await two.close()

    asyncio.run(run())


def test_without_valkey_each_process_counts_for_itself_and_asks_again_later() -> None:
    clock = Clock()

    async def run() -> None:
        buckets = Buckets("redis://127.0.0.1:1/0", clock=clock)
        try:
            allowed = [(await buckets.take(FEW, "a")).allowed for _ in range(4)]
            assert allowed == [True, True, True, False]
            assert buckets._rests_until > clock.now
        finally:
            await buckets.close()

    asyncio.run(run())


def test_a_broker_that_is_no_valkey_is_not_asked() -> None:
    assert Buckets("amqp://guest@localhost//")._url is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", "10.1.1.1", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        (None, "203.0.113.9", ""),
    ],
)
def test_only_proxies_of_ours_say_where_somebody_comes_from(
    peer: str | None, forwarded: str | None, address: str
) -> None:
    assert Addresses("10.0.0.0/8").of(peer, forwarded) == address


# ---------------------------------------------------------------- clients that were switched off


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


# ---------------------------------------------------------------- over HTTP, without a database


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Standing(active=True, limits=Limits(requests_per_second=1, burst=2))
    monkeypatch.setattr("service.usecases.quotas.standing", lambda *_, **__: few)


def test_too_many_requests_are_a_429_that_says_how_many_and_when(tmp_path: Path, narrow: None) -> None:
    with wired_application(tmp_path) as wired, door(wired) as client:
        answers = [client.get("/v1/deliveries?limit=0", headers=bearer(wired)) for _ in range(3)]
        assert [each.status_code for each in answers] == [400, 400, 429]
        assert answers[0].headers["RateLimit"] == '"client";r=1;t=2'
        assert answers[2].json()["code"] == "too_many_requests"
        assert answers[2].headers["Retry-After"] == "1"
        other = client.get("/v1/deliveries?limit=0", headers=bearer(wired, client_id="b", subject="b"))
        assert other.status_code == 400, "another client has a bucket of its own"


def test_guessing_secrets_ends_for_the_guessers_network_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TOKEN_FAILURE", Rate("token-failure", 0.01, 2))
    monkeypatch.setattr(limits, "address", lambda request: request.headers["x-forwarded-for"])
    with wired_application(tmp_path) as wired, door(wired) as client:

        def guess(network: str) -> int:
            headers = {"X-Forwarded-For": network, "Authorization": "Basic !"}
            form = {"grant_type": "client_credentials"}
            return int(client.post("/oauth/token", data=form, headers=headers).status_code)

        assert [guess("203.0.113.1") for _ in range(3)] == [401, 401, 429]
        assert guess("203.0.113.2") == 401


def test_many_log_ins_of_one_network_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOG_IN", Rate("log-in", 0.01, 1))
    with wired_application(tmp_path) as wired, door(wired) as client:
        assert client.get("/login/callback").status_code == 400
        answer = client.get("/login/callback")
        assert (answer.status_code, answer.headers["content-type"][:9]) == (429, "text/html")
        assert int(answer.headers["Retry-After"]) > 1


def test_trying_codes_is_stopped_per_mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACTIVATION", Rate("activation", 0.01, 2))
    code = {"code": "000000", "consent_version": "1"}
    monkeypatch.setattr("service.usecases.activation.confirm", lambda *_, **__: pytest.fail("asked too late"))
    with wired_application(tmp_path) as wired, door(wired) as client:
        one = bearer(wired, organisation=None)
        tries = [client.put("/v1/mailbox/activation", json={}, headers=one).status_code for _ in range(2)]
        assert tries == [422, 422]
        assert client.put("/v1/mailbox/activation", json=code, headers=one).status_code == 429
        other = bearer(wired, organisation=None, recipient="citizen:" + "cd" * 32)
        assert client.put("/v1/mailbox/activation", json={}, headers=other).status_code == 422


# ---------------------------------------------------------------- quotas of a day


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


# ---------------------------------------------------------------- overload, slow bodies, memory


def scope(path: str = "/v1/deliveries") -> Any:
    return {"type": "http", "path": path, "method": "GET", "headers": []}


async def silent() -> Any:
    await asyncio.Event().wait()


def test_one_request_too_many_is_told_to_come_back_and_health_still_answers() -> None:
    async def run() -> None:
        go_on, seen = asyncio.Event(), []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["path"])
            if scope["path"] != "/health/live":
                await go_on.wait()

        bounded, sent = Overload(app, most=1), []

        async def send(message: Any) -> None:
            sent.append(message)

        first = asyncio.create_task(bounded(scope(), silent, send))
        await asyncio.sleep(0)
        await bounded(scope(), silent, send)
        assert sent[0]["status"] == 503
        assert (b"retry-after", b"5") in sent[0]["headers"]
        assert b'"code":"overloaded"' in sent[1]["body"]
        await bounded(scope("/health/live"), silent, send)
        go_on.set()
        await first
        await bounded(scope(), silent, send)
        assert seen == ["/v1/deliveries", "/health/live", "/v1/deliveries"]

    asyncio.run(run())


@pytest.mark.parametrize("bounds", [{"chunk_seconds": 0.01}, {"body_seconds": 0.01}])
def test_a_body_that_does_not_come_is_given_up(bounds: dict[str, float]) -> None:
    async def run() -> None:
        async def app(_scope: Any, receive: Any, _send: Any) -> None:
            with pytest.raises(UploadTooSlow):
                await receive()

        await Overload(app, most=9, **bounds)(scope(), silent, silent)  # type: ignore[arg-type]

    asyncio.run(run())


def test_waiting_for_the_answer_is_not_a_slow_body() -> None:
    async def run() -> None:
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        async def app(_scope: Any, receive: Any, _send: Any) -> None:
            await receive()
            assert (await receive())["type"] == "http.disconnect"

        await Overload(app, most=9, chunk_seconds=0.01)(scope(), receive, silent)  # type: ignore[arg-type]

    asyncio.run(run())


def test_one_organisation_leaves_memory_for_anothers_upload() -> None:
    async def run() -> None:
        memory = UploadMemory(100, most_each=60, wait=0.01)
        async with memory.reserved(60, "big"):
            with pytest.raises(Busy):
                async with memory.reserved(1, "big"):
                    pytest.fail("it has its share")
            async with memory.reserved(40, "small"):
                assert memory.free == 0
        async with memory.reserved(60, "big"):
            assert memory.free == 40
        assert not memory._held

    asyncio.run(run())


def test_a_token_request_whose_body_never_ends_is_answered(tmp_path: Path) -> None:
    pieces: list[Any] = [{"type": "http.request", "body": b"grant_type=", "more_body": True}]
    sent: list[Any] = []
    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"host", b"127.0.0.1:8000")]
    asked: Any = scope("/oauth/token") | {
        "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http", "query_string": b"",
        "raw_path": b"/oauth/token", "root_path": "", "headers": headers, "client": ("127.0.0.1", 1), "state": {},
        "server": ("127.0.0.1", 8000),
    }  # fmt: skip

    async def receive() -> Any:
        return pieces.pop() if pieces else await silent()

    async def send(message: Any) -> None:
        sent.append(message)

    with wired_application(tmp_path) as wired:
        asyncio.run(Overload(make_litestar(wired), most=9, chunk_seconds=0.05)(asked, receive, send))
    assert sent[0]["status"] == 408
    assert b"upload_too_slow" in sent[1]["body"]


def test_the_default_limits_never_stop_the_largest_night() -> None:
    night = 1_500_000
    assert night < quotas.DAILY_DELIVERIES
    assert quotas.REQUESTS_PER_SECOND * timedelta(hours=8).total_seconds() > night
