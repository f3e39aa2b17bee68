"""What a sender is told over HTTP, beside what is true; see ``bench.truth``."""

import hashlib
import http.client
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from bench.running import Answer, Running, Sending, connect
from service.ledger.verify import verify_evidence

SAMPLE = 5


def lists(target: Running, answers: Sequence[Answer], sender: Sending) -> Iterator[str]:
    """What the sender is told over HTTP."""
    expected = {answer.delivery: answer.request for answer in answers}
    seen: Counter[str] = Counter()
    references: Counter[str] = Counter()
    for item in _pages(target, sender):
        seen[item["id"]] += 1
        references[item["reference"]] += 1
        request = expected.get(item["id"])
        if request is None:
            yield f"{item['id']} is there, but was never acknowledged"
            continue
        status, channel = ("available", "digital") if request.digital else ("handed_over", "paper")
        if (item["status"], item["channel"], item["reference"]) != (status, channel, request.reference):
            yield f"{item['id']} is {item['status']} by {item['channel']}, not {status} by {channel}"
    yield from (f"{each} is lost" for each in expected.keys() - seen.keys())
    yield from (f"{each} is listed {count} times" for each, count in seen.items() if count > 1)
    yield from (f"reference {each} stands for {count} deliveries" for each, count in references.items() if count > 1)


def _pages(target: Running, sender: Sending) -> Iterator[dict[str, Any]]:
    with closing(connect(target.stack.base_url)) as connection:
        headers = {"Authorization": f"Bearer {target.token(sender)}"}
        cursor = ""
        while True:
            page = _get(connection, f"/v1/deliveries?limit=100{cursor}", headers)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = f"&cursor={page['next_cursor']}"


def _get(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> Any:
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{path} answered {answer.status}: {content[:300]!r}")
    return json.loads(content)


def samples(target: Running, answers: Sequence[Answer], sender: Sending) -> Iterator[str]:
    """A few deliveries from end to end: the sealed file is the one that was promised, its evidence verifies offline."""
    headers = {"Authorization": f"Bearer {target.token(sender)}"}
    keys = list(target.application.log_signer.vkeys)
    with closing(connect(target.stack.base_url)) as connection:
        for answer in random.Random(1).sample(list(answers), min(SAMPLE, len(answers))):
            path = f"/v1/deliveries/{answer.delivery}"
            promised = _get(connection, path, headers)["documents"][0]["sha256"]
            connection.request("GET", f"{path}/document", headers=headers)
            content = connection.getresponse().read()
            if hashlib.sha256(content).hexdigest() != promised:
                yield f"{answer.delivery}: the sealed file is not the one that was promised"
            for item in _get(connection, f"{path}/evidence", headers)["items"]:
                document = _get(connection, f"{path}/evidence/{item['id']}", headers)
                for check in verify_evidence(document, keys):
                    if check.ok is False:
                        yield f"{answer.delivery}, {item['event']}: {check.name}: {check.detail}"
