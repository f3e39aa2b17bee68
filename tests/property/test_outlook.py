"""What is told before sending is what the same terms do afterwards."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.domain import calendar, legal_bases, policy, terms
from service.domain.legal_basis import Days, Ending, Entry, Fallback, Mode, silent_endings
from service.domain.outlook import Act, Step, outlook
from service.domain.states import Event, LegKind
from service.domain.terms import Terms, Wishes

MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2040, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis wants them bare
ENTRIES = legal_bases.load().entries()
LETTERS = {Act.LETTER: False, Act.REGISTERED_LETTER: True}


@st.composite
def settled(draw: st.DrawFn) -> Terms:
    """Terms of any entry, with any wishes it allows."""
    entry: Entry = draw(st.sampled_from(ENTRIES))
    mode = draw(st.sampled_from(entry.modes)) if entry.modes else None
    bounds = entry.acceptance if mode is Mode.CONSENT else None
    days = None if bounds is None else draw(_days(bounds))
    more = draw(st.frozensets(st.sampled_from(Ending))) if entry.modes else frozenset[Ending]()
    found, refused = terms.settle(entry, Wishes(mode, days, more))
    assert not refused
    return found


def _days(bounds: Days) -> st.SearchStrategy[int]:
    return st.integers(bounds.least, bounds.most)


def letters(steps: tuple[Step, ...]) -> dict[Ending, bool]:
    """The endings that letters follow, and whether by registered letter."""
    return {step.after: LETTERS[step.act] for step in steps if step.act in LETTERS and isinstance(step.after, Ending)}


@given(settled(), MOMENTS, st.booleans())
def test_letters_follow_exactly_where_the_policy_begins_them(found: Terms, now: datetime, quiet: bool) -> None:  # noqa: FBT001
    told = letters(outlook(found, now, quiet_hours=quiet))
    for ending in Ending:
        way = policy.after(found, ending)
        # Unread mail is looked at only where days are set for it.
        happens = way is not None and (ending is not Ending.UNREAD or found.unread_days is not None)
        assert (ending in told) is happens, ending
        assert way is None or not happens or told[ending] is way.registered


@given(settled(), MOMENTS)
def test_every_silent_end_of_registered_mail_is_told_with_its_registered_letter(found: Terms, now: datetime) -> None:
    if found.mode is not None:
        assert {ending for ending, registered in letters(outlook(found, now)).items() if registered} >= silent_endings(
            [found.mode]
        )


@given(settled(), MOMENTS)
def test_reminders_lie_between_the_notice_and_the_end_and_never_at_night(found: Terms, now: datetime) -> None:
    steps = outlook(found, now)
    reminders = [step.at for step in steps if step.act is Act.REMINDER and step.at is not None]
    ends = [step.at for step in steps if step.after in {Ending.EXPIRED, Ending.UNREAD} and step.at is not None]
    assert all(earlier < later for earlier, later in pairwise(reminders))
    for each in reminders:
        assert now < each < min(ends)
        assert calendar.next_allowed(each) == each


@given(settled(), MOMENTS)
def test_an_offer_ends_when_the_same_terms_end_it(found: Terms, now: datetime) -> None:
    steps = outlook(found, now)
    ends = [step.at for step in steps if step.act is Act.ANSWER_ENDS]
    if found.mode is Mode.CONSENT:
        noticed = calendar.next_allowed(now)
        assert ends == [terms.acceptance(found, noticed).ends_at]
        assert (Act.OFFER, Act.MAILBOX in {step.act for step in steps}) == (steps[0].act, False)
    else:
        assert ends == []
        assert steps[0] == Step(Act.MAILBOX, now)


@given(settled(), MOMENTS, st.booleans())
def test_every_effect_is_a_rule_of_the_terms_and_its_moment_is_the_rules(
    found: Terms, now: datetime, postal: bool  # noqa: FBT001
) -> None:  # fmt: skip
    steps = outlook(found, now, postal=postal)
    effects = [step for step in steps if step.act is Act.EFFECT]
    assert len({step.after for step in effects}) == len(effects)
    for step in effects:
        assert isinstance(step.after, Event)
        rule = found.rule(step.after)
        assert rule is not None
        assert rule.working_days == step.working_days
        assert step.at is None or step.at >= now
    told = {step.after for step in effects}
    if found.mode is Mode.CONSENT and not postal and found.rule(Event.CONSIGNMENT_ACCEPTANCE):
        assert Event.CONSIGNMENT_ACCEPTANCE in told
    if postal:
        assert not told & {Event.CONTENT_CONSIGNMENT, Event.CONTENT_ACCESS_TRACKING, Event.CONSIGNMENT_ACCEPTANCE}


@given(settled(), MOMENTS)
def test_who_has_no_number_gets_a_letter_as_the_policy_says(found: Terms, now: datetime) -> None:
    first, *others = outlook(found, now, postal=True)
    assert first == Step(Act.LETTER if found.mode is None else Act.REGISTERED_LETTER, now)
    assert {step.act for step in others} <= {Act.EFFECT}
    assert LegKind.PAPER is LegKind("paper")


def test_at_night_the_period_counts_from_the_morning() -> None:
    entry = legal_bases.load().version("example-consent", 1)
    assert entry is not None
    found, _ = terms.settle(entry, Wishes())
    # Half past eleven at night on Monday 30 November: the notice goes out on Tuesday, the fifteenth day after is the
    # 16th of December.
    late = datetime(2026, 11, 30, 22, 30, tzinfo=UTC)
    by_night = next(step.at for step in outlook(found, late) if step.act is Act.ANSWER_ENDS)
    at_once = next(step.at for step in outlook(found, late, quiet_hours=False) if step.act is Act.ANSWER_ENDS)
    assert by_night == datetime(2026, 12, 16, 23, tzinfo=UTC)
    assert at_once == by_night - timedelta(days=1)
    assert [step.at for step in outlook(found, late) if step.act is Act.REGISTERED_LETTER] == [late, None, by_night]


def test_what_follows_a_refusal_is_told_if_it_is_nothing_too() -> None:
    entry = legal_bases.load().version("example-hidden-sender", 1)
    assert entry is not None
    found, _ = terms.settle(entry, Wishes())
    assert found.follows(Ending.REFUSED) is Fallback.NOTHING
    steps = outlook(found, datetime(2026, 12, 1, 12, tzinfo=UTC))
    assert Step(Act.NOTHING, None, Ending.REFUSED) in steps
    assert Step(Act.EFFECT, None, Event.CONSIGNMENT_REJECTION) in steps
