"""Mail that comes back: evidenced once, believed of nobody else, shown to who can do something about it."""

import os
import uuid
from datetime import timedelta
from typing import Any

import pytest

from service.notifications.base import About, NoticeKind, Result
from service.notifications.envelopes import Envelopes
from service.usecases import activation, registered
from service.usecases.bounces import Effect
from tests.bounce_support import FAILURE, SENT, Back, arrived, opened, told
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.registered_support import agreed, clock, legs, offer, sender_under, terms_left
from tests.signatures_support import ask
from tests.usecase_support import (
    Sender,
    activate,
    deliver,
    events,
    evidence,
    reader,
    snapshot,
    status,
    with_post,
)


@pytest.fixture
def back(pipeline: Pipeline) -> Back:
    return opened(pipeline)


def test_a_notice_that_bounces_is_evidenced_as_failed_and_shown_to_its_sender(
    pipeline: Pipeline, organisation: Sender, back: Back
) -> None:
    post, sender = with_post(pipeline), organisation()
    activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    assert post.sent[-1].about == arrived(delivery)
    back.put("postfix-no-such-user", arrived(delivery), "one")
    assert back.read() == {Effect.EVIDENCED: 1}
    assert events(pipeline, sender, delivery)[-2:] == [SENT, FAILURE]
    assert evidence(pipeline, sender, delivery, FAILURE)["reasons"] == ["bounced"]
    assert told(pipeline, sender, delivery)[-1] == (FAILURE, "bounced")
    # Ordinary mail lies in the mailbox all the same.
    assert status(pipeline, sender, delivery) == "available"
    assert (back.inside("new"), back.inside("cur")) == (set(), {"one:2,S"})


def test_what_comes_twice_changes_nothing_the_second_time(
    pipeline: Pipeline, organisation: Sender, back: Back, database: TestDatabase
) -> None:
    sender = organisation()
    with_post(pipeline)
    activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    # Two at once, then a replay, then another server's about the same notice.
    back.put("postfix-no-such-user", arrived(delivery))
    back.put("postfix-no-such-user", arrived(delivery))
    assert back.read() == {Effect.EVIDENCED: 1, Effect.REPEATED: 1}
    before = snapshot(database)
    back.put("postfix-no-such-user", arrived(delivery))
    back.put("exchange-mailbox-full", arrived(delivery))
    assert back.read() == {Effect.REPEATED: 2}
    assert snapshot(database) == before


def test_nobody_else_can_make_a_notice_bounce(
    pipeline: Pipeline, organisation: Sender, back: Back, database: TestDatabase
) -> None:
    sender = organisation()
    with_post(pipeline)
    activate(pipeline)
    about = arrived(deliver(pipeline, sender, "an"))
    mine = back.returns.envelopes.sender(about)
    local, _, domain = mine.rpartition("@")
    other = Envelopes("bounces@zending.test", [os.urandom(32)]).sender(about)
    forged = [
        other,
        f"bounces@{domain}",
        f"bounces+{about.subject.hex}@{domain}",
        f"{local[:-2]}aa@{domain}",
        f"{local[:9]}{'b' if local[9] == 'a' else 'a'}{local[10:]}@{domain}",
        f"{local}@{domain}.evil.test",
        mine.replace("bounces+", "no-reply+"),
        # Two notices at once: whose it is can't be said.
        f"{mine}, {back.returns.envelopes.sender(About(about.kind, uuid.uuid4(), 1))}",
    ]
    before = snapshot(database)
    for address in forged:
        back.put("postfix-no-such-user", address)
    assert back.read() == {Effect.STRANGE: len(forged)}
    assert snapshot(database) == before
    back.put("postfix-no-such-user", mine.upper())
    assert back.read() == {Effect.EVIDENCED: 1}


def test_what_is_no_failure_changes_nothing(
    pipeline: Pipeline, organisation: Sender, back: Back, database: TestDatabase
) -> None:
    sender = organisation()
    with_post(pipeline)
    activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    before = snapshot(database)
    for name in ("postfix-delayed", "auto-outlook-away", "read-receipt", "report-of-success", "person-replies"):
        back.put(name, arrived(delivery))
    back.put("unclear-daemon", arrived(delivery), "unclear")
    assert back.read() == {Effect.NO_FAILURE: 5, Effect.ASIDE: 1}
    assert snapshot(database) == before
    assert (back.inside("new"), back.inside(".Aside/new")) == (set(), {"unclear"})


def test_an_offer_that_bounces_starts_no_period_and_goes_by_registered_letter(
    pipeline: Pipeline, organisation: Sender, back: Back, database: TestDatabase
) -> None:
    sender, post = sender_under(pipeline, database, organisation), with_post(pipeline)
    agreed(pipeline)
    delivery = offer(pipeline, sender)
    assert post.sent[-1].about == arrived(delivery, kind=NoticeKind.OFFERED)
    assert terms_left(database) == 1
    # A reminder's does not undo the offer that was made before it; nor does a notice of another kind.
    back.put("postfix-no-such-user", arrived(delivery, kind=NoticeKind.REMINDER))
    back.put("postfix-no-such-user", arrived(delivery))
    assert back.read() == {Effect.LATE: 2}
    assert told(pipeline, sender, delivery)[-1] == ("notice_bounced", "bounced")
    assert status(pipeline, sender, delivery) == "offered"
    back.put("postfix-no-such-user", arrived(delivery, kind=NoticeKind.OFFERED))
    assert back.read() == {Effect.EVIDENCED: 1}
    assert evidence(pipeline, sender, delivery, "NotificationForAcceptanceFailure")["reasons"] == ["bounced"]
    pipeline.work()
    assert legs(database, delivery) == [("mailbox", "undeliverable", True), ("paper", "to_print", True)]
    assert execute(database, "SELECT noticed_at, ends_at FROM leg WHERE kind = 'mailbox'") == [(None, None)]
    assert terms_left(database) == 0
    clock(pipeline, pipeline.now + timedelta(days=60))
    assert "AcceptanceRejectionExpiry" not in events(pipeline, sender, delivery)
    assert len(post.sent) == 1


def test_an_offer_that_was_accepted_is_not_undone_by_its_bounce(
    pipeline: Pipeline, organisation: Sender, back: Back, database: TestDatabase
) -> None:
    sender = sender_under(pipeline, database, organisation)
    with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender)
    registered.accept(pipeline.context, an, delivery)
    proofs = events(pipeline, sender, delivery)
    back.put("postfix-no-such-user", arrived(delivery, kind=NoticeKind.OFFERED))
    assert back.read() == {Effect.LATE: 1}
    pipeline.work()
    assert legs(database, delivery) == [("mailbox", "available", True)]
    assert events(pipeline, sender, delivery) == proofs


def test_registered_mail_that_lies_in_the_mailbox_goes_by_letter_too_when_its_notice_bounces(
    pipeline: Pipeline, organisation: Sender, back: Back, database: TestDatabase
) -> None:
    sender = sender_under(pipeline, database, organisation)
    post = with_post(pipeline)
    agreed(pipeline)
    delivery = offer(pipeline, sender, "third-day")
    assert post.sent[-1].about == arrived(delivery)
    assert terms_left(database) == 1
    for _ in range(2):
        back.put("postfix-no-such-user", arrived(delivery))
        back.read()
    assert events(pipeline, sender, delivery).count(FAILURE) == 1
    pipeline.work()
    assert legs(database, delivery) == [("mailbox", "available", True), ("paper", "to_print", True)]
    assert terms_left(database) == 0


def test_a_reminder_is_known_as_one(
    pipeline: Pipeline, organisation: Sender, back: Back, database: TestDatabase
) -> None:
    sender = sender_under(pipeline, database, organisation)
    post = with_post(pipeline)
    agreed(pipeline)
    delivery = offer(pipeline, sender)
    clock(pipeline, pipeline.now + timedelta(days=8))
    assert [each.about for each in post.sent] == [
        arrived(delivery, kind=NoticeKind.OFFERED),
        arrived(delivery, kind=NoticeKind.REMINDER),
    ]


def test_one_that_comes_too_late_is_shown_once_and_changes_nothing(
    pipeline: Pipeline, organisation: Sender, back: Back, database: TestDatabase
) -> None:
    sender = organisation()
    with_post(pipeline)
    activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    proofs = events(pipeline, sender, delivery)
    for state in ("withdrawn", "refused", "expired", "undeliverable"):
        execute(database, "UPDATE leg SET state = %s", state)
        back.put("postfix-no-such-user", arrived(delivery))
        assert back.read() == {Effect.LATE: 1}
        assert execute(database, "SELECT state FROM leg") == [(state,)]
    assert [event for event, _ in told(pipeline, sender, delivery)].count("notice_bounced") == 1
    assert events(pipeline, sender, delivery) == proofs


def test_what_it_is_about_may_be_gone(back: Back) -> None:
    back.put("postfix-no-such-user", About(NoticeKind.ARRIVED, uuid.uuid4(), 1))
    back.put("postfix-no-such-user", About(NoticeKind.CODE, uuid.uuid4()))
    back.put("postfix-no-such-user", About(NoticeKind.SIGNATURE, uuid.uuid4(), 3))
    assert back.read() == {Effect.ERASED: 1, Effect.NOTED: 2}


def test_one_that_comes_before_its_sending_is_recorded_is_not_followed_by_a_success(
    pipeline: Pipeline, organisation: Sender, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, sender = with_post(pipeline), organisation()
    activate(pipeline)
    send = post.send_many

    def at_once(*arguments: Any, **named: Any) -> Any:
        outcomes = send(*arguments, **named)
        back.put("postfix-no-such-user", post.sent[-1].about or "")
        assert back.read() == {Effect.EVIDENCED: 1}
        return outcomes

    monkeypatch.setattr(post, "send_many", at_once)
    delivery = deliver(pipeline, sender, "an")
    assert events(pipeline, sender, delivery)[-1] == FAILURE
    assert SENT not in events(pipeline, sender, delivery)


def test_a_mailbox_whose_address_takes_no_mail_says_so_until_one_is_confirmed_again(
    pipeline: Pipeline, organisation: Sender, back: Back
) -> None:
    sender, post = organisation(), with_post(pipeline)
    activate(pipeline)
    first = deliver(pipeline, sender, "an")
    # Refused for what we are, or for now: the address may be good.
    back.put("postfix-unwanted", arrived(first))
    back.read()
    assert activation.state(pipeline.context, reader(pipeline)).unreachable_since is None
    second = deliver(pipeline, sender, "an")
    back.put("exchange-mailbox-full", arrived(second))
    back.read()
    since = activation.state(pipeline.context, reader(pipeline)).unreachable_since
    assert since is not None
    activate(pipeline, email="an.nieuw@voorbeeld.test")
    assert activation.state(pipeline.context, reader(pipeline)).unreachable_since is None
    # One that was sent to the old address says nothing of the new one.
    back.put("exchange-mailbox-full", arrived(first), "late")
    back.put("exchange-mailbox-full", arrived(second), "replayed")
    back.read()
    assert activation.state(pipeline.context, reader(pipeline)).unreachable_since is None
    assert len(post.sent) == 2


def test_a_mailbox_is_marked_too_when_the_server_refuses_at_once(pipeline: Pipeline, organisation: Sender) -> None:
    sender, post = organisation(), with_post(pipeline)
    activate(pipeline)
    post.answers["an@voorbeeld.test"] = (Result.REFUSED, "mailbox_refused")
    deliver(pipeline, sender, "an")
    assert activation.state(pipeline.context, reader(pipeline)).unreachable_since is None
    post.enhanced["an@voorbeeld.test"] = "5.1.1"
    deliver(pipeline, sender, "an")
    assert activation.state(pipeline.context, reader(pipeline)).unreachable_since is not None


def test_a_signer_whose_notice_bounces_reads_it_too(pipeline: Pipeline, organisation: Sender, back: Back) -> None:
    sender, post = organisation(), with_post(pipeline)
    activate(pipeline)
    ask(pipeline, sender)
    pipeline.work()
    about = post.sent[-1].about
    assert about is not None
    assert about.kind is NoticeKind.SIGNATURE
    back.put("postfix-no-such-user", about)
    assert back.read() == {Effect.NOTED: 1}
    assert activation.state(pipeline.context, reader(pipeline)).unreachable_since is not None
