"""How long lists, single deliveries and look-ups take over HTTP with full tables; for bench/capacity.py."""

import http.client
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from bench.capacity_steps import FIRST_ON_PAPER
from bench.running import Running, citizens, connect

PAGE = 50
_WARM = 10
Call = tuple[str, str, Any]


class Questions:
    """Lists, single deliveries and look-ups, about deliveries that were handed in before."""

    def __init__(self, target: Running, handed_in: Sequence[str]) -> None:
        self._target = target
        self._ids = handed_in
        self._chance = random.Random(20261124)
        self._token = target.token(scope="deliveries:read recipients:lookup")
        now = datetime.now(UTC)
        self._until = {"to": now.isoformat(), "limit": PAGE}
        self._within = {**self._until, "from": (now - timedelta(hours=2)).isoformat()}

    def ask(self, times: int) -> Iterator[tuple[str, list[float]]]:
        """Each call with how long its answers took, in milliseconds."""
        with closing(connect(self._target.stack.base_url)) as connection:
            for name, call in self._calls().items():
                taken = []
                for number in range(times + _WARM):
                    method, path, body = call()
                    began = time.perf_counter()
                    self._answer(connection, method, path, body)
                    if number >= _WARM:
                        taken.append((time.perf_counter() - began) * 1e3)
                yield name, taken

    def _calls(self) -> dict[str, Callable[[], Call]]:
        return {
            "list/from-to": lambda: _list(self._within),
            # With nothing but `to` the page begins in the middle of the table.
            "list/to": lambda: _list(self._until),
            "list/to-status": lambda: _list({**self._until, "status": "handed_over"}),
            "list/after": lambda: _list({"cursor": self._one(PAGE), "limit": PAGE}),
            "list/after-status": lambda: _list({"status": "handed_over", "cursor": self._one(2 * PAGE), "limit": PAGE}),
            "list/reference": lambda: _list({"reference": f"C-{self._number():06d}"}),
            "delivery": lambda: ("GET", f"/v1/deliveries/{self._one()}", None),
            "delivery/events": lambda: ("GET", f"/v1/deliveries/{self._one()}/events", None),
            "delivery/evidence": lambda: ("GET", f"/v1/deliveries/{self._one()}/evidence", None),
            "look-up/1": lambda: self._whom(1),
            "look-up/100": lambda: self._whom(100),
            "look-up/1000": lambda: self._whom(1000),
        }

    def _number(self) -> int:
        return self._chance.randrange(len(self._ids))

    def _one(self, before: int = 0) -> str:
        """A delivery with at least that many older ones of ours."""
        return self._ids[self._chance.randrange(before, len(self._ids))]

    def _whom(self, count: int) -> Call:
        first = FIRST_ON_PAPER + self._chance.randrange(100_000)
        known = self._target.activated[: (count + 2) // 3]
        asked = [*known, *citizens(count - len(known), first=first)]
        recipients = [{"type": "citizen", "id": each} for each in asked]
        return "POST", "/v1/recipients/lookup", {"purpose": "delivery", "recipients": recipients}

    def _answer(self, connection: http.client.HTTPConnection, method: str, path: str, body: Any) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{method} {path.partition('?')[0]}: {answer.status} {content[:300]!r}")
        if not json.loads(content).get("items", True):
            raise RuntimeError(f"{method} {path.partition('?')[0]} found nothing")


def _list(query: dict[str, Any]) -> Call:
    return "GET", f"/v1/deliveries?{urlencode(query)}", None
