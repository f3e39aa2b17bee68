"""Signers are told at the address they confirmed, else at the one their sender gave; and again when the sender asks."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest

from service.db.ids import SIGNATURE_REQUEST, parse_id
from service.db.jobs import JobKind
from service.domain.errors import NotFound, TransitionRefused
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from service.notifications.base import Language, Notice, SignatureAsked
from service.usecases import activation
from service.usecases.signatures import clock, sender
from tests.pipeline_support import Pipeline, fresh_database, wired
from tests.signatures_support import SEAL, ask, person, seen, sign, who
from tests.usecase_support import Post, activate, at, with_post


@pytest.fixture(scope="module")
def shared(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    assert stack.urls is not None
    with (
        fresh_database(stack.urls, DATABASE) as database,
        wired(stack, database, tmp_path_factory.mktemp("reminders"), quiet_hours=False) as made,
    ):
        yield Pipeline(made, stack.home / "pki")


@pytest.fixture
def pipeline(shared: Pipeline) -> Iterator[Pipeline]:
    before = shared.context
    yield shared
    shared.context, shared.skew = before, timedelta()
    shared.work()


@pytest.fixture
def agency(pipeline: Pipeline) -> uuid.UUID:
    return pipeline.organisation()


def told(post: Post, request: str) -> list[Notice]:
    """What was sent about a request: other tests' requests have their reminders too."""
    own = str(parse_id(SIGNATURE_REQUEST, request))
    return [each for each in post.sent if each.reference.startswith(own)]


def test_whoever_has_no_mailbox_is_told_at_the_address_the_sender_gave(pipeline: Pipeline, agency: uuid.UUID) -> None:
    post = with_post(pipeline)
    request = ask(pipeline, agency, [person(email=" An.Peeters@Voorbeeld.TEST ")], language="fr")
    pipeline.work(JobKind.ASK)
    [notice] = told(post, request)
    assert (notice.to, notice.language) == ("An.Peeters@voorbeeld.test", Language.FR)
    assert isinstance(notice.what, SignatureAsked)


def test_a_confirmed_address_goes_before_the_senders_until_it_is_given_up(
    pipeline: Pipeline, agency: uuid.UUID
) -> None:
    activate(pipeline, "lena", email="lena@confirmed.test", language="de")
    post = with_post(pipeline)
    request = ask(pipeline, agency, [person("lena", email="other@given.test")], language="fr")
    pipeline.work(JobKind.ASK)
    assert [(each.to, each.language) for each in told(post, request)] == [("lena@confirmed.test", Language.DE)]
    activation.revoke(pipeline.context, who(pipeline, "lena"))
    request = ask(pipeline, agency, [person("lena", email="other@given.test")], language="fr")
    pipeline.work(JobKind.ASK)
    assert [(each.to, each.language) for each in told(post, request)] == [("other@given.test", Language.FR)]


def test_the_sender_reminds_those_whose_turn_it_is(pipeline: Pipeline, agency: uuid.UUID) -> None:
    post = with_post(pipeline)
    people = [person("an", email="an@given.test"), person("jan", email="jan@given.test"), SEAL]
    request = ask(pipeline, agency, people, remind_after_days=4)
    pipeline.work()
    with at(pipeline, pipeline.now + timedelta(days=3)):
        assert sender.remind(pipeline.context, agency, request).state == "open"
        # Pressed twice before anything was sent, it is one reminder.
        sender.remind(pipeline.context, agency, request)
        pipeline.work(JobKind.ASK)
    assert [each.to for each in told(post, request)] == ["an@given.test"] * 2
    assert len({each.reference for each in told(post, request)}) == 2
    # The next one by itself comes a whole period after that.
    for days, times in ((5, 2), (8, 3)):
        with at(pipeline, pipeline.now + timedelta(days=days)):
            clock.round_(pipeline.context)
            pipeline.work(JobKind.ASK)
        assert len(told(post, request)) == times, days
    sign(pipeline, request)
    post.sent.clear()
    pipeline.work()
    sender.remind(pipeline.context, agency, request)
    pipeline.work()
    assert [each.to for each in told(post, request)] == ["jan@given.test"] * 2


def test_without_reminders_by_itself_a_reminder_by_hand_stays_the_only_one(
    pipeline: Pipeline, agency: uuid.UUID
) -> None:
    post = with_post(pipeline)
    request = ask(pipeline, agency, [person(email="an@given.test")], remind_after_days=None)
    pipeline.work(JobKind.ASK)
    sender.remind(pipeline.context, agency, request)
    pipeline.work(JobKind.ASK)
    with at(pipeline, pipeline.now + timedelta(days=20)):
        clock.round_(pipeline.context)
        pipeline.work(JobKind.ASK)
    assert len(told(post, request)) == 2


def test_nobody_is_reminded_of_what_has_ended_or_is_somebody_elses(pipeline: Pipeline, agency: uuid.UUID) -> None:
    post = with_post(pipeline)
    request = ask(pipeline, agency, [person(email="an@given.test")])
    with pytest.raises(NotFound):
        sender.remind(pipeline.context, pipeline.organisation(), request)
    sender.cancel(pipeline.context, agency, request)
    with pytest.raises(TransitionRefused):
        sender.remind(pipeline.context, agency, request)
    pipeline.work()
    assert told(post, request) == []
    assert seen(pipeline, agency, request).state == "cancelled"


def test_requests_are_found_by_their_reference(pipeline: Pipeline, agency: uuid.UUID) -> None:
    first = ask(pipeline, agency, reference="2026-A")
    second = ask(pipeline, agency, reference="2026-B")
    ask(pipeline, pipeline.organisation(), reference="2026-A")

    def found(reference: str | None, state: str | None = None) -> list[str]:
        page = sender.list_page(pipeline.context, agency, state=state, reference=reference, cursor=None, limit=20)
        return [each.id for each in page.items]

    assert found(None) == [second, first]
    assert found("2026-A") == [first]
    assert found("2026-A", "completed") == []
    assert found("2026") == []
