"""How often callers may call: token buckets, kept together in Valkey where there is one, else by each process.

A bucket is one number: the moment at which it would be full again (the generic cell rate algorithm). Keys are hashed,
so that neither addresses nor clients' names stand in the broker. While Valkey is away each process counts for itself:
then several processes together allow as many times more, which is better than refusing everybody or stopping nobody.
"""

import hashlib
import math
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Final, cast
from urllib.parse import urlsplit

import structlog
from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.domain.errors import QuotaExceeded
from service.identity.errors import TokenInvalid
from service.identity.tokens import AccessToken
from service.usecases import access, quotas
from service.usecases.context import Context
from service.usecases.quotas import Standing
from service.web.requests import SCOPE_KEY

log = structlog.get_logger()

Connection = ASGIConnection[Any, Any, Any, Any]

STANDING_SECONDS: Final = 3.0
"""For so long a process believes what it last read of a client: a client that is switched off is out after that."""
_REST: Final = 5.0
_KEPT: Final = 50_000
_LOT: Final = 10
_LOT_SHARE: Final = 100
"""A lot is at most this part of a burst: a caller with few tokens loses none to a process that took them in advance."""
_LOT_SECONDS: Final = 0.5
"""Tokens of a lot are good for so long; who was not asked for that long is asked for one at a time again."""
_NETWORK_SCHEMES: Final = frozenset({"redis", "rediss", "valkey", "valkeys"})
_SCRIPT: Final = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local interval, burst, cost, store = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local full = tonumber(redis.call('GET', KEYS[1]) or now)
if full < now then full = now end
local after = full + interval * cost
local wait = after - interval * burst - now
if wait > 0 then return {0, '0', tostring(wait)} end
if store == '1' then
  redis.call('SET', KEYS[1], string.format('%.6f', after), 'PX', math.ceil((after - now) * 1000) + 1)
end
return {1, tostring(-wait / interval), '0'}
"""


class TooManyRequests(QuotaExceeded):
    """Requests come faster than this caller may send them."""

    code = "too_many_requests"
    sentence = "Too many requests in a short time. Wait as long as Retry-After says."


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may be done: in the long run, and at once after a pause."""

    name: str
    per_second: float
    burst: int


@dataclass(slots=True)
class _Lot:
    """Tokens that a process took in advance; ``left`` of the bucket are those that remain besides."""

    tokens: int
    left: int
    until: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request for tokens: whether it may go on, how many are left, seconds until it may."""

    allowed: bool
    left: int
    wait: float


LOG_IN: Final = Rate("log-in", 2.0, 120)
"""Log-ins begun or ended, per address: a whole town hall may stand behind one."""
TOKEN_FAILURE: Final = Rate("token-failure", 0.5, 60)
"""Wrong credentials at the token endpoint, per address: never per client, or anybody could shut one out."""
TOKEN: Final = Rate("token", 5.0, 300)
"""Tokens given, per client; each is good for minutes."""
ACTIVATION: Final = Rate("activation", 1 / 600, 20)
"""Codes sent or tried, per mailbox: at most 164 a day, of a million possible ones."""
REMINDER: Final = Rate("reminder", 1 / 3600, 2)
"""Reminders that a sender sends by hand, per signature request: people are reminded, not pestered."""
PERSON: Final = Rate("person", 50.0, 500)
"""Requests of a person in their own name."""


class Buckets:
    """All buckets, for the handlers of one event loop.

    Args:
        url: of Valkey or Redis; None or another kind of broker: each process counts for itself.
        clock: seconds that only grow; tests put their own.
    """

    def __init__(self, url: str | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url if url and urlsplit(url).scheme in _NETWORK_SCHEMES else None
        self._clock = clock
        self._rests_until = 0.0
        self._shared: Redis | None = None
        self._script: Any = None
        self._own: OrderedDict[str, float] = OrderedDict()
        self._lots: OrderedDict[str, _Lot] = OrderedDict()

    async def take(self, rate: Rate, key: str, *, cost: int = 1, look: bool = False) -> Taken:
        """Take ``cost`` tokens of the bucket of ``key``; with ``look`` only say whether they could be taken."""
        name = f"zending:rate:{rate.name}:{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:32]}"
        if self._url is not None and self._clock() >= self._rests_until:
            try:
                if look or cost != 1:
                    return await self._take_shared(rate, name, cost, store=not look)
                return await self._take_one(rate, name)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("limits_not_shared", error=type(error).__name__)
                self._rests_until = self._clock() + _REST
        return self._take_own(rate, name, cost, store=not look)

    async def require(self, rate: Rate, key: str, *, look: bool = False) -> Taken:
        """Take a token.

        Raises:
            TooManyRequests: there is none; ``retry_after`` says when there will be.
        """
        taken = await self.take(rate, key, look=look)
        if not taken.allowed:
            raise TooManyRequests(retry_after=max(1, math.ceil(taken.wait)), context={"limit": rate.name})
        return taken

    async def close(self) -> None:
        """Close the connections."""
        if self._shared is not None:
            shared, self._shared = self._shared, None
            await shared.aclose()

    async def _take_one(self, rate: Rate, name: str) -> Taken:
        """Take one token, from the lot where there is one: a caller at full speed costs a tenth of the questions.

        What is allowed never grows by it: a lot is taken from the bucket before it is used, and what is left of it in
        the end is lost to the caller.
        """
        lot, now = self._lots.get(name), self._clock()
        if lot is not None and now < lot.until and lot.tokens:
            lot.tokens -= 1
            return Taken(True, lot.left + lot.tokens, 0.0)
        in_a_hurry = lot is not None and now < lot.until
        size = max(1, min(_LOT, rate.burst // _LOT_SHARE)) if in_a_hurry else 1
        taken = await self._take_shared(rate, name, size, store=True)
        if not taken.allowed and size > 1:
            size, taken = 1, await self._take_shared(rate, name, 1, store=True)
        if taken.allowed:
            self._keep(name, _Lot(size - 1, taken.left, now + _LOT_SECONDS))
            return Taken(True, taken.left + size - 1, 0.0)
        return taken

    def _keep(self, name: str, lot: _Lot) -> None:
        # Others may have taken a lot while this one was asked for; both count.
        other = self._lots.get(name)
        if other is not None and self._clock() < other.until:
            lot.tokens += other.tokens
        self._lots[name] = lot
        self._lots.move_to_end(name)
        while len(self._lots) > _KEPT:
            self._lots.popitem(last=False)

    async def _take_shared(self, rate: Rate, name: str, cost: int, *, store: bool) -> Taken:
        if self._shared is None:
            pool = BlockingConnectionPool.from_url(
                cast("str", self._url),
                max_connections=16,
                timeout=0.25,
                socket_timeout=0.25,
                socket_connect_timeout=0.5,
            )
            self._shared = Redis.from_pool(pool)
            self._script = self._shared.register_script(_SCRIPT)
        answer = await self._script(keys=[name], args=[1 / rate.per_second, rate.burst, cost, int(store)])
        return Taken(bool(answer[0]), int(float(answer[1])), float(answer[2]))

    def _take_own(self, rate: Rate, name: str, cost: int, *, store: bool) -> Taken:
        now, interval = self._clock(), 1 / rate.per_second
        after = max(self._own.get(name, now), now) + interval * cost
        wait = after - interval * rate.burst - now
        if wait > 0:
            return Taken(allowed=False, left=0, wait=wait)
        if store:
            self._own[name] = after
            self._own.move_to_end(name)
            while len(self._own) > _KEPT:
                self._own.popitem(last=False)
        return Taken(allowed=True, left=int(-wait / interval), wait=0.0)


class Callers:
    """Bearers of tokens: whether they may still act, and whether they may act again already."""

    def __init__(self, context: Context, buckets: Buckets, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._context, self._buckets, self._clock = context, buckets, clock
        self._known: OrderedDict[tuple[str, str, str], tuple[float, Standing]] = OrderedDict()

    async def admit(self, token: AccessToken) -> dict[str, str]:
        """Let a request in; what its answer's headers say of the limit (draft-ietf-httpapi-ratelimit-headers).

        Raises:
            TokenInvalid: the client or the person was switched off since the token was given.
            TooManyRequests: too fast.
        """
        standing = await self._standing(token)
        if standing is not None and not standing.active:
            raise TokenInvalid("This access token was withdrawn.")
        if token.organisation is None:
            rate = PERSON
        else:
            most = quotas.DEFAULTS if standing is None else standing.limits
            rate = Rate("client", most.requests_per_second, most.burst)
        taken = await self._buckets.require(rate, f"{token.client_id}|{token.subject}")
        seconds = max(1, math.ceil(rate.burst / rate.per_second))
        return {
            "RateLimit-Policy": f'"{rate.name}";q={rate.burst};w={seconds}',
            "RateLimit": f'"{rate.name}";r={taken.left};t={seconds}',
        }

    async def _standing(self, token: AccessToken) -> Standing | None:
        """None for people in their own name, and while the database is away (then nothing can be read or done)."""
        if token.organisation is None:
            return None
        key = token.client_id, token.subject, token.organisation
        found = self._known.get(key)
        if found is not None and self._clock() < found[0]:
            return found[1]
        organisation: uuid.UUID = access.organisation_of(token)
        client = None if token.client_id == access.EXCHANGE_CLIENT else token.client_id
        try:
            standing = await sync_to_thread(
                quotas.standing, self._context, organisation, client_id=client, subject=token.subject
            )
        except (DBAPIError, PoolTimeout):
            return None
        self._known[key] = self._clock() + STANDING_SECONDS, standing
        self._known.move_to_end(key)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return standing


class Addresses:
    """Where requests come from, seen through the proxies that we trust to say so.

    Args:
        trusted: networks of proxies whose ``X-Forwarded-For`` counts, with spaces between them.
    """

    def __init__(self, trusted: str) -> None:
        self._trusted = [ip_network(each) for each in trusted.split()]

    def of(self, peer: str | None, forwarded: str | None) -> str:
        """The caller's network: an IPv4 address, or the /64 that an IPv6 customer has to themselves."""
        address = peer or ""
        hops = [hop.strip() for hop in (forwarded or "").split(",")]
        while hops and self._is_trusted(address) and _is_address(hops[-1]):
            address = hops.pop()
        if ":" in address and _is_address(address):
            return str(ip_network(f"{address.partition('%')[0]}/64", strict=False))
        return address

    def _is_trusted(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self._trusted)


@dataclass(frozen=True)
class Limiting:
    """The parts of limiting that one application has; in its state under ``limiting``."""

    buckets: Buckets
    callers: Callers
    addresses: Addresses


def limiting(context: Context, url: str | None, trusted: str) -> Limiting:
    """The parts for an application; arguments as of ``Buckets`` and ``Addresses``."""
    buckets = Buckets(url)
    return Limiting(buckets, Callers(context, buckets), Addresses(trusted))


def callers(connection: Connection) -> Callers:
    """The application's look at bearers of tokens."""
    return _of(connection).callers


def note(scope: Any, headers: Mapping[str, str]) -> None:
    """Remember what the answer's headers shall say of the limit; the frame around every request adds them."""
    scope[SCOPE_KEY] = headers


async def require(connection: Connection, rate: Rate, key: str, *, look: bool = False) -> None:
    """Take a token of a bucket.

    Raises:
        TooManyRequests: there is none.
    """
    await _of(connection).buckets.require(rate, key, look=look)


def address(connection: Connection) -> str:
    """The network that a request comes from."""
    client = connection.scope.get("client")
    return _of(connection).addresses.of(client[0] if client else None, connection.headers.get("x-forwarded-for"))


async def few_log_ins(connection: Connection, _handler: object) -> None:
    """A guard: not too many log-ins from one network.

    Raises:
        TooManyRequests: too many.
    """
    await require(connection, LOG_IN, address(connection))


def _of(connection: Connection) -> Limiting:
    return cast("Limiting", connection.app.state.limiting)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
