"""What registered mail means, in whole sentences: what follows, what has legal effect when, what will happen."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from service.domain import calendar
from service.domain.legal_basis import Ending, Fallback
from service.domain.outlook import Act, Step
from service.domain.states import Event
from service.portal import formats
from service.portal.languages import N_, Words
from service.usecases.views import EffectRuleView, OfferView

MOMENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Event.NOTIFICATION_FOR_ACCEPTANCE.value: N_("the moment the recipient is told that it waits"),
        Event.CONTENT_CONSIGNMENT.value: N_("the moment it is in the mailbox"),
        Event.CONSIGNMENT_ACCEPTANCE.value: N_("the moment the recipient accepts it"),
        Event.CONSIGNMENT_REJECTION.value: N_("the moment the recipient refuses it"),
        Event.ACCEPTANCE_REJECTION_EXPIRY.value: N_("the moment the time to answer is over"),
        Event.CONTENT_ACCESS_TRACKING.value: N_("the moment the recipient opens it"),
        Event.RELAY_TO_NON_ERDS.value: N_("the moment the print house has the letter"),
        Event.POSTED.value: N_("the moment the post has the letter"),
        Event.DELIVERED.value: N_("the moment the post delivers the letter"),
    }
)
"""Every event that legal effect can be counted from, to follow "from"."""

REFUSED_THEN: Final[Mapping[str, str]] = MappingProxyType(
    {
        Fallback.REGISTERED_PAPER.value: N_("The sender's letter then comes to you by registered post."),
        Fallback.ORDINARY_PAPER.value: N_("The sender's letter then comes to you by ordinary post."),
        Fallback.NOTHING.value: N_("Nothing else is sent to you."),
    }
)
"""What follows a refusal or the end of the time to answer."""

LETTERS: Final[Mapping[tuple[Act, Ending], str]] = MappingProxyType(
    {
        (Act.REGISTERED_LETTER, Ending.NO_MAILBOX): N_("Who did not agree gets a registered letter instead."),
        (Act.LETTER, Ending.NO_MAILBOX): N_("Who has no mailbox gets a letter by post instead."),
        (Act.REGISTERED_LETTER, Ending.NOTICE_FAILED): N_(
            "If the e-mail to the recipient fails, a registered letter goes out at once."
        ),
        (Act.LETTER, Ending.NOTICE_FAILED): N_("If the e-mail to the recipient fails, a letter goes out at once."),
        (Act.REGISTERED_LETTER, Ending.EXPIRED): N_("Without an answer by then, a registered letter goes out."),
        (Act.LETTER, Ending.EXPIRED): N_("Without an answer by then, a letter by ordinary post goes out."),
        (Act.NOTHING, Ending.EXPIRED): N_("Without an answer by then, nothing else is sent."),
        (Act.REGISTERED_LETTER, Ending.REFUSED): N_("If the recipient refuses it, a registered letter goes out."),
        (Act.LETTER, Ending.REFUSED): N_("If the recipient refuses it, a letter by ordinary post goes out."),
        (Act.NOTHING, Ending.REFUSED): N_("If the recipient refuses it, nothing else is sent."),
        (Act.REGISTERED_LETTER, Ending.UNREAD): N_("If it is still unopened then, a registered letter goes out too."),
        (Act.LETTER, Ending.UNREAD): N_("If it is still unopened then, a letter by ordinary post goes out too."),
        (Act.NOTHING, Ending.NO_MAILBOX): N_("Who has no mailbox gets nothing."),
        (Act.NOTHING, Ending.NOTICE_FAILED): N_("If the e-mail to the recipient fails, nothing else is sent."),
    }
)
"""What is done after each ending."""

ACTS: Final[Mapping[Act, str]] = MappingProxyType(
    {
        Act.MAILBOX: N_("It lies in the mailbox, if the recipient agreed to that."),
        Act.OFFER: N_(
            "The recipient is asked by e-mail to accept or refuse it, if they agreed to registered mail here."
        ),
        Act.REMINDER: N_("The recipient is reminded by e-mail, if nothing was done yet."),
        Act.ANSWER_ENDS: N_("Last day to accept or refuse it."),
        Act.REGISTERED_LETTER: N_("A registered letter is made and posted."),
        Act.LETTER: N_("A letter is printed and posted."),
    }
)
"""What is done by itself."""

MODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "consent": N_("Ask first: the recipient accepts or refuses it before seeing anything of it"),
        "direct": N_("Direct: it lies in the mailbox at once"),
    }
)
"""How registered mail comes into a mailbox."""

ENDINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Ending.NO_MAILBOX.value: N_("The recipient takes no such mail in the mailbox"),
        Ending.NOTICE_FAILED.value: N_("The e-mail to the recipient fails"),
        Ending.EXPIRED.value: N_("The recipient does not answer in time"),
        Ending.REFUSED.value: N_("The recipient refuses it"),
        Ending.UNREAD.value: N_("Nobody opens it for a set number of days"),
    }
)
FALLBACKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Fallback.REGISTERED_PAPER.value: N_("registered letter"),
        Fallback.ORDINARY_PAPER.value: N_("letter by ordinary post"),
        Fallback.NOTHING.value: N_("nothing"),
    }
)
"""Both for the page of a register's entry."""

TOLD: Final[Mapping[str, str]] = MappingProxyType(
    {
        Event.CONTENT_CONSIGNMENT.value: N_("The letter was put into the mailbox."),
        Event.CONSIGNMENT_NOTIFICATION.value: N_("An e-mail told that a letter is there."),
        Event.CONSIGNMENT_NOTIFICATION_FAILURE.value: N_("The e-mail that a letter is there could not be delivered."),
        Event.NOTIFICATION_FOR_ACCEPTANCE.value: N_("An e-mail told that registered mail waits for an answer."),
        Event.PERIOD_EXTENSION.value: N_("There is more time, because the service could not be used."),
        Event.CONSIGNMENT_ACCEPTANCE.value: N_("The registered mail was accepted."),
        Event.CONSIGNMENT_REJECTION.value: N_("The registered mail was refused."),
        Event.ACCEPTANCE_REJECTION_EXPIRY.value: N_("The time to answer ended without an answer."),
        Event.CONTENT_ACCESS_TRACKING.value: N_("The letter was opened."),
        Event.READ_BY_MANDATARY.value: N_("Somebody who acts for the recipient read the letter."),
        Event.CONTENT_HANDOVER.value: N_("A document was read or downloaded for the first time."),
        Event.RELAY_TO_NON_ERDS.value: N_("The letter was also given to the print house, to come by post."),
        Event.POSTED.value: N_("The post has the letter."),
        Event.DELIVERED.value: N_("The post has delivered the letter."),
        Event.RETURNED.value: N_("The letter that was posted came back."),
    }
)
"""What happened, as recipients are told it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what will happen; ``when`` is empty where nobody can say."""

    when: str
    sentence: str
    at: datetime | None = None


class Registered:
    """The tables in one language."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def told(self, event: str) -> str:
        """What happened, to a recipient."""
        return self._say(TOLD.get(event, event))

    def ending(self, code: str) -> str:
        """How the way into the mailbox can end."""
        return self._say(ENDINGS.get(code, code))

    def fallback(self, code: str) -> str:
        """What follows that."""
        return self._say(FALLBACKS.get(code, code))

    def mode(self, code: str) -> str:
        """How it comes into a mailbox."""
        return self._say(MODES.get(code, code))

    def rule(self, event: str, working_days: int) -> str:
        """A rule of legal effect."""
        moment = self._say(MOMENTS.get(event, event))
        if not working_days:
            return self._say(N_("The document has legal effect from %(moment)s.")) % {"moment": moment}
        sentence = N_("The document has legal effect from the beginning of working day %(number)s after %(moment)s.")
        return self._say(sentence) % {"number": working_days, "moment": moment}

    def accepting(self, offer: OfferView) -> list[str]:
        """What accepting means."""
        said = [N_("You can then open it, read it and keep it. The sender is told that you accepted.")]
        opening = _rule(offer, Event.CONTENT_ACCESS_TRACKING)
        if _rule(offer, Event.CONSIGNMENT_ACCEPTANCE) is None and opening is not None:
            said.append(N_("Accepting alone has no legal effect: opening it has."))
        return [*self._all(said), *self._effect(offer, Event.CONSIGNMENT_ACCEPTANCE, none=opening is None)]

    def refusing(self, offer: OfferView) -> list[str]:
        """What refusing means."""
        said = [
            N_("You can't open it here any more, and you can't change your mind. The sender is told that you refused."),
            REFUSED_THEN[offer.after_refusal],
        ]
        return [*self._all(said), *self._effect(offer, Event.CONSIGNMENT_REJECTION)]

    def ignoring(self, offer: OfferView) -> list[str]:
        """What doing nothing means."""
        said = [N_("After the last day you can't accept it here any more."), REFUSED_THEN[offer.after_expiry]]
        return [*self._all(said), *self._effect(offer, Event.ACCEPTANCE_REJECTION_EXPIRY)]

    def then(self, offer: OfferView, state: str) -> str:
        """What followed a refusal or the end of the time to answer."""
        return self._say(REFUSED_THEN[offer.after_refusal if state == "refused" else offer.after_expiry])

    def days_left(self, until: datetime, now: datetime) -> tuple[str, str]:
        """The last day to answer, and how many days that is from now."""
        last = until - timedelta(microseconds=1)
        left = (calendar.local_date(last) - calendar.local_date(now)).days
        if left <= 0:
            return formats.weekday(last, self._words), self._say(N_("today is the last day"))
        counted = self._words.ngettext("%(num)s day left", "%(num)s days left", left) % {"num": left}
        return formats.weekday(last, self._words), counted

    def lines(self, steps: tuple[Step, ...]) -> list[Line]:
        """What will happen, line by line; effects are told apart."""
        return [self._line(step) for step in steps if step.act is not Act.EFFECT]

    def effects(self, steps: tuple[Step, ...]) -> list[Line]:
        """What will have legal effect, and when where that can be said."""
        return [
            Line(self._when(step.at), self.rule(str(step.after), step.working_days), step.at)
            for step in steps
            if step.act is Act.EFFECT
        ]

    def _line(self, step: Step) -> Line:
        at = step.at
        if step.act is Act.ANSWER_ENDS and at is not None:
            at -= timedelta(microseconds=1)
        if isinstance(step.after, Ending):
            sentence = LETTERS.get((step.act, step.after), step.act.value)
            # What goes out to those without a mailbox goes out now as well: the day is told once.
            at = None if step.after is Ending.NO_MAILBOX else at
        else:
            sentence = ACTS[step.act]
        return Line(self._when(at), self._say(sentence), at)

    def _when(self, at: datetime | None) -> str:
        return "" if at is None else formats.weekday(at, self._words)

    def _effect(self, offer: OfferView, event: Event, *, none: bool = True) -> list[str]:
        rule = _rule(offer, event)
        if rule is None:
            return [self._say(N_("This alone has no legal effect."))] if none else []
        if not rule.working_days:
            return [self._say(N_("The document then has legal effect at once, whether you read it or not."))]
        sentence = self._words.ngettext(
            "The document then has legal effect after %(num)s working day, whether you read it or not.",
            "The document then has legal effect after %(num)s working days, whether you read it or not.",
            rule.working_days,
        )
        return [sentence % {"num": rule.working_days}]

    def _all(self, sentences: list[str]) -> list[str]:
        return [self._say(each) for each in sentences]

    def _say(self, message: str) -> str:
        return self._words.gettext(message)


def _rule(offer: OfferView, event: Event) -> EffectRuleView | None:
    return next((each for each in offer.effects if each.event == event.value), None)
