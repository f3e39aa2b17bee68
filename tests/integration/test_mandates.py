"""Mandates: given, accepted with a code, scoped, revoked at once; what is done under them is evidenced and told."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from service.db.ids import DELIVERY, MANDATE, new_id, parse_id, public_id
from service.domain import mandates as rules
from service.domain.errors import Conflict, Forbidden, Invalid, NotFound
from service.domain.mandates import CODE_TRIES, Terms
from service.usecases import activation, deliveries, mailbox, mandates
from service.usecases.acting import Sides
from tests.engine_support import execute
from tests.mandate_support import EVERYTHING, accepted, acting, as_holder, give, named
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, activate, at, deliver, own_messages, reader, status, with_post

READ_ONLY = Terms(registered=True)


def records(pipeline: Pipeline, sender: uuid.UUID, delivery: str, event: str) -> list[dict[str, object]]:
    """The records of all evidence of this event, as it was made."""
    found = []
    for each in deliveries.evidence_list(pipeline.context, sender, delivery):
        if each.event == event:
            record = deliveries.evidence_one(pipeline.context, sender, delivery, each.id)["record"]
            assert isinstance(record, dict)
            found.append(record)
    return found


def register(database: TestDatabase, delivery: str) -> None:
    execute(database, "UPDATE delivery SET registered = true WHERE id = %s", parse_id(DELIVERY, delivery))


def test_a_mandate_is_given_accepted_with_its_code_and_opens_the_other_mailbox(
    pipeline: Pipeline, organisation: Sender
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline, "an")
    delivery = deliver(pipeline, sender, "an")
    made = give(pipeline)
    assert (made.mandate.state, made.mandate.side, made.mandate.other) == ("given", "mandator", "Cem Aydin")
    cem = reader(pipeline, "cem")
    assert mandates.held(pipeline.context, cem) == []
    with pytest.raises(NotFound):
        own_messages(pipeline, acting(pipeline, made.mandate.id))
    held = mandates.accept(pipeline.context, cem, made.code.lower().replace("-", " "))
    assert (held.state, held.side, held.other, held.id) == ("accepted", "mandatary", "An Peeters", made.mandate.id)
    assert [each.state for each in mandates.given(pipeline.context, an)] == ["accepted"]
    assert own_messages(pipeline, acting(pipeline, held.id)) == [delivery]
    assert own_messages(pipeline, cem) == []


def test_a_code_is_good_once_and_only_for_whom_it_was_given(pipeline: Pipeline) -> None:
    made = give(pipeline)
    for somebody in ("an", "lena"):
        with pytest.raises(mandates.CodeWrong):
            mandates.accept(pipeline.context, reader(pipeline, somebody), made.code)
    cem = reader(pipeline, "cem")
    mandates.accept(pipeline.context, cem, made.code)
    with pytest.raises(mandates.CodeWrong):
        mandates.accept(pipeline.context, cem, made.code)


def test_wrong_codes_count_and_in_the_end_the_right_one_is_worth_nothing(pipeline: Pipeline) -> None:
    made, cem = give(pipeline), reader(pipeline, "cem")
    for _ in range(CODE_TRIES - 1):
        with pytest.raises(mandates.CodeWrong):
            mandates.accept(pipeline.context, cem, "22222-22222")
    other = give(pipeline, "lena")
    assert mandates.accept(pipeline.context, cem, other.code).other == "Lena Wouters"
    with pytest.raises(mandates.CodeWrong):
        mandates.accept(pipeline.context, cem, "")
    with pytest.raises(mandates.CodeWrong):
        mandates.accept(pipeline.context, cem, made.code)
    assert mandates.get(pipeline.context, reader(pipeline, "an"), made.mandate.id).state == "lapsed"


def test_a_code_ends_after_fourteen_days(pipeline: Pipeline) -> None:
    made, cem = give(pipeline), reader(pipeline, "cem")
    with at(pipeline, datetime.now(UTC) + timedelta(days=14, minutes=1)), pytest.raises(mandates.CodeWrong):
        mandates.accept(pipeline.context, cem, made.code)
    with at(pipeline, datetime.now(UTC) + timedelta(days=13, hours=23)):
        assert mandates.accept(pipeline.context, cem, made.code).state == "accepted"


def test_the_code_and_the_people_stand_nowhere_in_the_clear(pipeline: Pipeline, database: TestDatabase) -> None:
    made = give(pipeline)
    mandates.accept(pipeline.context, reader(pipeline, "cem"), made.code)
    waiting = give(pipeline, "lena")
    kept = "".join(
        str(row) for table in ("mandate", "mandate_act") for row in execute(database, f"SELECT t::text FROM {table} t")
    )
    for secret in (made.code, waiting.code, "Cem", "Peeters", "94022722580", "85073003328"):
        for form in (secret, rules.read_code(secret) or secret):
            assert form not in kept
            assert form.encode().hex() not in kept
    assert waiting.code not in repr(waiting)
    assert execute(database, "SELECT count(*) FROM mandate WHERE code_hash IS NOT NULL") == [(1,)]


@pytest.mark.parametrize("side", ["an", "cem"])
def test_either_side_revokes_and_an_open_session_has_no_effect_any_more(
    pipeline: Pipeline, organisation: Sender, side: str
) -> None:
    with_post(pipeline)
    sender = organisation()
    activate(pipeline, "an")
    first, second = deliver(pipeline, sender, "an"), deliver(pipeline, sender, "an")
    mandate = accepted(pipeline)
    holder = acting(pipeline, mandate)
    mailbox.open_message(pipeline.context, holder, first)
    ended = mandates.revoke(pipeline.context, reader(pipeline, side), mandate)
    assert (ended.state, ended.revoked_by) == ("revoked", "mandator" if side == "an" else "mandatary")
    for act in (
        lambda: mailbox.messages(pipeline.context, holder, cursor=None, limit=5),
        lambda: mailbox.message(pipeline.context, holder, first),
        lambda: mailbox.document(pipeline.context, holder, first, 0),
        lambda: mailbox.open_message(pipeline.context, holder, second),
        lambda: mailbox.evidence_list(pipeline.context, holder, first),
        lambda: mailbox.evidence_one(pipeline.context, holder, first, "evd_x"),
        lambda: mailbox.evidence_pdf(pipeline.context, holder, first, "evd_x"),
    ):
        with pytest.raises(Forbidden) as caught:
            act()
        assert caught.value.code == "mandate_over"
    assert status(pipeline, sender, second) == "available"
    again = mandates.revoke(pipeline.context, reader(pipeline, "an"), mandate)
    assert again == mandates.get(pipeline.context, reader(pipeline, "an"), mandate)
    assert again.revoked_at == ended.revoked_at


def test_a_mandate_that_was_taken_back_before_it_was_accepted_can_t_be_accepted(pipeline: Pipeline) -> None:
    made = give(pipeline)
    cem = reader(pipeline, "cem")
    with pytest.raises(NotFound):
        mandates.revoke(pipeline.context, cem, made.mandate.id)
    assert mandates.revoke(pipeline.context, reader(pipeline, "an"), made.mandate.id).state == "revoked"
    with pytest.raises(mandates.CodeWrong):
        mandates.accept(pipeline.context, cem, made.code)


def test_a_mandate_ends_with_its_last_day(pipeline: Pipeline) -> None:
    today = datetime.now(UTC).date()
    mandate = accepted(pipeline, terms=Terms(last_day=today + timedelta(days=3)))
    holder = acting(pipeline, mandate)
    with at(pipeline, datetime.now(UTC) + timedelta(days=2)):
        assert own_messages(pipeline, holder) == []
    with at(pipeline, datetime.now(UTC) + timedelta(days=5)), pytest.raises(Forbidden):
        own_messages(pipeline, holder)


def test_only_mail_within_the_scope_is_seen(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    with_post(pipeline)
    one, other = organisation(), organisation()
    activate(pipeline, "an")
    mine, registered, theirs = (deliver(pipeline, each, "an") for each in (one, one, other))
    register(database, registered)
    narrow = acting(pipeline, accepted(pipeline, terms=Terms(senders=frozenset({one}))))
    wide = acting(pipeline, accepted(pipeline, terms=Terms(senders=frozenset({one}), registered=True)))
    every = acting(pipeline, accepted(pipeline, terms=Terms()))
    assert own_messages(pipeline, narrow) == [mine]
    assert own_messages(pipeline, wide) == [registered, mine]
    assert own_messages(pipeline, every) == [theirs, mine]
    for beyond in (registered, theirs):
        for call in (mailbox.message, mailbox.open_message, mailbox.evidence_list):
            with pytest.raises(NotFound):
                call(pipeline.context, narrow, beyond)
        with pytest.raises(NotFound):
            mailbox.document(pipeline.context, narrow, beyond, 0)
    page = mailbox.messages(pipeline.context, every, cursor=None, limit=1)
    assert [each.id for each in page.items] == [theirs]


def test_an_act_with_legal_effect_is_the_mandators_and_says_who_did_it(
    pipeline: Pipeline, organisation: Sender
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline, "an")
    delivery = deliver(pipeline, sender, "an")
    mandate = accepted(pipeline)
    holder = acting(pipeline, mandate)
    assert mailbox.open_message(pipeline.context, holder, delivery).opened_at is not None
    assert mailbox.document(pipeline.context, holder, delivery, 0).content
    assert status(pipeline, sender, delivery) == "opened"
    (opened,) = records(pipeline, sender, delivery, "ContentAccessTracking")
    (fetched,) = records(pipeline, sender, delivery, "ContentHandover")
    for record in (opened, fetched):
        identification = record["identification"]
        assert isinstance(identification, dict)
        assert identification["level"] == "substantial"
        assert identification["acted_for"] == {
            "kind": "citizen",
            "id": "85073003328",
            "basis": "mandate",
            "person": holder.person,
            "mandate": mandate,
        }
        assert record["recipients"][0]["assurance_level"] == "none"  # type: ignore[index]
        assert record["reasons"] == []
    # What was done in their place, they need not do again.
    mailbox.open_message(pipeline.context, an, delivery)
    mailbox.document(pipeline.context, an, delivery, 0)
    assert len(records(pipeline, sender, delivery, "ContentAccessTracking")) == 1


def test_without_legal_effect_it_is_read_and_stays_unopened_for_whom_it_is_for(
    pipeline: Pipeline, organisation: Sender
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline, "an")
    delivery = deliver(pipeline, sender, "an")
    holder = acting(pipeline, accepted(pipeline, terms=READ_ONLY))
    with pytest.raises(Conflict):
        mailbox.document(pipeline.context, holder, delivery, 0)
    for _ in range(2):
        assert mailbox.open_message(pipeline.context, holder, delivery).documents
    assert mailbox.document(pipeline.context, holder, delivery, 0).content
    assert mailbox.message(pipeline.context, holder, delivery).opened_at is not None
    assert [
        bool(each.opened_at) for each in mailbox.messages(pipeline.context, holder, cursor=None, limit=5).items
    ] == [True]
    assert status(pipeline, sender, delivery) == "available"
    assert mailbox.message(pipeline.context, an, delivery).opened_at is None
    with pytest.raises(Conflict):
        mailbox.document(pipeline.context, an, delivery, 0)
    (read,) = records(pipeline, sender, delivery, "ContentAccessTracking")
    assert read["reasons"] == ["mandate_without_effect"]
    assert records(pipeline, sender, delivery, "ContentHandover") == []
    # Another one's reading is their own.
    other = acting(pipeline, accepted(pipeline, mandatary="lena", terms=READ_ONLY), "lena")
    assert mailbox.message(pipeline.context, other, delivery).opened_at is None
    mailbox.open_message(pipeline.context, an, delivery)
    mailbox.document(pipeline.context, an, delivery, 0)
    assert status(pipeline, sender, delivery) == "opened"
    first, second = records(pipeline, sender, delivery, "ContentAccessTracking")
    assert (second["reasons"], second["attempt"], first["attempt"]) == ([], 2, 1)
    assert second["identification"]["acted_for"] is None  # type: ignore[index]


def test_whoever_gave_it_sees_what_was_done_and_nobody_else_does(pipeline: Pipeline, organisation: Sender) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline, "an")
    delivery = deliver(pipeline, sender, "an")
    mandate = accepted(pipeline)
    holder = acting(pipeline, mandate)
    for _ in range(2):
        mailbox.open_message(pipeline.context, holder, delivery)
        mailbox.document(pipeline.context, holder, delivery, 0)
    mandates.revoke(pipeline.context, an, mandate)
    found = mandates.acts(pipeline.context, an, mandate)
    assert [(each.act, each.by) for each in found] == [
        ("revoked", "mandator"),
        ("document_read", "mandatary"),
        ("document_read", "mandatary"),
        ("opened", "mandatary"),
        ("accepted", "mandatary"),
        ("given", "mandator"),
    ]
    assert {(each.message, bool(each.subject)) for each in found} == {(None, False), (delivery, True)}
    for somebody in ("cem", "lena"):
        with pytest.raises(NotFound):
            mandates.acts(pipeline.context, reader(pipeline, somebody), mandate)


def test_a_mandate_reaches_the_mailbox_and_nothing_else(pipeline: Pipeline) -> None:
    mandate = accepted(pipeline)
    holder = acting(pipeline, mandate)
    sides = Sides(named("an"), named("lena"))
    for act in (
        lambda: mandates.give(pipeline.context, holder, sides, Terms()),
        lambda: mandates.accept(pipeline.context, holder, "22222-22222"),
        lambda: mandates.given(pipeline.context, holder),
        lambda: mandates.held(pipeline.context, holder),
        lambda: mandates.get(pipeline.context, holder, mandate),
        lambda: mandates.acts(pipeline.context, holder, mandate),
        lambda: mandates.revoke(pipeline.context, holder, mandate),
        lambda: activation.state(pipeline.context, holder),
        lambda: activation.begin(pipeline.context, holder, "a@voorbeeld.test", "nl"),
        lambda: activation.confirm(pipeline.context, holder, "1", consent_version=activation.CONSENT_VERSION),
        lambda: activation.revoke(pipeline.context, holder),
    ):
        with pytest.raises(Forbidden) as caught:
            act()
        assert caught.value.code == "not_by_mandate"
    # And who holds one gives none in the mandator's name.
    with pytest.raises(Invalid) as wrong:
        mandates.give(pipeline.context, reader(pipeline, "cem"), sides, Terms())
    assert [(each.pointer, each.code) for each in wrong.value.errors] == [("/mandator/id", "mandator_differs")]


def test_nobody_elses_mandate_is_reachable(pipeline: Pipeline, organisation: Sender) -> None:
    with_post(pipeline)
    activate(pipeline, "an")
    delivery = deliver(pipeline, organisation(), "an")
    mandate, waiting = accepted(pipeline), give(pipeline).mandate.id
    lena = reader(pipeline, "lena")
    for each in (mandate, waiting, public_id(MANDATE, new_id())):
        for call in (mandates.get, mandates.acts, mandates.revoke):
            with pytest.raises(NotFound):
                call(pipeline.context, lena, each)
        with pytest.raises(NotFound):
            mailbox.open_message(pipeline.context, as_holder(lena, each), delivery)
    # Not the other way round: the mandator reads nothing of who acts for them.
    with pytest.raises(NotFound):
        own_messages(pipeline, as_holder(reader(pipeline, "an"), mandate))
    assert mandates.given(pipeline.context, lena) == mandates.held(pipeline.context, lena) == []
    assert mandates.get(pipeline.context, reader(pipeline, "an"), mandate).state == "accepted"


def test_there_are_only_so_many_and_only_for_organisations_that_are_there(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MOST_MANDATES", 2)
    first, _ = give(pipeline), give(pipeline)
    with pytest.raises(Conflict) as caught:
        give(pipeline)
    assert caught.value.code == "mandates_too_many"
    mandates.revoke(pipeline.context, reader(pipeline, "an"), first.mandate.id)
    give(pipeline)
    with pytest.raises(Invalid) as wrong:
        give(pipeline, "lena", terms=Terms(senders=frozenset({new_id()})))
    assert [each.code for each in wrong.value.errors] == ["sender_unknown"]


def test_a_firm_holds_a_mandate_for_all_of_its_staff(pipeline: Pipeline, organisation: Sender) -> None:
    with_post(pipeline)
    activate(pipeline, "an")
    delivery = deliver(pipeline, organisation(), "an")
    mandate = accepted(pipeline, mandatary="bakery", terms=EVERYTHING)
    assert own_messages(pipeline, acting(pipeline, mandate, "bakery")) == [delivery]
