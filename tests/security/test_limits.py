"""Limits: how often callers may call, in buckets that processes share."""

import asyncio
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.embedded.stack import Stack
from service.identity.scopes import Scope
from service.usecases import quotas
from service.usecases.quotas import Limits, Standing
from service.web import limits
from service.web.limits import Addresses, Buckets, Rate, TooManyRequests
from tests.api_support import application as wired_application
from tests.api_support import bearer, door
from tests.limits_support import Clock

FEW = Rate("test", per_second=2.0, burst=3)


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


def test_reminders_by_hand_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.usecases.signatures.sender.remind", lambda _context, _organisation, request: request)
    with wired_application(tmp_path) as wired, door(wired) as client:

        def remind(request: str) -> int:
            headers = bearer(wired, Scope.SIGNATURES_WRITE)
            return client.post(f"/v1/signature-requests/{request}/remind", headers=headers).status_code

        assert [remind("sgr_1") for _ in range(3)] == [200, 200, 429]
        assert remind("sgr_2") == 200


def test_the_default_limits_never_stop_the_largest_night() -> None:
    night = 1_500_000
    assert night < quotas.DAILY_DELIVERIES
    assert quotas.REQUESTS_PER_SECOND * timedelta(hours=8).total_seconds() > night
