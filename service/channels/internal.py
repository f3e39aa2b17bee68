"""Our own mailboxes: the channel whose items are rows of the database."""

import uuid
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Final

from service.channels.base import Consent, Deposit, DepositResult, Receipt, WithdrawResult
from service.db import mailboxes
from service.db.session import Database
from service.domain.identifiers import RecipientId


class InternalChannel:
    """A ``MailboxChannel``; the reference of a deposit is ``<delivery id>/<leg>``."""

    name: Final = "internal"

    def __init__(self, database: Database, find_hashes: Callable[[RecipientId], Sequence[bytes]]) -> None:
        self._database = database
        self._find_hashes = find_hashes

    def activated(self, recipients: Collection[RecipientId], consent: Consent) -> frozenset[RecipientId]:
        """Return those whose mailbox takes this kind of mail now."""
        if not recipients:
            return frozenset()
        hashes = {each: recipient for recipient in recipients for each in self._find_hashes(recipient)}
        with self._database.transaction() as session:
            found = mailboxes.activated(session, hashes, registered=consent.registered)
            return frozenset(hashes[each] for each in found)

    def deposit(self, deposits: Sequence[Deposit], *, now: datetime) -> list[Receipt]:
        """Put deliveries into mailboxes that are activated at this moment, in one transaction."""
        places = [_place(each.reference) for each in deposits]
        hashes = [self._find_hashes(each.recipient) for each in deposits]
        organisations = {uuid.UUID(each.organisation) for each in deposits}
        with self._database.transaction(organisations=organisations) as session:
            ready = {
                registered: mailboxes.activated(
                    session,
                    {
                        each
                        for given, own in zip(deposits, hashes, strict=True)
                        if given.registered is registered
                        for each in own
                    },
                    registered=registered,
                )
                for registered in (False, True)
            }
            before = mailboxes.items(session, [delivery for delivery, _ in places])
            mailboxes.deposit(
                session,
                [
                    (delivery, uuid.UUID(each.organisation), own[0], leg)
                    for each, (delivery, leg), own in zip(deposits, places, hashes, strict=True)
                    if not ready[each.registered].isdisjoint(own) and delivery not in before
                ],
                now=now,
            )
            session.expire_all()
            found = mailboxes.items(session, [delivery for delivery, _ in places])
            return [
                _receipt(each, found[delivery].deposited_at)
                if delivery in found
                else Receipt(each.reference, DepositResult.NO_MAILBOX, reason="no_mailbox")
                for each, (delivery, _) in zip(deposits, places, strict=True)
            ]

    def withdraw(self, reference: str, *, now: datetime) -> WithdrawResult:
        """Take a deposit back while it is unopened; one that comes later is not taken."""
        delivery, _ = _place(reference)
        with self._database.transaction(delivery=delivery) as session:
            if mailboxes.withdraw(session, delivery, now=now):
                return WithdrawResult.WITHDRAWN
            # Neither written nor there: there is no such delivery, so it can't be opened either.
            there = delivery in mailboxes.items(session, [delivery])
        return WithdrawResult.TOO_LATE if there else WithdrawResult.WITHDRAWN


def reference(delivery: uuid.UUID, leg: int) -> str:
    """The reference of a leg's deposit."""
    return f"{delivery}/{leg}"


def _place(text: str) -> tuple[uuid.UUID, int]:
    delivery, _, leg = text.partition("/")
    return uuid.UUID(delivery), int(leg)


def _receipt(deposit: Deposit, taken_at: datetime | None) -> Receipt:
    if taken_at is None:
        return Receipt(deposit.reference, DepositResult.REFUSED, reason="withdrawn")
    return Receipt(deposit.reference, DepositResult.TAKEN, taken_at=taken_at, channel_id=deposit.reference)
