"""Whether exactly one wins where several decide on an offer at once: 10,000 races against the real database.

``python -m bench.races`` lays real registered mail ready for people who agreed to it, and then lets them accept it,
somebody accept it who holds their mandate, them refuse it, its sender take it back, and the clock end it, all within
milliseconds. After each
race there must be one end, one evidence of it, a state that fits it, and an answer for everybody that says what
happened. The offer is then put back, by the owner of the tables, for the next race. With ``--quick`` 400 races.
"""

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg

from bench.fairness import form
from bench.measure import Result, options, rate, report
from bench.running import DOCUMENTS, SENDERS, Running, citizens, running
from service.db.ids import DELIVERY, MANDATE, parse_id
from service.db.jobs import Lane
from service.domain.errors import Conflict, TransitionRefused
from service.domain.identifiers import RecipientId, RecipientKind
from service.domain.mandates import Terms
from service.engine.steps import run_chunk
from service.usecases import deliveries, mandates, organisations, periods, registered, registered_consent
from service.usecases.acting import Named, Sides
from service.usecases.admission import Sender, Upload
from service.usecases.context import Context
from service.usecases.hand_in import hand_in
from service.usecases.mailbox import Reader
from service.usecases.personal import find_hash
from service.usecases.steps import all_steps

RACES, RACES_QUICK = 10_000, 400
OFFERS: Final = 20
HEAD_START: Final = 0.012
"""Seconds by which one may be ahead of another: as long as the slowest takes to come to the rows."""
DOCUMENT: Final = "receipt-nl-reportlab.pdf"
ENDS: Final = {
    "ConsignmentAcceptance": "available",
    "ConsignmentRejection": "refused",
    "ConsignmentWithdrawal": "withdrawn",
    "AcceptanceRejectionExpiry": "expired",
}
TOLD: Final = frozenset(
    {
        "done",
        "already_accepted",
        "already_refused",
        "offer_expired",
        "offer_withdrawn",
        "too_late_to_withdraw",
        "not_delivered_yet",
    }
)
_PUT_BACK: Final = """
    DELETE FROM ledger_pending WHERE evidence_id IN
        (SELECT id FROM evidence WHERE delivery_id = %(id)s AND at >= %(at)s);
    DELETE FROM evidence WHERE delivery_id = %(id)s AND at >= %(at)s;
    DELETE FROM delivery_event WHERE delivery_id = %(id)s AND at >= %(at)s;
    DELETE FROM job WHERE subject_id = %(id)s;
    UPDATE leg SET state = 'offered', reason = NULL, effective_at = NULL, effect_event = NULL
        WHERE delivery_id = %(id)s;
    UPDATE delivery SET status = 'offered', reason = NULL, effective_at = NULL, effect_event = NULL
        WHERE id = %(id)s;
    UPDATE mailbox_item SET withdrawn_at = NULL, opened_at = NULL WHERE delivery_id = %(id)s;
    DELETE FROM term;
    INSERT INTO term (delivery_id, leg, organisation_id, next_at, handled_at)
    SELECT delivery_id, number, organisation_id, ends_at, noticed_at FROM leg WHERE delivery_id = %(id)s
"""


@dataclass(frozen=True)
class Offer:
    """Registered mail that waits: whose it is, who acts for them, and when its time is over."""

    delivery: str
    reader: Reader
    holder: Reader
    ends_at: datetime


def main() -> None:
    """Race, and tell."""
    chosen = options("Whether exactly one wins where several decide at once")
    with (
        tempfile.TemporaryDirectory(prefix="zending-races-") as folder,
        running(Path(folder) / "home", mailboxes=OFFERS, here=True) as target,
    ):
        report(measure(target, RACES_QUICK if chosen.quick else RACES), json_file=chosen.json)


def measure(target: Running, races: int) -> list[Result]:
    """The figures, over real servers."""
    context = target.application.context
    with context.database.transaction() as session:
        sender = organisations.by_slug(session, SENDERS[0].slug)
    assert sender is not None
    with context.database.transaction(organisations=[sender]) as session:
        organisations.assign(session, sender, "decision", "registered", "example-consent")
    offers = [_offer(context, sender, number) for number in target.activated]
    won: Counter[str] = Counter()
    wrong: list[str] = []
    began = time.monotonic()
    with closing(_owner(target)) as owner, ThreadPoolExecutor(5) as pool:
        for race in range(races):
            offer = offers[race % len(offers)]
            owner.execute(
                _PUT_BACK, {"id": parse_id(DELIVERY, offer.delivery), "at": offer.ends_at - timedelta(seconds=1)}
            )
            answers = _race(context, sender, offer, pool, race)
            end = _end(owner, offer, answers)
            won[end] += 1
            if end not in ENDS:
                wrong.append(end)
    seconds = time.monotonic() - began
    if wrong:
        raise RuntimeError(f"{len(wrong)} of {races} races ended wrongly, the first: {wrong[0]}")
    return [
        rate("races/one end and one evidence of it", float(races), "races", peer="run", peer_value=float(races)),
        *(rate(f"races/{event}", float(won[event]), "races") for event in ENDS),
        rate("races/a second", races / seconds, "races/s"),
    ]


def _offer(context: Context, sender: Any, number: str) -> Offer:
    """Lay registered mail ready for somebody, through all steps."""
    recipient = RecipientId.parse(RecipientKind.CITIZEN, number)
    reader = Reader(find_hash(context, recipient), RecipientKind.CITIZEN, "substantial")
    holder = _holder(context, reader, recipient)
    registered_consent.agree(context, reader, consent_version=registered_consent.VERSION)
    asked = msgspec.json.decode(form(number)) | {"registered": True}
    upload = Upload("document", DOCUMENT, (DOCUMENTS / DOCUMENT).read_bytes())
    handed = hand_in(
        context, Sender(sender, Lane.INTERACTIVE), msgspec.json.encode(asked), [upload], key=f"race-{number}"
    )
    steps = list(all_steps(context).values())
    while any([run_chunk(context.database, step, lease_seconds=60) for step in steps]):  # noqa: C419  all of them
        pass
    view = deliveries.get(context, sender, handed.delivery_id)
    if view.status != "offered":
        raise RuntimeError(f"the mail is {view.status}, and not offered")
    with context.database.transaction(organisations=[sender]) as session:
        leg = session.connection().exec_driver_sql(
            "SELECT ends_at FROM leg WHERE delivery_id = %s", (parse_id(DELIVERY, handed.delivery_id),)
        )
        return Offer(handed.delivery_id, reader, holder, leg.scalar_one())


def _holder(context: Context, reader: Reader, recipient: RecipientId) -> Reader:
    """Somebody who may accept and refuse for this recipient."""
    (number,) = citizens(1, first=850830001)
    other = RecipientId.parse(RecipientKind.CITIZEN, number)
    sides = Sides(
        Named(RecipientKind.CITIZEN, recipient.value, "Persoon"), Named(RecipientKind.CITIZEN, other.value, "Volmacht")
    )
    terms = Terms(registered=True, legal_effect=True)
    given = mandates.give(context, reader, sides, terms)
    holder = Reader(find_hash(context, other), RecipientKind.CITIZEN, "substantial")
    accepted = mandates.accept(context, holder, given.code)
    return replace(holder, acting_for=parse_id(MANDATE, accepted.id))


def _race(context: Context, sender: Any, offer: Offer, pool: ThreadPoolExecutor, turn: int) -> list[str]:
    """All of them at once; what each was answered."""
    early = replace(context, clock=lambda: offer.ends_at - timedelta(milliseconds=1))
    late = replace(context, clock=lambda: offer.ends_at)
    ways: list[Callable[[], Any]] = [
        lambda: registered.accept(early, offer.reader, offer.delivery),
        lambda: registered.accept(early, offer.holder, offer.delivery),
        lambda: registered.refuse(early, offer.reader, offer.delivery),
        lambda: deliveries.withdraw(early, sender, offer.delivery, "sent_twice"),
        lambda: periods.round_(late),
    ]
    ready = threading.Barrier(len(ways))
    # The sender has the shortest way to the rows: with these few milliseconds each comes first now and then.
    chance = random.Random(turn)
    waits = {way: chance.uniform(0, HEAD_START) for way in ways}

    def go(way: Callable[[], Any]) -> str:
        ready.wait()
        time.sleep(waits[way])
        try:
            way()
        except (Conflict, TransitionRefused) as error:
            return error.code
        return "done"

    # Each gets to be the first at the start.
    turned = [*ways[turn % len(ways) :], *ways[: turn % len(ways)]]
    return list(pool.map(go, turned))


def _end(owner: "psycopg.Connection[Any]", offer: Offer, answers: Sequence[str]) -> str:
    """The one end of a race; a sentence where it is not one, or something does not fit."""
    delivery = parse_id(DELIVERY, offer.delivery)
    found = owner.execute(
        "SELECT event FROM evidence WHERE delivery_id = %s AND event = ANY(%s)", (delivery, list(ENDS))
    ).fetchall()
    (state,) = owner.execute("SELECT state FROM leg WHERE delivery_id = %s AND number = 1", (delivery,)).fetchone() or (
        "",
    )
    if len(found) != 1:
        return f"{[event for (event,) in found]} are evidenced"
    if ENDS[found[0][0]] != state:
        return f"{found[0][0]} is evidenced, and the state is {state}"
    if not set(answers) <= TOLD:
        return f"somebody was told {set(answers) - TOLD}"
    return str(found[0][0])


def _owner(target: Running) -> "psycopg.Connection[Any]":
    url = target.stack.owner_environment["DATABASE_OWNER_URL"].replace("+psycopg", "", 1)
    # Several statements at once, with values: these are put in on this side.
    return psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor)


if __name__ == "__main__":
    main()
