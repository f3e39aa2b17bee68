"""Signed files changed at random: never valid unless nothing that counts was changed, and nothing breaks the judge."""

import random
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.inspection.limits import InspectionLimits
from service.inspection.validating import Believed
from service.inspection.validator import Validator
from signing.report import Report
from signing.trusted_lists import TrustedListRefused, load_lists
from tests.longterm_support import SIGNED, house, judge
from tests.mutation_support import is_sound, mutated, seeds
from tests.trusted_list_support import NOW, QTST, Service, list_xml, operator, signed_list

SOON = SIGNED + timedelta(days=1)
HONEST: dict[bytes, Report] = {seed: judge(seed) for seed in seeds()}


def test_the_seeds_are_valid() -> None:
    assert all(report.valid for report in HONEST.values())


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(range(len(HONEST))), st.integers(0, 2**64 - 1))
def test_no_mutation_is_called_valid_or_breaks_the_judge(which: int, seed: int) -> None:
    content = mutated(seeds()[which], random.Random(seed))
    assert is_sound(content, judge(content), HONEST), f"seed {seed} of file {which}"


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    with Validator(InspectionLimits(), Believed()) as one:
        yield one


@settings(max_examples=100, deadline=None)
@given(which=st.sampled_from(range(len(HONEST))), seed=st.integers(0, 2**64 - 1))
def test_no_mutation_is_an_exception_out_of_the_walls(validator: Validator, which: int, seed: int) -> None:
    content = mutated(seeds()[which], random.Random(seed))
    report = validator.validate(content, at=SOON)
    assert not report.valid  # nothing is believed there


LIST = signed_list(list_xml(Service(house().issuing.certificate), Service(house().tsa.certificate, QTST)))
BELIEVED = load_lists([LIST], [operator().certificate], now=NOW).lists[0]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_no_mutation_of_a_trusted_list_says_anything_else(seed: int) -> None:
    content = mutated(LIST, random.Random(seed))
    try:
        (found,) = load_lists([content], [operator().certificate], now=NOW).lists
    except TrustedListRefused:
        return
    assert (found.territory, found.sequence, found.issued) == (BELIEVED.territory, BELIEVED.sequence, BELIEVED.issued)
    assert (found.next_update, found.histories) == (BELIEVED.next_update, BELIEVED.histories)
