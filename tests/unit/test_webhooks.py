"""Rules of webhooks: signatures that receivers' library believes, a schedule that ends, addresses to call."""

import base64
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from service.db.ids import DELIVERY, MESSAGE, SUBMISSION, parse_id
from service.db.webhooks import WebhookMessage
from service.domain import webhooks as rules
from service.domain.errors import Invalid
from service.domain.states import Event
from service.usecases.post_statements import name_of
from service.usecases.webhook_messages import body_of
from tests.embedded_support import CHECKOUT
from tests.signing_support import now

NOW = now()
keys = st.binary(min_size=rules.SECRET_BYTES, max_size=rules.SECRET_BYTES)
bodies = st.text(st.characters(codec="utf-8")).map(str.encode)


def believed(key: bytes, body: bytes, headers: dict[str, str]) -> bool:
    try:
        Verifier(rules.written_secret(key)).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


@given(keys, keys, bodies)
def test_a_message_is_believed_by_whoever_has_either_secret_and_by_nobody_else(
    new: bytes, old: bytes, body: bytes
) -> None:
    # The library looks at the clock: a time of when the file was read would be too old by now.
    signed = dict(rules.headers([new, old], "msg_1", now(), body))
    assert believed(new, body, signed)
    assert believed(old, body, signed)
    assert not believed(bytes(each ^ 1 for each in new), body, signed)


@given(keys, bodies)
def test_a_message_of_which_anything_was_changed_is_not_believed(key: bytes, body: bytes) -> None:
    at = now()
    signed = dict(rules.headers([key], "msg_1", at, body))
    assert believed(key, body, signed)
    assert not believed(key, body + b" ", signed)
    assert not believed(key, body, signed | {"webhook-id": "msg_2"})
    assert not believed(key, body, signed | {"webhook-timestamp": str(int(at.timestamp()) + 1)})
    late = dict(rules.headers([key], "msg_1", at - timedelta(minutes=6), body))
    assert not believed(key, body, late)


def test_the_signature_is_that_of_the_specifications_example() -> None:
    """The values that its reference implementations are tested with."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at, body = datetime.fromtimestamp(1614265330, UTC), b'{"test": 2432232314}'
    signed = rules.headers([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.floats(0, 1), st.none() | st.timedeltas(timedelta(0), rules.LONGEST_WISH))
def test_a_message_is_tried_for_three_days_ever_more_seldom_and_not_before_its_receiver_wishes(
    chance: float, wished: timedelta | None
) -> None:
    waits = [rules.next_try(tries, chance, wished) for tries in range(1, rules.TRIES + 1)]
    assert waits[-1] is None
    times = [each for each in waits if each is not None]
    assert len(times) == rules.TRIES - 1
    assert times == sorted(times)
    assert all(each >= (wished or timedelta(0)) for each in times)
    assert timedelta(days=2.8) < sum(times, timedelta(0)) < timedelta(days=4)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_receiver_that_fails_is_left_alone_longer_and_is_asked_again_within_minutes(n: int, chance: float) -> None:
    pause = rules.rest(n, chance)
    assert timedelta(seconds=0.9) <= pause <= rules.LONGEST_REST
    assert n < 10 or pause >= rules.LONGEST_REST * 0.9


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("-5", None), ("1.5", None), ("0", 0), ("120", 120), (" 7 ", 7),
        ("999999999", 3600), ("9" * 40, None), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
    ],
    ids=range(13),
)  # fmt: skip
def test_what_a_receiver_asks_for_is_heard_within_bounds(said: str | None, seconds: int | None) -> None:
    found = rules.wish(said, NOW.replace(microsecond=0))
    assert (None if found is None else found.total_seconds()) == seconds


@given(st.text())
def test_nothing_that_a_receiver_says_makes_it_wait_longer_or_fails(said: str) -> None:
    found = rules.wish(said, NOW)
    assert found is None or timedelta(0) <= found <= rules.LONGEST_WISH


def test_a_receiver_is_given_up_after_days_and_not_for_its_first_failure_after_a_quiet_month() -> None:
    assert not rules.gives_up(NOW - timedelta(days=4.9), NOW)
    assert rules.gives_up(NOW - timedelta(days=5), NOW)
    began = NOW - timedelta(days=40)
    assert rules.failing_from(began, NOW - timedelta(days=1.9), NOW) == began
    assert rules.failing_from(began, NOW - timedelta(days=37), NOW) == NOW
    assert rules.failing_from(None, NOW, NOW) == NOW


@pytest.mark.parametrize("url", ["https://a.example", "https://a.example:8443/x?y=z", "http://inside.test:1/"])
def test_addresses_by_tls_or_of_trusted_hosts_are_fine(url: str) -> None:
    assert rules.checked_url(url, trusted={"inside.test"}) == url


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://a.example/", "url_not_https"), ("ftp://inside.test/", "url_not_https"),
        ("//a.example", "url_not_https"),
        ("file:///etc/passwd", "url_malformed"), ("https://", "url_malformed"), ("https://a b", "url_malformed"),
        ("https://a.example\\@b", "url_malformed"), ("https://a.example/\n", "url_malformed"),
        ("https://[::1", "url_malformed"), ("https://a.example:x/", "url_malformed"),
        ("https://é.example", "url_malformed"),
        ("https://u:p@a.example/", "url_with_extras"), ("https://a.example/#x", "url_with_extras"),
        ("https://a.example/" + "x" * 2048, "too_long"),
    ],
    ids=range(14),
)  # fmt: skip
def test_other_addresses_are_refused_with_the_reason(url: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        rules.checked_url(url, trusted={"inside.test"})
    assert [(each.pointer, each.code) for each in caught.value.errors] == [("/url", code)]


def test_every_event_of_a_timeline_has_its_type() -> None:
    assert {rules.type_of(event.value) for event in Event} == set(rules.TYPES)
    assert rules.checked_types(["delivery.returned", "delivery.posted", "delivery.returned"]) == [
        "delivery.posted",
        "delivery.returned",
    ]
    assert rules.checked_types(None) is None
    for wrong in ([], ["returned"], ["delivery.*"]):
        with pytest.raises(Invalid):
            rules.checked_types(wrong)


def test_the_example_of_the_documentation_is_a_message_as_it_is_sent() -> None:
    text = (CHECKOUT / "docs" / "webhooks.md").read_text("utf-8")
    head, _, rest = text.partition("```http\n")[2].partition("\n\n")
    body = rest.partition("\n```")[0].encode()
    sent = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    (secret,) = re.findall(r"`(whsec_[\w+/=]+)`", text)
    message = msgspec.json.decode(body)
    happened = datetime.fromisoformat(message["timestamp"])
    row = WebhookMessage(type=message["type"], at=happened, data=message["data"])
    assert body_of(row) == body
    at = datetime.fromtimestamp(int(sent["webhook-timestamp"]), UTC)
    key = base64.b64decode(secret.removeprefix(rules.SECRET_PREFIX))
    assert len(key) == rules.SECRET_BYTES
    assert sent == {"content-type": "application/json", **rules.headers([key], sent["webhook-id"], at, body)}
    assert timedelta(0) < at - happened < timedelta(seconds=5)
    data = message["data"]
    parse_id(MESSAGE, sent["webhook-id"])
    parse_id(SUBMISSION, data["submission_id"])
    assert data["letter"] == name_of(parse_id(DELIVERY, data["delivery_id"]), data["leg"])
    assert message["type"] == rules.type_of(Event(data["event"]).value)
