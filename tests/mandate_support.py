"""For tests of mandates: who gives what to whom, and whoever acts for another."""

import dataclasses
from typing import Any

from service.db.ids import MANDATE, parse_id
from service.domain.identifiers import RecipientId, RecipientKind
from service.domain.mandates import Terms
from service.embedded.fictional import RECIPIENTS
from service.usecases import mandates
from service.usecases.acting import Named, Sides
from service.usecases.mailbox import Reader
from tests.api_e2e_support import Caller
from tests.pipeline_support import Pipeline
from tests.usecase_support import reader

EVERYTHING = Terms(registered=True, legal_effect=True)


def named(key: str) -> Named:
    """One of the fictional recipients, as somebody writes them down."""
    known = RECIPIENTS[key]
    assert known.number is not None
    kind = RecipientKind(known.kind)
    return Named(kind, RecipientId.parse(kind, known.number).value, known.name)


def give(pipeline: Pipeline, mandator: str = "an", mandatary: str = "cem", terms: Terms = EVERYTHING) -> mandates.Given:
    """Give a mandate."""
    sides = Sides(named(mandator), named(mandatary))
    return mandates.give(pipeline.context, reader(pipeline, mandator), sides, terms)


def accepted(pipeline: Pipeline, mandator: str = "an", mandatary: str = "cem", terms: Terms = EVERYTHING) -> str:
    """Give a mandate and accept it; its id."""
    made = give(pipeline, mandator, mandatary, terms)
    return mandates.accept(pipeline.context, reader(pipeline, mandatary), made.code).id


def acting(pipeline: Pipeline, mandate: str, mandatary: str = "cem") -> Reader:
    """Somebody who acts by a mandate."""
    return as_holder(reader(pipeline, mandatary), mandate)


def as_holder(who: Reader, mandate: str) -> Reader:
    """The same person, acting by a mandate."""
    return dataclasses.replace(who, acting_for=parse_id(MANDATE, mandate))


def give_over_http(caller: Caller, mandator: str = "an", mandatary: str = "cem", **changes: Any) -> dict[str, Any]:
    """Give a mandate over HTTP."""
    one, other = named(mandator), named(mandatary)
    body = {
        "mandator": {"id": one.number, "name": one.name},
        "mandatary": {"type": other.kind.value, "id": other.number, "name": other.name},
        **changes,
    }
    answer = caller("POST", "/v1/mailbox/mandates", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made
